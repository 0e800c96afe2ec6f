"""Writing projected state as rows."""

from __future__ import annotations

import sqlite3
from array import array
from hashlib import sha256
from typing import Any

import msgspec

from tailrace.model.journal import RunStarted
from tailrace.model.states import SpanStatus, SpanType
from tailrace.store.keys import STATUS
from tailrace.store.recall import insert_keys
from tailrace.store.shapes import ShapeTable
from tailrace.tracing.state import Changes, RunState, SpanState

_CODE = {status: code for code, status in enumerate(STATUS)}
_UNSET = SpanStatus.UNSET
_ATTEMPT = SpanType.ATTEMPT
_encode = msgspec.json.Encoder().encode

# None and bytes are slow to bind (they go through sqlite3's adapters), so neither is bound here
# for the rows that are many.
INSERT_PLAIN = """INSERT INTO span
(id, parent, name, path, start, shape, duration, attributes, attempt)
VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, 0))"""
_INSERT_SPAN = """INSERT INTO span
(id, parent, name, path, start, shape, duration, attributes, status, message, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
INSERT_CHECKPOINT = "INSERT INTO checkpoint (id, codec, body) VALUES (?, ?, ?)"
INSERT_EVENT = "INSERT INTO event (id, span, time, name, attributes) VALUES (?, ?, ?, ?, ?)"
_UPDATE_SPAN = """UPDATE span
SET shape = ?, duration = ?, attributes = ?, status = ?, message = ?, dropped = ?, name = ?
WHERE id = ?"""
_SPLIT = (
    """INSERT INTO span (id, parent, shape, name, path, start, duration)
    SELECT id + 1, id & 268435455, attempt, name, '', start, duration
    FROM span WHERE id = ? - 1 AND attempt IS NOT NULL""",
    "UPDATE span SET attempt = NULL WHERE id = ? - 1 AND attempt IS NOT NULL",
)
"""Gives an attempt that shares its node's row one of its own."""


def insert_run(
    db: sqlite3.Connection,
    run: RunState,
    started: RunStarted,
    *,
    version: int | None,
    writer: str,
) -> int:
    """Write the row of a run that has started and return its number.

    Args:
        db: in the caller's transaction.
        run: the run as projected.
        started: the record that started it.
        version: number of its code version.
        writer: token of the process that runs it.
    """
    flow = (run.flow, run.flow_hash, run.flow_source)
    inputs = started.inputs
    db.execute("INSERT OR IGNORE INTO flow (name, hash, source) VALUES (?, ?, ?)", flow)
    cursor = db.execute(
        """INSERT INTO run (run_id, flow, source, status, start, span_base, parent_span_id, writer,
        version, lineage, resumed_from, letter, generation, digest, policies)
        SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM flow
        WHERE name = ? AND hash = ? AND source = ?""",
        (
            run.run_id,
            run.source,
            str(run.status),
            run.start,
            run.span_base - (1 << 64) if run.span_base >= 1 << 63 else run.span_base,
            run.parent_span_id,
            writer,
            version,
            started.lineage,
            started.resumed_from,
            started.letter,
            started.generation,
            "" if inputs is None else f"sha256:{sha256(inputs).hexdigest()}",
            _encode(started.policies).decode() if started.policies else "",
            *flow,
        ),
    )
    return cursor.lastrowid or 0


def insert_plan(db: sqlite3.Connection, no: int, nodes: bytes) -> None:
    """Keep what each node of a run's flow does, once for each version of its code.

    A version that a project has pinned may stand for several codes: those that come after the
    first are kept with their runs.
    """
    row = (bytearray(nodes), no)
    db.execute("INSERT OR IGNORE INTO plan SELECT flow, version, ? FROM run WHERE no = ?", row)
    db.execute(
        """UPDATE run SET nodes = ?1 WHERE no = ?2 AND ?1 <> (SELECT p.nodes FROM plan AS p
        WHERE p.flow = run.flow AND p.version = run.version)""",
        row,
    )


