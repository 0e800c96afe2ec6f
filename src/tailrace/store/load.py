"""Reading rows back as projected state."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tailrace.model.journal import AnyRecord
from tailrace.model.span import Checkpoint
from tailrace.model.states import RunStatus, SpanStatus, SpanType
from tailrace.store.keys import NUMBER, STATUS, journal_range, span_range
from tailrace.store.outline import Outline
from tailrace.tracing.projection import Projection
from tailrace.tracing.state import EventAdded, RunState, Shape, SpanState
from tailrace.tracing.wire import decode

_ERROR = STATUS.index(SpanStatus.ERROR)
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode
_SPAN_COLUMNS = (
    "id, parent, shape, name, path, start, duration, attributes, status, message, dropped, attempt"
)
_RUN_COLUMNS = """r.run_id, f.name, f.hash, f.source, r.source, r.start, r.span_base,
r.parent_span_id, r.status, r."end", r.spans, r.events, r.failed_node,
r.reason, r.handled_failures, r.lineage, r.resumed_from, r.letter, r.generation,
coalesce((SELECT v.name FROM version AS v WHERE v.id = r.version), '')"""

START = 7
"""Where the start stands in a row of ``select_runs``."""


def load_run(db: sqlite3.Connection, no: int) -> RunState | None:
    """Return the run with that number; None when it is gone."""
    row = db.execute(
        f"SELECT {_RUN_COLUMNS} FROM run AS r JOIN flow AS f ON f.id = r.flow WHERE r.no = ?",  # noqa: S608 - constant columns
        (no,),
    ).fetchone()
    return None if row is None else run_of(row)


def select_runs(condition: str) -> str:
    """Return the query for runs: number, writer's token, then the columns ``run_of`` takes."""
    return (
        f"SELECT r.no, r.writer, {_RUN_COLUMNS} "  # noqa: S608 - no user text
        f"FROM run AS r JOIN flow AS f ON f.id = r.flow {condition}"
    )


def run_of(row: Sequence[Any]) -> RunState:
    """Return the run of a row."""
    (run_id, flow, flow_hash, flow_source, source, start, base, parent, status, *rest) = row
    end, spans, events, failed_node, reason, handled, *origin = rest
    return RunState(
        run_id,
        flow,
        flow_hash,
        flow_source,
        source,
        start,
        base & 0xFFFF_FFFF_FFFF_FFFF,
        parent,
        RunStatus(status),
        end,
        spans,
        events,
        failed_node,
        reason,
        handled,
        *origin,
    )


class SpanRows:
    """Reads span rows; shapes are read once each."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._shapes: dict[int, Shape] = {}

    def select(self, no: int, condition: str = "") -> Iterator[SpanState]:
        """Yield the spans of a run that meet the condition, in the order of their numbers."""
        query = (
            f"SELECT {_SPAN_COLUMNS} FROM span "  # noqa: S608 - constant text
            f"WHERE id BETWEEN ? AND ? {condition} ORDER BY id"
        )
        for row in self._db.execute(query, span_range(no)):
            span = self._span(row)
            yield span
            if row[-1] is not None:
                yield self._attempt(row[-1], span)

    def pick(self, no: int, numbers: Iterable[int]) -> Iterator[SpanState]:
        """Yield the spans of a run that have these numbers and stand in rows."""
        key = no << 28
        query = f"SELECT {_SPAN_COLUMNS} FROM span WHERE id = ?"  # noqa: S608 - constant text
        for number in numbers:
            row = self._db.execute(query, (key + number,)).fetchone()
            if row is not None:
                yield self._span(row)
            elif number > 1:
                node = self._db.execute(query, (key + number - 1,)).fetchone()
                if node is not None and node[-1] is not None:
                    yield self._attempt(node[-1], self._span(node))

    def outline(self, no: int, spans: int) -> Outline:
        """Return the shape of the trace, as far as it stands in rows."""
        outline = Outline(spans)
        query = (
            "SELECT id, parent, shape, status, attempt IS NOT NULL FROM span "
            "WHERE id BETWEEN ? AND ?"
        )
        shapes = self._shapes
        for key, parent, shape, status, attempted in self._db.execute(query, span_range(no)):
            number = key & NUMBER
            kind = (shapes.get(shape) or self.shape(shape)).type
            outline.add(number, parent, kind, failed=status == _ERROR)
            if attempted:
                outline.add(number + 1, number, SpanType.ATTEMPT, failed=False)
        return outline

    def shape(self, number: int) -> Shape:
        """Return the shape with that row id."""
        known = self._shapes.get(number)
        if known is None:
            query = "SELECT type, construct, task, attributes FROM shape WHERE id = ?"
            row = self._db.execute(query, (number,)).fetchone()
            if row is None:
                raise ValueError(f"there is no shape {number}")
            kind, construct, task, attributes = row
            known = Shape(SpanType(kind), construct, task, _decode_json(attributes))
            self._shapes[number] = known
        return known

    def _span(self, row: tuple[Any, ...]) -> SpanState:
        key, parent, shape, name, path, start, duration, attributes, *rest = row
        status, message, dropped, _ = rest
        return SpanState(
            key & NUMBER,
            parent,
            self._shapes.get(shape) or self.shape(shape),
            name,
            path,
            start,
            _decode_json(attributes) if attributes else {},
            None if duration is None else start + duration,
            STATUS[status],
            message,
            dropped,
            known=True,
        )

    def _attempt(self, shape: int, node: SpanState) -> SpanState:
        """Return the attempt that shares its node's row."""
        return SpanState(
            node.number + 1,
            node.number,
            self._shapes.get(shape) or self.shape(shape),
            node.name,
            "",
            node.start,
            {},
            node.end,
            SpanStatus.UNSET,
            known=True,
        )


