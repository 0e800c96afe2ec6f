"""Taking in spans of any programs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.model.span import InstrumentationScope, Span
from tailrace.model.states import Durability
from tailrace.store.access import Access
from tailrace.store.calm import without_collections
from tailrace.store.foreign.attributes import Cleaner, json_safe
from tailrace.store.foreign.bodies import read_resource, resource_body, scope_body, service_of
from tailrace.store.foreign.convert import Converter, Intern, Traces
from tailrace.store.foreign.intake import DEFAULT_LIMITS, Intake, Limits
from tailrace.store.foreign.rows import TraceRows
from tailrace.store.foreign_span import StoredSpan
from tailrace.store.writer import Writer

if TYPE_CHECKING:
    from tailrace.store.foreign.direct import DirectSegment
    from tailrace.tracing.otlp import Export, ReadReport

CHUNK = 10_000
"""Spans of a commit."""
_CACHED = 4_096
"""Resources and scopes remembered before all are forgotten."""
_MARK = 15
"""Digits of a trace id that tell traces of one file apart."""
_END = -1
"""Instead of a number of spans: there are no more."""


class ForeignWriter:
    """Appends spans from elsewhere to the traces of a store, whatever traces they belong to.

    When a call returns, what it counts as written is in the file and survives SIGKILL, or the
    loss of power where the durability says so. A span that is sent again is not doubled: one of
    the same id, kind and start takes its place when it tells more, and is left out otherwise.
    Spans of a run's own trace id join that run.

    Concurrency: any number of processes may write one file; a writer serves one thread at a time.

    Args:
        path: the file; made by the first write.
        durability: of this process's connection.
        limits: bounds on what one span may hold.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = Durability.PROCESS,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._file = Access(path, durability=durability)
        self._limits = limits
        self._ids: dict[str, dict[str, int]] = {"resource": {}, "scope": {}}
        self._services: dict[int, str] = {}
        self._rows = TraceRows(self._service)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def close(self) -> None:
        """Let the file go; it is opened again when it is needed."""
        self._file.close()

    def write(self, spans: Iterable[Span], *, lasting: bool = False) -> Intake:
        """Take spans in, in commits of some thousand, and say what became of them.

        Args:
            spans: of any traces, in any order; read as they are written.
            lasting: the commits survive the loss of power, whatever the durability.

        Raises:
            StoreError: the file cannot be written; earlier commits of the call stay.
        """
        tally = Intake()
        rest = iter(spans)
        while chunk := list(islice(rest, CHUNK)):
            converter = self.converter()
            traces = converter.convert(chunk)
            if traces:
                tally.add(self.write_stored(traces, lasting=lasting))
            tally.add(converter.tally)
        return tally

    def load(self, spans: Iterable[Span]) -> Intake:
        """Take many spans in, of which searches are fast at once, and say what became of them.

        Args:
            spans: of any traces, in any order; read as they are written.

        Raises:
            StoreError: the file cannot be written; earlier commits of the call stay.
        """
        rest = iter(spans)

        def read(converter: Converter, into: Traces) -> int:
            chunk = list(islice(rest, CHUNK))
            count = 0
            for trace_id, found in converter.convert(chunk).items():
                into.setdefault(trace_id, []).extend(found)
                count += len(found)
            return count if chunk else _END

        return self._load(read)

    def load_exports(
        self, exports: Iterable[Export], report: ReadReport, seen: set[int] | None = None
    ) -> Intake:
        """Take exports in as ``load`` does their spans, only twice as fast.

        Args:
            exports: of a file, as ``read_exports`` yields them; read as they are written.
            report: gets what of them cannot be read.
            seen: gets a number for each trace.

        Raises:
            StoreError: the file cannot be written; earlier commits of the call stay.
        """
        from tailrace.store.foreign.from_otlp import ExportReader  # noqa: PLC0415 - for imports only

        rest = iter(exports)

        def read(converter: Converter, into: Traces) -> int:
            reader = ExportReader(converter, report)
            count = 0
            for export in rest:
                count += reader.read(export, into)
                if count >= CHUNK:
                    break
            else:
                return count or _END
            return count

        return self._load(read, seen)

    def _load(
        self, read: Callable[[Converter, Traces], int], seen: set[int] | None = None
    ) -> Intake:
        """Seal what is read; ``read`` returns the number of spans, or that there are no more."""
        from tailrace.store.segments.choice import SEGMENT_SPANS  # noqa: PLC0415 - for many spans only

        tally = Intake()
        more = True
        while more:
            traces: Traces = {}
            size = 0
            with without_collections():
                while more and size < SEGMENT_SPANS:
                    converter = self.converter()
                    count = read(converter, traces)
                    size += max(count, 0)
                    more = count != _END
                    tally.add(converter.tally)
            if seen is not None:
                seen.update(int(trace_id[-_MARK:], 16) for trace_id in traces)
            if traces:
                tally.add(self.write_sealed(traces))
        return tally

    def converter(self) -> Converter:
        """Return what turns spans into those that ``write_stored`` and ``write_sealed`` take.

        It keeps alive what it was given, so make one anew for every some thousand spans.
        """
        intern = Intern(
            lambda body: self._id("resource", body), lambda body: self._id("scope", body)
        )
        return Converter(intern, self._limits)

    def write_sealed(self, traces: Mapping[str, Sequence[StoredSpan]]) -> Intake:
        """Take in spans that are clean already; new traces are sealed at once, in one commit.

        Where most of the traces are here already, or they are few, it is as ``write_stored``.

        Args:
            traces: as of ``write_stored``, about as many as a segment holds.

        Raises:
            StoreError: nothing was written.
        """
        from tailrace.store.foreign.direct import DirectSegment, known_ids  # noqa: PLC0415 - for many spans only
        from tailrace.store.segments.choice import WORTHWHILE  # noqa: PLC0415 - likewise

        self._file.writer()
        with without_collections(), self._file.reading() as db:
            known = known_ids(db, traces)
            fresh = {one: spans for one, spans in traces.items() if spans and one not in known}
            size = sum(map(len, fresh.values()))
            is_worthwhile = size >= WORTHWHILE and 2 * len(fresh) > len(traces)
            segment = DirectSegment(db, self.path, fresh) if is_worthwhile else None
        return self._write(traces, segment)

    def write_stored(
        self, traces: Mapping[str, Sequence[StoredSpan]], *, lasting: bool = False
    ) -> Intake:
        """Take in spans that are clean already, in one commit.

        Args:
            traces: spans by trace id, 32 lower-case hex digits. Their resources and scopes are
                numbers that ``resource`` and ``scope`` gave.
            lasting: the commit survives the loss of power, whatever the durability.

        Raises:
            StoreError: nothing was written.
        """
        return self._write(traces, None, lasting=lasting)

    def _write(
        self,
        traces: Mapping[str, Sequence[StoredSpan]],
        segment: DirectSegment | None,
        *,
        lasting: bool = False,
    ) -> Intake:
        found = {trace_id: spans for trace_id, spans in traces.items() if spans}
        now = time.time_ns()
        tries = 0

        def act(writer: Writer) -> Intake:
            nonlocal tries
            tries += 1
            if tries > 1:  # the disk was full, and has room now
                self._rows.forget()
            if segment is None:
                return self._rows.write(writer.db, found, now)
            sealed: dict[str, int] = {}
            tally = self._rows.write(writer.db, found, now, sealed)
            segment.write(writer, sealed, now)
            return tally

        try:
            return self._file.write(act, lasting=lasting)
        except BaseException:  # the commit itself may have failed
            self._rows.forget()
            raise

    def resource(self, attributes: Mapping[str, Any]) -> int:
        """Return the number of a resource, written down if it is new.

        Raises:
            StoreError: the file cannot be written.
        """
        clean = json_safe(Cleaner(self._limits).clean(attributes))
        return self._id("resource", resource_body(clean))

    def scope(self, scope: InstrumentationScope) -> int:
        """Return the number of an instrumentation scope, written down if it is new.

        Raises:
            StoreError: the file cannot be written.
        """
        clean = json_safe(Cleaner(self._limits).clean(scope.attributes))
        return self._id("scope", scope_body(scope, clean))

    def _id(self, table: str, body: str) -> int:
        """Return the row of a text. Rows are never deleted, so what is remembered stays true."""
        known = self._ids[table]
        found = known.get(body)
        if found is None:
            found = self._file.write(lambda writer: _row(writer.db, table, body))
            if len(known) >= _CACHED:
                known.clear()
            known[body] = found
        return found

    def _service(self, db: sqlite3.Connection, resource: int) -> str:
        name = self._services.get(resource)
        if name is None:
            query = "SELECT body FROM resource WHERE id = ?"
            row = db.execute(query, (resource,)).fetchone()
            name = "" if row is None else service_of(read_resource(row[0]))
            if len(self._services) >= _CACHED:
                self._services.clear()
            self._services[resource] = name
        return name


def _row(db: sqlite3.Connection, table: str, body: str) -> int:
    row = db.execute(f"SELECT id FROM {table} WHERE body = ?", (body,)).fetchone()  # noqa: S608 - one of two names
    if row is None:
        made = db.execute(f"INSERT INTO {table} (body) VALUES (?)", (body,))  # noqa: S608 - likewise
        return int(made.lastrowid or 0)
    return int(row[0])
