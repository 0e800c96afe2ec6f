"""What the failures of one run leave in the store, in the commits of its journal.

Loaded when a run fails for the first time; a run that succeeds has no use for it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tailrace.errors import StoreError
from tailrace.failures.supervision import Escalation, FailureChanges, RunContext
from tailrace.failures.supervision.lost import OpenAttempt
from tailrace.model.failure import FailureSnapshot
from tailrace.model.journal import AnyRecord
from tailrace.model.states import SpanType
from tailrace.store.failure_row import SELECT, failure_of
from tailrace.store.failures import Suppressed
from tailrace.store.keys import NUMBER, span_range
from tailrace.store.letters import insert_letters
from tailrace.store.settlement import settle_letter
from tailrace.store.writer import Writer
from tailrace.tracing.projection import Projection
from tailrace.tracing.state import SpanState

_CONTEXT = """SELECT r.run_id, f.name, f.source, coalesce(v.name, ''), r.lineage, r.letter,
r.generation, r.digest, r.policies, r.writer, r.span_base
FROM run AS r JOIN flow AS f ON f.id = r.flow LEFT JOIN version AS v ON v.id = r.version
WHERE r.no = ?"""
_ON_THEIR_WAY = f"{SELECT} WHERE f.run = ? AND f.disposition = 'open' ORDER BY f.id"
_ATTEMPTS = """SELECT s.parent, s.id, h.attributes FROM span AS s JOIN shape AS h ON h.id = s.shape
WHERE s.id BETWEEN ? AND ? AND h.type = 'attempt' AND s.parent IN (SELECT value FROM json_each(?))
ORDER BY s.id"""
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode
_encode_json = msgspec.json.Encoder().encode


class Fallout:
    """Folds the failing records of a run and writes what follows from them.

    Used inside the transactions that write the records. When one of those is rolled back, the
    fold is ahead of the file: drop it and make another.
    """

    def __init__(
        self, writer: Writer, no: int, suppressed: Suppressed, *, is_first: bool = False
    ) -> None:
        """Begin with what the file holds; with ``is_first`` it holds no failure of the run yet."""
        self._writer = writer
        self._no = no
        self._suppressed = suppressed
        known = [] if is_first else _on_their_way(writer.db, no)
        self._escalation = Escalation(load_context(writer.db, no), known)

    def write(self, records: Iterable[AnyRecord]) -> None:
        """Fold the records and write failures, groups and letters."""
        self._escalation.apply(records)
        changes = self._escalation.drain()
        if changes:
            self._write(changes)

    def lose(self, projection: Projection, records: Iterable[AnyRecord]) -> None:
        """Take in that the process died; ``records`` end the run, INTERRUPTED."""
        attempts = open_attempts(self._writer.db, self._no, projection)
        self._escalation.lose(attempts, time.time_ns())
        self.write(records)

    def _write(self, changes: FailureChanges) -> None:
        writer, letter, settled = self._writer, changes.letter, changes.settled
        ended_by = settled.failure if settled is not None else None
        kept = {one.failure_id for one in (letter, ended_by) if one is not None}
        writer.failures.write(changes.moved, self._suppressed, kept=kept, run=self._no)
        if letter is not None:
            insert_letters(writer.db, [writer.limits.dated(letter)])
        if settled is not None:
            settle_letter(writer.db, writer.limits, settled)


def load_context(db: sqlite3.Connection, no: int) -> RunContext:
    """Return the context of a run from its row.

    Raises:
        StoreError: the row was deleted (TR503).
    """
    row = db.execute(_CONTEXT, (no,)).fetchone()
    if row is None:
        raise StoreError("the run was deleted from the store while it ran", code="TR503")
    run_id, flow, source, version, lineage, letter, generation, *rest = row
    digest, policies, worker, base = rest
    return RunContext(
        run_id=run_id,
        flow=flow,
        flow_source=source,
        code_version=version,
        lineage=lineage,
        letter=letter,
        generation=generation,
        payload_digest=digest,
        policies=_decode_json(policies) if policies else {},
        worker_id=worker,
        host=os.uname().nodename,
        span_base=base & 0xFFFF_FFFF_FFFF_FFFF,
        parent=("root", f"worker:{worker}"),
    )


def open_attempts(db: sqlite3.Connection, no: int, projection: Projection) -> list[OpenAttempt]:
    """Return what was under way when a process died, in the order of its start.

    A node between two attempts is shown with the one that failed last.
    """
    spans = projection.open
    running = {span.parent: span for span in spans.values() if span.shape.type is SpanType.ATTEMPT}
    nodes = [span for span in spans.values() if span.shape.type is SpanType.NODE]
    waiting = [span.number for span in nodes if span.number not in running]
    last = _last_attempts(db, no, waiting) if waiting else {}
    return [
        _open_attempt(node, running.get(node.number), last.get(node.number))
        for node in sorted(nodes, key=lambda span: span.number)
    ]


def _last_attempts(
    db: sqlite3.Connection, no: int, nodes: Sequence[int]
) -> dict[int, tuple[int, dict[str, Any]]]:
    """Return number and attributes of the newest attempt of each node."""
    rows = db.execute(_ATTEMPTS, (*span_range(no), _encode_json(nodes).decode()))
    return {parent: (key & NUMBER, _decode_json(body)) for parent, key, body in rows}


def _open_attempt(
    node: SpanState, running: SpanState | None, last: tuple[int, dict[str, Any]] | None
) -> OpenAttempt:
    if running is not None:
        span, started, attributes = running.number, running.start, running.shape.attributes
    else:
        span, attributes = last or (0, {})
        started = node.start
    policy = node.shape.attributes.get("tailrace.policy")
    return OpenAttempt(
        node=node.path or node.name,
        task=node.shape.task,
        attempt=attributes.get("tailrace.attempt", 1),
        max_attempts=attributes.get("tailrace.max_attempts", 1),
        span=span,
        started_ns=started,
        policy=_decode_json(policy) if isinstance(policy, str) else policy,
    )


def _on_their_way(db: sqlite3.Connection, no: int) -> list[FailureSnapshot]:
    return [failure_of(row) for row in db.execute(_ON_THEIR_WAY, (no,))]
