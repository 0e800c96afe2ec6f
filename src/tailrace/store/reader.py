"""The read side of the SQLite store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import NotFound
from tailrace.model.ids import RunId
from tailrace.model.span import Checkpoint, RunSummary, Trace
from tailrace.model.states import RunStatus
from tailrace.store.blobs import blob_folder, located
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.foreign.traces import ForeignTraces, arranged
from tailrace.store.liveness import is_alive, live_folder
from tailrace.store.load import START, run_of, select_runs
from tailrace.store.moment import Moment
from tailrace.store.tenants import of_run
from tailrace.tracing.spans import to_summary
from tailrace.tracing.state import RunState, SpanState

_PREFIX = re.compile(r"[0-9a-f]{1,32}")
_SHOWN = 5
"""Run ids shown when a prefix is not unique."""
_SHORT = 12
"""Digits of an id that are enough for a person."""
_LIST = "list the runs with: tailrace trace list"
_decode_names = msgspec.json.Decoder(dict[str, str]).decode
_OPEN_RUNS = """SELECT count(*) FROM run WHERE "end" IS NULL"""


class SqliteTraceReader:
    """Reads runs and traces; what a live run has not yet turned into rows is merged in.

    Concurrency: never blocks a writer; a trace is one consistent moment of the file. A reader
    serves one thread at a time.

    Args:
        path: the file.
        tenant: of an index: whose runs and traces are the only ones; None: all.

    Raises:
        StoreError: there is no such file, or it cannot be read, is foreign, or too new.
    """

    def __init__(self, path: Path | str, *, tenant: str | None = None) -> None:
        self._path = Path(path).absolute()
        self._tenant = tenant
        self._live = live_folder(self._path)
        self._db = open_reader(self._path)
        self._foreign = ForeignTraces(self._db, tenant=tenant)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def runs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        foreign: bool = False,
    ) -> list[RunSummary]:
        """Return runs, newest first.

        ``status`` is a value of ``RunStatus``, ``flow`` a flow's name. ``since_ns`` is inclusive,
        ``until_ns`` exclusive; both are nanoseconds since the epoch. With ``foreign`` traces from
        elsewhere are among them: their ``source`` is ``elsewhere``, their flow the service of
        their root span.
        """
        own = self._own_runs(limit, status, flow, since_ns, until_ns)
        if not foreign:
            return own
        with translated(self._path, "read"):
            others = self._foreign.summaries(
                limit=limit, status=status, flow=flow, since_ns=since_ns, until_ns=until_ns
            )
        return sorted([*own, *others], key=lambda run: run.start_ns, reverse=True)[:limit]

    def _own_runs(
        self,
        limit: int,
        status: str | None,
        flow: str | None,
        since_ns: int | None,
        until_ns: int | None,
    ) -> list[RunSummary]:
        conditions = self._own()
        if status == RunStatus.INTERRUPTED:  # the dead are RUNNING until a writer finds them
            conditions["r.status IN ('INTERRUPTED', ?)"] = RunStatus.RUNNING.value
        elif status is not None:
            conditions["r.status = ?"] = str(status)
        if since_ns is not None:
            conditions["r.start >= ?"] = since_ns
        if until_ns is not None:
            conditions["r.start < ?"] = until_ns
        with translated(self._path, "read"):
            spare = 0 if status is None else self._db.execute(_OPEN_RUNS).fetchone()[0]
            rows = self._newest(conditions, flow, limit + spare)
            runs = [self._stands(no, writer, run_of(columns)) for no, writer, *columns in rows]
        wanted = [run for run in runs if status is None or run.status == status]
        return [to_summary(run) for run in wanted[:limit]]

    def _own(self) -> dict[str, Any]:
        """Return the condition that a run may be seen."""
        return {} if self._tenant is None else {of_run("r.run_id"): self._tenant}

    def _newest(
        self, conditions: dict[str, Any], flow: str | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the newest rows, each read in the order of an index.

        A flow has an id for each of its versions; together they would have to be sorted.
        """
        if flow is None:
            return self._select_runs(conditions, limit)
        ids = self._db.execute("SELECT id FROM flow WHERE name = ?", (flow,)).fetchall()
        rows = [
            row
            for (one,) in ids
            for row in self._select_runs({"r.flow = ?": one} | conditions, limit)
        ]
        return sorted(rows, key=lambda row: (row[START], row[0]), reverse=True)[:limit]

    def _select_runs(self, conditions: dict[str, Any], limit: int) -> list[tuple[Any, ...]]:
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = select_runs(f"{where}ORDER BY r.start DESC, r.no DESC LIMIT ?")
        return self._db.execute(query, (*conditions.values(), limit)).fetchall()

    def _stands(self, no: int, writer: str, run: RunState) -> RunState:
        """Return the run as it stands, INTERRUPTED when its process is gone."""
        if run.end is not None or is_alive(self._live, writer):
            return run
        with self._snapshot():
            now = self._select("WHERE r.no = ?", no)
            if now is None:
                return run
            return Moment(self._db, no, now[2], dead=now[2].end is None).run

    def resolve(self, prefix: str) -> RunId:
        """Return the one id with this prefix, of a run or of a trace from elsewhere.

        ``@last`` and ``@last-failed`` are known too: the newest run, and the newest that failed.

        Raises:
            NotFound: none, or more than one, matches.
        """
        if prefix in {"@last", "@last-failed"}:
            failed = prefix == "@last-failed"
            newest = self.runs(limit=1, status=RunStatus.FAILED if failed else None)
            if not newest:
                raise self._no_newest(f"no run has {'failed' if failed else 'started'} yet")
            return newest[0].run_id
        wanted = prefix.strip().lower()
        if not _PREFIX.fullmatch(wanted):
            raise NotFound(
                f"{prefix!r} is no run id: those are 32 hex digits, of which the first will do",
                hint=_LIST,
                details={"prefix": prefix},
            )
        own = self._own()
        text = "".join(f" AND {condition}" for condition in own)
        query = f"""SELECT run_id FROM run AS r WHERE run_id >= ? AND run_id < ?{text}
            ORDER BY run_id LIMIT ?"""  # noqa: S608 - constant text
        with translated(self._path, "read"):
            limits = (wanted, wanted + "g", *own.values(), _SHOWN + 1)
            rows = self._db.execute(query, limits).fetchall()
            others = self._foreign.matching(wanted, _SHOWN + 1)
            if not rows and not others:  # ids of 64 bits are written without their zeros, too
                others = self._foreign.matching(wanted.zfill(32), 1)
        matches: list[str] = sorted({row[0] for row in rows} | {*others})
        if not matches:
            raise self._not_found(f"no run id begins with {prefix!r}")
        if len(matches) > 1:
            shown = ", ".join(matches[:_SHOWN]) + (", …" if len(matches) > _SHOWN else "")
            raise NotFound(
                f"more than one run id begins with {prefix!r}: {shown}",
                hint="give more digits",
                details={"prefix": prefix, "matches": matches},
            )
        return RunId(matches[0])

    def trace(
        self, run_id: RunId | str, *, events: bool = True, siblings: int | None = None
    ) -> Trace:
        """Return a run with its spans, the newest committed moment included.

        With ``siblings`` a trace of more than some thousand spans is read in part: that many
        children of one type of each parent, the first failed ones beyond them, and in ``folded``
        how many were left out. Time and memory then depend little on the size of the trace.

        Spans from elsewhere that name the run as their trace are among its spans. A trace from
        elsewhere is read as a whole; its run stands for what is known of it.

        Raises:
            NotFound: there is no such run and no such trace.
        """
        if not self._is_run(run_id):
            with self._snapshot():
                found = self._foreign.trace(run_id, events=events)
            if found is None:
                raise self._not_found(f"there is no run {run_id!r}")
            return found
        with self._moment(run_id) as moment:
            trace = moment.trace(events=events, siblings=siblings)
            others = self._foreign.spans(run_id, events=events)
        if others:
            own = {id(span) for span in trace.spans}
            joined = arranged([*trace.spans, *others])
            trace.spans += [span for span in joined if id(span) not in own]
        return trace

    def _is_run(self, run_id: str) -> bool:
        with translated(self._path, "read"):
            own = self._own()
            text = "".join(f" AND {condition}" for condition in own)
            query = f"SELECT 1 FROM run AS r WHERE run_id = ?{text}"  # noqa: S608 - constant text
            return self._db.execute(query, (run_id, *own.values())).fetchone() is not None

    def run(self, run_id: RunId | str) -> RunSummary:
        """Return a run as it stands, or what is known of a trace from elsewhere.

        Raises:
            NotFound: there is no such run and no such trace.
        """
        with translated(self._path, "read"):
            if not self._is_run(run_id):
                found = self._foreign.summary(run_id)
                if found is not None:
                    return found
            no, writer, run = self._find(run_id)
            return to_summary(self._stands(no, writer, run))

    def runs_of(self, trace_ids: Iterable[RunId | str]) -> Iterator[RunSummary]:
        """Yield runs and traces by their ids, in that order, without those that are gone."""
        for trace_id in trace_ids:
            with suppress(NotFound):
                yield self.run(trace_id)

    def states(self, run_id: RunId | str) -> Iterator[SpanState]:
        """Yield the spans of a run as the projection keeps them, parents first, without events.

        None of them is kept in memory. They are one moment of the file; the reader is not to be
        asked for anything else before the last one.

        Raises:
            NotFound: there is no such run.
        """
        with self._moment(run_id) as moment:
            yield from moment.states()

    def lineage(self, run_id: RunId | str) -> list[RunSummary]:
        """Return the runs of the chain of resumes and redrives that a run is part of, oldest first.

        Raises:
            NotFound: there is no such run.
        """
        with translated(self._path, "read"):
            _, _, run = self._find(run_id)
            first = run.lineage or run.run_id
            rows = self._select_runs({"r.run_id = ?": first} | self._own(), 1)
            later = {"r.lineage <> '' AND r.lineage = ?": first} | self._own()
            rows += sorted(self._select_runs(later, -1), key=lambda row: (row[START], row[0]))
            return [to_summary(self._stands(no, writer, run_of(row))) for no, writer, *row in rows]

    def turning_points(self, run_id: RunId | str) -> Trace:
        """Return a run with those of its spans that say which way it went, and how far.

        They are its own, its containers and branches, and what failed or was cut off; what has
        simply finished is not read.

        Raises:
            NotFound: there is no such run.
        """
        with self._moment(run_id) as moment:
            return moment.turning_points()

    def inputs(self, run_id: RunId | str) -> Checkpoint | None:
        """Return what a run was started with; None: it was not kept.

        Raises:
            NotFound: there is no such run.
        """
        with self._moment(run_id) as moment:
            return moment.inputs()

    def checkpoints(self, run_id: RunId | str) -> Iterator[Checkpoint]:
        """Return the checkpoints of a run in the order of their storing; of a path the last counts.

        Large outputs are read from their files when they are decoded.

        Raises:
            NotFound: there is no such run.
        """
        with self._moment(run_id) as moment:
            folder = blob_folder(self._path)
            return iter([located(kept, folder) for kept in moment.checkpoints()])

    def lost_outputs(self, run_id: RunId | str) -> list[str]:
        """Return the paths of nodes whose output was stored and is there no more.

        Raises:
            NotFound: there is no such run.
        """
        with self._moment(run_id) as moment:
            return moment.lost_outputs()

    def resumed(self) -> frozenset[RunId]:
        """Return the runs that later ones have gone on with."""
        query = "SELECT DISTINCT resumed_from FROM run WHERE resumed_from <> ''"
        with translated(self._path, "read"):
            return frozenset(RunId(row[0]) for row in self._db.execute(query))

    def gone_on_by(self, run_id: RunId | str) -> RunId | None:
        """Return the newest run that went on with this one; None: nobody has."""
        query = """SELECT run_id FROM run WHERE lineage <> '' AND resumed_from = ?1 AND lineage =
            (SELECT iif(lineage = '', run_id, lineage) FROM run WHERE run_id = ?1)
            ORDER BY no DESC LIMIT 1"""
        with translated(self._path, "read"):
            row = self._db.execute(query, (run_id,)).fetchone()
        return None if row is None else RunId(row[0])

    def fingerprints(self, run_id: RunId | str) -> dict[str, str]:
        """Return what each node of the run's flow did, by path without indices; empty: not known.

        Raises:
            NotFound: there is no such run.
        """
        query = """SELECT coalesce(r.nodes, p.nodes) FROM run AS r
            LEFT JOIN plan AS p ON p.flow = r.flow AND p.version = r.version WHERE r.run_id = ?"""
        with translated(self._path, "read"):
            row = self._db.execute(query, (run_id,)).fetchone()
            if row is None:
                raise self._not_found(f"there is no run {run_id!r}")
            return {} if row[0] is None else _decode_names(row[0])

    @contextmanager
    def _moment(self, run_id: str) -> Iterator[Moment]:
        with self._snapshot():
            no, writer, run = self._find(run_id)
            if run.end is not None or is_alive(self._live, writer):
                yield Moment(self._db, no, run, dead=False)
                return
        # Its process is gone, but may have ended the run after this snapshot: look once more.
        with self._snapshot():
            no, _, run = self._find(run_id)
            yield Moment(self._db, no, run, dead=run.end is None)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        with translated(self._path, "read"):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                with suppress(Exception):
                    self._db.execute("ROLLBACK")

    def _find(self, run_id: str) -> tuple[int, str, RunState]:
        found = self._select("WHERE r.run_id = ?", run_id)
        if found is None:
            if self._foreign.summary(run_id) is not None:
                raise NotFound(
                    f"{run_id} is a trace from elsewhere; no run in {self._path} has that id",
                    hint=f"look at it with: tailrace trace show {run_id[:_SHORT]}",
                    details={"path": str(self._path)},
                )
            raise self._not_found(f"there is no run {run_id!r}")
        return found

    def _select(self, condition: str, value: Any) -> tuple[int, str, RunState] | None:
        own = self._own()
        text = condition + "".join(f" AND {one}" for one in own)
        row = self._db.execute(select_runs(text), (value, *own.values())).fetchone()
        return None if row is None else (row[0], row[1], run_of(row[2:]))

    def _no_newest(self, message: str) -> NotFound:
        found = [] if self.runs(limit=1) else self.runs(limit=1, foreign=True)
        if not found:
            return self._not_found(message)
        newest = found[0]
        return NotFound(
            f"{message} in {self._path}; it has traces from elsewhere only, the newest of which is "
            f"{newest.run_id} of {newest.flow!r}",
            hint=f"show that one with: tailrace trace show {newest.run_id}; {_LIST}",
            details={"path": str(self._path), "newest": newest.run_id},
        )

    def _not_found(self, message: str) -> NotFound:
        return NotFound(
            f"{message} in {self._path}",
            hint=_LIST,
            details={"path": str(self._path)},
        )
