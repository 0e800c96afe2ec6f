"""Runs in which nothing unusual happened: rows made straight from the records.

Nearly all runs that are over when they are heard of are such. The projection makes the same rows
of them, by way of a state that can be cut anywhere, which takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from tailrace.model.journal import (
    AnyRecord,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunStarted,
    ShapeDeclared,
    UserSpanFinished,
    UserSpanStarted,
)
from tailrace.model.states import NodeState, RunStatus, SpanType
from tailrace.store.remote.pieces import Piece
from tailrace.store.remote.settling import SETTLE, settled_at, was_queued
from tailrace.tracing.attributes import attribute, engine, own, text
from tailrace.tracing.shape_pool import ShapePool
from tailrace.tracing.state import Shape

_CACHED = 4_096
_SHARED_CHECKPOINTS = frozenset({"", "stored", "none"})
_BEGINNINGS = frozenset({UserSpanStarted, NodeStarted})
_ENDS = frozenset({UserSpanFinished, NodeFinished})
_ATTEMPT = Shape(
    SpanType.ATTEMPT, attributes={"tailrace.attempt": 1, "tailrace.max_attempts": 1}
).ended(NodeState.SUCCEEDED)
_USER = Shape(SpanType.USER).ended(NodeState.SUCCEEDED)
_NONE = (0, 0)
_encode = msgspec.json.Encoder().encode


class Brief(msgspec.Struct, gc=False):
    """The rows of a run besides its own."""

    started: RunStarted
    end: int
    """When it ended, in nanoseconds since the epoch."""
    spans: int
    """How many it has: attempts that share the rows of their nodes, too."""
    plain: list[tuple[Any, ...]]
    """As ``save.INSERT_PLAIN`` takes them."""
    checkpoints: list[tuple[Any, ...]]
    """As ``save.INSERT_CHECKPOINT`` takes them."""


class BriefRuns:
    """Makes the rows of runs that succeeded at once: no failure, retry, event, scope, reuse.

    Args:
        pool: gives shapes of nodes; shared with projections.
        shape_id: returns the row of a shape.
    """

    def __init__(self, pool: ShapePool, shape_id: Callable[[Shape], int]) -> None:
        self._pool = pool
        self._shape_id = shape_id
        self._shapes: dict[tuple[str, str, str, str], Shape] = {}

    def take(self, records: Sequence[AnyRecord], key: int, piece: Piece) -> Brief | None:
        """Return the rows of a run; None: it needs the projection.

        Args:
            records: all of the run, in order.
            key: number of the run, as the upper bits of the ids of its rows.
            piece: what is told of it: it is over.
        """
        first, last = records[0], records[-1]
        if first.__class__ is not RunStarted or last.__class__ is not RunFinished:
            return None
        assert isinstance(first, RunStarted)  # noqa: S101 - for the type checker
        assert isinstance(last, RunFinished)  # noqa: S101 - likewise
        if not (_begins_plainly(first) and _ends_well(last)):
            return None
        rows: list[Any] = [None]
        checkpoints: list[tuple[Any, ...]] = []
        if first.inputs is not None:
            checkpoints.append((key + 1, first.inputs_codec, bytearray(first.inputs)))
        highest, attempts = self._fold(records, key, rows, checkpoints)
        if not highest:
            return None
        end, shape_id = last.at, self._shape_id
        attributes = _encode(_attributes(first, last)).decode()
        shape = shape_id(self._shape(first))
        rows[0] = (
            key + 1, 0, text(first.flow), "", first.at, shape, end - first.at, attributes, 0,
        )  # fmt: skip
        if was_queued(records):
            taken = max(0, settled_at(piece) - end)
            rows.append((key + highest + 1, 1, SETTLE, "", end, shape_id(_USER), taken, "", 0))
        return Brief(first, end, len(rows) + attempts, rows, checkpoints)

    def _fold(
        self,
        records: Sequence[AnyRecord],
        key: int,
        rows: list[Any],
        checkpoints: list[tuple[Any, ...]],
    ) -> tuple[int, int]:
        """Add the rows of all spans but the run's.

        Returns:
            The highest number of them all (0: they need the projection), and how many are attempts.
        """
        shapes: list[Shape] = []
        begun: dict[int, tuple[int, Any]] = {}
        highest, attempts = 1, 0
        for record in records[1:-1]:
            kind: type = record.__class__
            if kind in _BEGINNINGS:
                number = _highest_of(record, len(shapes))
                if not number or record.span in begun:  # type: ignore[union-attr]
                    return _NONE
                if number > highest:  # noqa: PLR1730 - max() takes three times as long
                    highest = number
                begun[record.span] = (len(rows), record)  # type: ignore[union-attr]
                rows.append(None)
            elif kind in _ENDS:
                place, opened = begun.pop(record.span, (0, None))  # type: ignore[union-attr]
                row = self._row(key, opened, record, shapes, checkpoints)
                if row is None:
                    return _NONE
                rows[place] = row
                attempts += kind is NodeFinished
            elif kind is ShapeDeclared:
                shapes.append(self._pool.node(record.task, record.attributes))  # type: ignore[union-attr, arg-type]
            else:
                return _NONE
        return _NONE if begun else (highest, attempts)

    def _row(
        self,
        key: int,
        opened: Any,
        record: AnyRecord,
        shapes: Sequence[Shape],
        checkpoints: list[tuple[Any, ...]],
    ) -> tuple[Any, ...] | None:
        """Return the row of a span that has ended; None: it needs the projection."""
        if record.__class__ is UserSpanFinished:
            return _user_row(key, opened, record, self._shape_id)
        assert isinstance(record, NodeFinished)  # noqa: S101 - for the type checker
        if not _succeeds_plainly(opened, record):
            return None
        if record.codec and record.output is not None:
            checkpoints.append((key + record.span, record.codec, bytearray(record.output)))
        return _node_row(key, opened, record, shapes, self._shape_id)

    def _shape(self, started: RunStarted) -> Shape:
        """Return the shape of the run's own span."""
        key = (started.flow, started.flow_hash, started.source, started.code_version)
        found = self._shapes.get(key)
        if found is None:
            shared = {
                "tailrace.flow.name": text(started.flow),
                "tailrace.flow.hash": started.flow_hash,
                "tailrace.source": text(started.source),
            }
            if started.code_version:
                shared["tailrace.code.version"] = started.code_version
            if len(self._shapes) >= _CACHED:
                self._shapes.clear()
            found = self._pool.run(shared).ended(RunStatus.COMPLETED)
            self._shapes[key] = found
        return found