def load_projection(
    db: sqlite3.Connection, no: int, spans: Iterable[SpanState] | None = None
) -> Projection | None:
    """Return the projection of a run as it was last written; None when the run is gone.

    ``spans`` are the run's open spans where the caller has read them already.
    """
    run = load_run(db, no)
    if run is None:
        return None
    rows = SpanRows(db)
    declared = array("I")
    declared.frombytes(
        db.execute("SELECT coalesce(shapes, x'') FROM run WHERE no = ?", (no,)).fetchone()[0]
    )
    shapes = [rows.shape(number) for number in declared]
    if spans is None:
        spans = rows.select(no, "AND duration IS NULL")
    return Projection.resumed(run, shapes, spans, _latest(db, no))


def _latest(db: sqlite3.Connection, no: int) -> int:
    query = """SELECT max(
        (SELECT coalesce(max(start + coalesce(duration, 0)), 0) FROM span
         WHERE id BETWEEN ? AND ?),
        (SELECT coalesce(max(time), 0) FROM event WHERE id BETWEEN ? AND ?))"""
    return int(db.execute(query, span_range(no) * 2).fetchone()[0])


def load_events(
    db: sqlite3.Connection, no: int, spans: Container[int] | None = None, *, first: int = 0
) -> Iterator[EventAdded]:
    """Yield events of a run in the order in which they came.

    Args:
        db: a connection.
        no: of the run.
        spans: whose events; None: all.
        first: number of the first event that is wanted.
    """
    query = (
        "SELECT id, span, time, name, attributes FROM event WHERE id BETWEEN ? AND ? ORDER BY id"
    )
    least, last = span_range(no)
    for key, span, time, name, attributes in db.execute(query, (least + first, last)):
        if spans is None or span in spans:
            yield EventAdded(key & NUMBER, span, time, name, _decode_json(attributes))


def load_checkpoints(
    db: sqlite3.Connection, no: int, *, of_run: bool = False
) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a run in the order of their spans.

    The run's own, with an empty path, holds what it was started with; ``of_run``
    yields that alone.
    """
    query = """SELECT iif(s.id & 268435455 = 1, '', iif(s.path = '', s.name, s.path)),
        c.codec, c.body, coalesce(s.start + s.duration, s.start), c.extra
        FROM checkpoint AS c JOIN span AS s ON s.id = c.id
        WHERE c.id BETWEEN ? AND ? ORDER BY s.start + s.duration, c.id"""
    bounds = (no << 28 | 1, no << 28 | 1) if of_run else span_range(no)
    for path, codec, body, time, extra in db.execute(query, bounds):
        yield Checkpoint(path=path, codec=codec, body=body, time_ns=time, extra=extra)


def load_lost(db: sqlite3.Connection, no: int) -> list[str]:
    """Return the paths of nodes of a run whose output was stored and is there no more."""
    query = """SELECT iif(s.path = '', s.name, s.path)
        FROM span AS s CROSS JOIN shape AS h ON h.id = s.shape
        WHERE s.id BETWEEN ? AND ? AND h.type = 'node'
        AND NOT EXISTS (SELECT 1 FROM checkpoint AS c WHERE c.id = s.id)
        AND json_extract(h.attributes, '$."tailrace.checkpoint"') = 'stored'"""
    return [path for (path,) in db.execute(query, span_range(no))]


def load_tail(db: sqlite3.Connection, no: int) -> list[AnyRecord]:
    """Return the records of a run that are not projected yet."""
    query = "SELECT body FROM journal WHERE id BETWEEN ? AND ? ORDER BY id"
    rows = db.execute(query, journal_range(no)).fetchall()
    return [record for (body,) in rows for record in decode(body)]
