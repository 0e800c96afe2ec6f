"""Runs that come as a whole: all rows of many of them, in a few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from tailrace.model.journal import AnyRecord, RunStarted
from tailrace.model.states import RunStatus
from tailrace.store.liveness import REMOTE
from tailrace.store.recall import insert_keys
from tailrace.store.remote.brief import BriefRuns
from tailrace.store.remote.bulk import insert_rows
from tailrace.store.remote.failing import worker_of
from tailrace.store.remote.pieces import Piece
from tailrace.store.save import (
    INSERT_CHECKPOINT,
    INSERT_EVENT,
    INSERT_PLAIN,
    add_spans,
    insert_plan,
    insert_spans,
)
from tailrace.store.writer import Writer
from tailrace.tracing.attributes import text
from tailrace.tracing.projection import Projection
from tailrace.tracing.shape_pool import ShapePool
from tailrace.tracing.state import RunState

_CACHED = 4_096
_INSERT_RUN = """INSERT INTO run (no, run_id, flow, source, status, start, "end", span_base,
parent_span_id, writer, version, lineage, resumed_from, letter, generation, digest, policies,
spans, events, failed_node, reason, handled_failures, batches)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_NEXT = """SELECT 1 + max(
(SELECT coalesce(max(no), 0) FROM run),
(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'run'))"""
_encode = msgspec.json.Encoder().encode


class WholeRuns:
    """Gathers finished runs; ``write`` inserts them all.

    Used inside one transaction of the writer; ``forget`` after one that was rolled back.
    """

    def __init__(self, writer: Writer, pool: ShapePool) -> None:
        self._writer = writer
        self._brief = BriefRuns(pool, writer.shapes.id)
        self._flows: dict[tuple[str, str, str], int] = {}
        self._plans: dict[tuple[int, int], bytes] = {}
        self._clear()

    def _clear(self) -> None:
        self._next = 0
        self._runs: list[tuple[Any, ...]] = []
        self._plain: list[tuple[Any, ...]] = []
        self._others: list[tuple[Any, ...]] = []
        self._checkpoints: list[tuple[Any, ...]] = []
        self._extras: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []
        self._dropped: list[tuple[int, int]] = []
        self._new_plans: list[tuple[int, bytes]] = []

    def forget(self) -> None:
        """Forget row ids and what was gathered."""
        self._flows.clear()
        self._plans.clear()
        self._clear()

    def add(self, projection: Projection, records: Sequence[AnyRecord], *, batches: int) -> int:
        """Gather a run and return its number. The projection has folded all records."""
        writer, run = self._writer, projection.run
        assert run is not None  # noqa: S101 - the caller looked
        changes = projection.drain()
        started = records[0]
        if started.__class__ is not RunStarted:
            started = next(record for record in records if record.__class__ is RunStarted)
        assert isinstance(started, RunStarted)  # noqa: S101 - for the type checker
        no = self._number()
        self._next += 1
        key = no << 28
        add_spans(writer.shapes, key, changes.opened, self._plain, self._others)
        for kept in changes.checkpoints:
            number = key + kept.span.number
            self._checkpoints.append((number, kept.codec, bytearray(kept.body)))
            if kept.extra is not None:
                self._extras.append((kept.extra, number))
            if kept.key:
                insert_keys(writer.db, key, [kept])
        for event in changes.events:
            attributes = _encode(event.attributes).decode()
            row = (key + event.number, event.span, event.time, event.name, attributes)
            self._events.append(row)
        self._dropped += [(count, key + span) for span, count in changes.dropped]
        self._add_run(no, run, started, worker_of(records), batches)
        return no

    def add_brief(self, records: Sequence[AnyRecord], piece: Piece, *, batches: int) -> bool:
        """Gather a run in which nothing unusual happened; False: it is none, ``add`` it."""
        no = self._number()
        brief = self._brief.take(records, no << 28, piece)
        if brief is None:
            return False
        self._next += 1
        self._plain += brief.plain
        self._checkpoints += brief.checkpoints
        started = brief.started
        run = RunState(
            started.run_id,
            text(started.flow),
            started.flow_hash,
            text(started.flow_source),
            text(started.source),
            started.at,
            started.span_base,
            started.parent_span_id,
            RunStatus.COMPLETED,
            brief.end,
            brief.spans,
        )
        worker = str(started.attributes.get("worker.id", ""))
        self._add_run(no, run, started, worker, batches)
        return True

    def _number(self) -> int:
        """Return the number of the next run."""
        if not self._next:
            self._next = self._writer.db.execute(_NEXT).fetchone()[0]
        return self._next

    def _add_run(
        self, no: int, run: RunState, started: RunStarted, worker: str, batches: int
    ) -> None:
        flow = self._flow((run.flow, run.flow_hash, run.flow_source))
        version = self._writer.versions.id(started.code_version) or 0
        self._note_plan(no, flow, version, started.fingerprints)
        inputs = started.inputs
        base = run.span_base
        self._runs.append((
            no,
            run.run_id,
            flow,
            run.source,
            str(run.status),
            run.start,
            run.end,
            base - (1 << 64) if base >= 1 << 63 else base,
            run.parent_span_id,
            REMOTE + worker,
            version,
            started.lineage,
            started.resumed_from,
            started.letter,
            started.generation,
            "" if inputs is None else f"sha256:{sha256(inputs).hexdigest()}",
            _encode(started.policies).decode() if started.policies else "",
            run.spans,
            run.events,
            run.failed_node,
            run.reason,
            run.handled_failures,
            batches,
        ))  # fmt: skip

    def _flow(self, flow: tuple[str, str, str]) -> int:
        found = self._flows.get(flow)
        if found is None:
            db = self._writer.db
            db.execute("INSERT OR IGNORE INTO flow (name, hash, source) VALUES (?, ?, ?)", flow)
            query = "SELECT id FROM flow WHERE name = ? AND hash = ? AND source = ?"
            if len(self._flows) >= _CACHED:
                self._flows.clear()
            found = self._flows[flow] = int(db.execute(query, flow).fetchone()[0])
        return found

    def _note_plan(self, no: int, flow: int, version: int, nodes: bytes) -> None:
        if not version or not nodes or self._plans.get((flow, version)) == nodes:
            return
        self._new_plans.append((no, nodes))
        if (flow, version) not in self._plans:
            if len(self._plans) >= _CACHED:
                self._plans.clear()
            query = "SELECT nodes FROM plan WHERE flow = ? AND version = ?"
            row = self._writer.db.execute(query, (flow, version)).fetchone()
            self._plans[flow, version] = nodes if row is None else bytes(row[0])

    def write(self) -> None:
        """Insert what was gathered."""
        db = self._writer.db
        if not self._runs:
            return
        try:
            self._insert(db)
        finally:
            self._clear()

    def _insert(self, db: sqlite3.Connection) -> None:
        insert_rows(db, _INSERT_RUN, self._runs)
        insert_rows(db, INSERT_PLAIN, self._plain)
        insert_spans(db, [], self._others)
        insert_rows(db, INSERT_CHECKPOINT, self._checkpoints)
        if self._extras:
            db.executemany("UPDATE checkpoint SET extra = ? WHERE id = ?", self._extras)
        if self._events:
            db.executemany(INSERT_EVENT, self._events)
        if self._dropped:
            db.executemany("UPDATE span SET dropped = dropped + ? WHERE id = ?", self._dropped)
        for no, nodes in self._new_plans:
            insert_plan(db, no, nodes)