def _begins_plainly(record: RunStarted) -> bool:
    return not (record.resumed_from or record.resumed_span or record.lineage or record.letter)


def _ends_well(record: RunFinished) -> bool:
    return record.status is RunStatus.COMPLETED and not (
        record.failure is not None or record.failed_node or record.handled_failures or record.reason
    )


def _highest_of(record: AnyRecord, shapes: int) -> int:
    """Return the highest number that a beginning gives to a span; 0: it is not a plain one."""
    if record.__class__ is UserSpanStarted:
        return record.span
    assert isinstance(record, NodeStarted)  # noqa: S101 - for the type checker
    if (
        record.max_attempts == 1
        and record.attempt == 1
        and record.attempt_span == record.span + 1
        and not record.not_reused
        and not record.waits_until
        and 0 < record.shape <= shapes
    ):
        return record.attempt_span
    return 0


def _succeeds_plainly(opened: Any, record: NodeFinished) -> bool:
    return not (
        opened.__class__ is not NodeStarted
        or record.attempt_span != opened.attempt_span
        or record.state is not NodeState.SUCCEEDED
        or record.failure is not None
        or record.handled
        or record.attributes
        or record.extra is not None
        or record.key
        or record.checkpoint not in _SHARED_CHECKPOINTS
    )


def _attributes(started: RunStarted, finished: RunFinished) -> dict[str, Any]:
    attributes: dict[str, Any] = {"tailrace.run.id": started.run_id}
    for name, value in started.params.items():
        attributes["tailrace.param." + text(name)] = attribute(value)
    for name, value in started.attributes.items():
        for key in _names(name):
            attributes[key] = attribute(value)
    attributes["tailrace.output"] = attribute(finished.output)
    return attributes


@lru_cache(maxsize=1_024)
def _names(key: str) -> tuple[str, ...]:
    """Return the names of an attribute that the engine has set."""
    return tuple(engine({key: 0}))


def _user_row(
    key: int, opened: Any, record: UserSpanFinished, shape_id: Callable[[Shape], int]
) -> tuple[Any, ...] | None:
    if opened.__class__ is not UserSpanStarted or record.failure is not None:
        return None
    body = ""
    if opened.attributes or record.attributes:
        body = _encode(own(opened.attributes) | own(record.attributes)).decode()
    start: int = opened.at
    name = text(opened.name)
    taken = record.at - start
    return (key + record.span, opened.parent, name, "", start, shape_id(_USER), taken, body, 0)


def _node_row(
    key: int,
    opened: Any,
    record: NodeFinished,
    shapes: Sequence[Shape],
    shape_id: Callable[[Shape], int],
) -> tuple[Any, ...]:
    """Return the row of a node and of its attempt."""
    attributes: dict[str, Any] = {}
    for name, value in opened.inputs.items():
        attributes["tailrace.input." + text(name)] = attribute(value)
    attributes["tailrace.output"] = attribute(record.summary)
    shape = shapes[opened.shape - 1].ended(NodeState.SUCCEEDED, record.checkpoint)
    start: int = opened.at
    return (
        key + record.span,
        opened.parent,
        text(opened.name),
        text(opened.path),
        start,
        shape_id(shape),
        record.at - start,
        _encode(attributes).decode(),
        shape_id(_ATTEMPT),
    )