def write_changes(
    db: sqlite3.Connection, shapes: ShapeTable, no: int, run: RunState, changes: Changes
) -> bool:
    """Write what changed, inside the caller's transaction.

    Returns False when somebody deleted the run.
    """
    _insert_spans(db, shapes, no << 28, changes.opened)
    key = no << 28
    if changes.changed:
        db.executemany(
            _UPDATE_SPAN,
            [(*_changing(shapes, span), span.name, key + span.number) for span in changes.changed],
        )
    if changes.checkpoints:
        db.executemany(
            INSERT_CHECKPOINT,
            [
                (key + kept.span.number, kept.codec, bytearray(kept.body))
                for kept in changes.checkpoints
            ],
        )
        db.executemany(
            "UPDATE checkpoint SET extra = ? WHERE id = ?",
            [
                (kept.extra, key + kept.span.number)
                for kept in changes.checkpoints
                if kept.extra is not None
            ],
        )
        insert_keys(db, key, changes.checkpoints)
    if changes.events:
        db.executemany(
            INSERT_EVENT,
            [
                (key + e.number, e.span, e.time, e.name, _encode(e.attributes).decode())
                for e in changes.events
            ],
        )
    if changes.dropped:
        for statement in _SPLIT:
            db.executemany(statement, [(key + span,) for span, _ in changes.dropped])
        db.executemany(
            "UPDATE span SET dropped = dropped + ? WHERE id = ?",
            [(count, key + span) for span, count in changes.dropped],
        )
    if changes.shapes:
        added = array("I", [shapes.id(shape) for shape in changes.shapes])
        db.execute(
            "UPDATE run SET shapes = CAST(coalesce(shapes, x'') || ? AS BLOB) WHERE no = ?",
            (added.tobytes(), no),
        )
    return _update_run(db, no, run)


def _update_run(db: sqlite3.Connection, no: int, run: RunState) -> bool:
    if run.end is None:
        statement = "UPDATE run SET spans = ?, events = ? WHERE no = ?"
        return db.execute(statement, (run.spans, run.events, no)).rowcount == 1
    statement = """UPDATE run SET spans = ?, events = ?, status = ?, "end" = ?, failed_node = ?,
        reason = ?, handled_failures = ?, shapes = NULL WHERE no = ?"""
    cursor = db.execute(
        statement,
        (
            run.spans,
            run.events,
            str(run.status),
            run.end,
            run.failed_node,
            run.reason,
            run.handled_failures,
            no,
        ),
    )
    return cursor.rowcount == 1


def _insert_spans(
    db: sqlite3.Connection, shapes: ShapeTable, key: int, spans: list[SpanState]
) -> None:
    plain: list[tuple[Any, ...]] = []
    others: list[tuple[Any, ...]] = []
    add_spans(shapes, key, spans, plain, others)
    insert_spans(db, plain, others)


def insert_spans(
    db: sqlite3.Connection, plain: list[tuple[Any, ...]], others: list[tuple[Any, ...]]
) -> None:
    """Insert the rows that ``add_spans`` has made, of any number of runs."""
    if plain:
        db.executemany(INSERT_PLAIN, plain)
    if others:
        db.executemany(_INSERT_SPAN, others)


def add_spans(
    shapes: ShapeTable,
    key: int,
    spans: list[SpanState],
    plain: list[tuple[Any, ...]],
    others: list[tuple[Any, ...]],
) -> None:
    """Add the rows of new spans to ``plain`` and ``others``.

    An attempt that its node's row can stand for gets none of its own.
    """
    shape_id = shapes.id
    following = iter(spans)
    next(following, None)
    covered: SpanState | None = None
    for span in spans:
        after = next(following, None)
        if span is covered:
            continue
        row = key + span.number, span.parent, span.name, span.path, span.start
        end = span.end
        if end is None or span.status is not _UNSET or span.message or span.dropped:
            others.append((*row, *_changing(shapes, span)))
            continue
        attempt = 0
        if after is not None and after.parent == span.number and _is_covered(after, span):
            covered, attempt = after, shape_id(after.shape)
        attributes = span.attributes
        body = _encode(attributes).decode() if attributes else ""
        plain.append((*row, shape_id(span.shape), end - span.start, body, attempt))


def _is_covered(span: SpanState, node: SpanState) -> bool:
    """Return whether the span is an attempt that can be read off the row of its node."""
    return (
        span.end == node.end
        and span.start == node.start
        and span.number == node.number + 1
        and span.shape.type is _ATTEMPT
        and span.status is _UNSET
        and not (span.attributes or span.message or span.dropped)
        and span.name == node.name
    )


def _changing(shapes: ShapeTable, span: SpanState) -> tuple[Any, ...]:
    return (
        shapes.id(span.shape),
        None if span.end is None else span.end - span.start,
        _encode(span.attributes).decode() if span.attributes else None,
        _CODE[span.status],
        span.message,
        span.dropped,
    )
