"""Skipping segments by what is known of their columns."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from tailrace.store.segments.catalogue import Segment
from tailrace.store.segments.frame import BLOCK, Part
from tailrace.store.segments.segment_block import SegmentBlock
from tailrace.traceql.block import Owner, Values
from tailrace.traceql.plan import All, Condition, Known, Leaf, Of, Some, column_may_hold, may_match
from tailrace.traceql.tree import BinaryOp, IntrinsicName, Type

BOUNDS = """SELECT c.segment, c.type, c.least, c.most FROM json_each(?) AS s
CROSS JOIN segment_column AS c ON c.segment = s.value AND c.owner = ? AND c.name = ?"""
_N = IntrinsicName
_MOST_COLUMNS = 1_024
"""Columns whose bounds are remembered before all are forgotten."""
_TEXTS = frozenset({Type.STRING, Type.STATUS, Type.KIND})
_WHOLE = frozenset({Type.INT, Type.DURATION})


class Bound(NamedTuple):
    """What is known of the values of one type in a column of a segment."""

    kind: Type
    least: Known | None
    most: Known | None


class Bounds:
    """Bounds of columns in all segments; what is read is kept, for segments never change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[int, list[Bound]]] = {}

    def of(
        self, db: sqlite3.Connection, segments: Iterable[int], owner: str, name: str
    ) -> Mapping[int, Sequence[Bound]]:
        """Return the bounds of a column by segment, with those of others perhaps."""
        key = owner, name
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_COLUMNS:
                self._known.clear()
            known = self._known[key] = {}
        missing = [segment for segment in segments if segment not in known]
        if missing:
            known.update((segment, []) for segment in missing)
            for segment, type_name, *both in db.execute(BOUNDS, (json.dumps(missing), *key)):
                kind = Type.DURATION if owner == BLOCK else Type(type_name.removesuffix("[]"))
                least, most = (
                    bool(one) if kind is Type.BOOL and one is not None else one for one in both
                )
                known[segment].append(Bound(kind, least, most))
        return known


class Pruning:
    """Tells which segments can hold what a query needs.

    Args:
        condition: what a trace must meet.
        db: reads the file, in one transaction for as long as this is used.
        segments: the numbers of all that may be asked for.
        bounds: what is known of their columns.
    """

    def __init__(
        self,
        condition: Condition,
        db: sqlite3.Connection,
        segments: Sequence[int],
        bounds: Bounds,
    ) -> None:
        self._condition = condition
        self._db = db
        self._segments = segments
        self._bounds = bounds

    def may_hold(self, segment: Segment, block: SegmentBlock | None = None) -> bool:
        """Return whether some trace of a segment can meet the condition.

        Args:
            segment: which.
            block: its columns, as far as they have been read.
        """
        return may_match(self._condition, lambda leaf: self._is_possible(segment, block, leaf))

    def _is_possible(self, segment: Segment, block: SegmentBlock | None, leaf: Leaf) -> bool:
        match leaf.owner:
            case Of.TRACE:
                if leaf.name == _N.TRACE_DURATION:
                    return column_may_hold(leaf, Type.DURATION, 0, segment.longest)
                return True
            case Of.SPAN:
                if leaf.name != _N.DURATION:
                    return True
                some = self._bounds.of(self._db, self._segments, BLOCK, Part.DURATIONS.value)
                return any(
                    column_may_hold(leaf, Type.DURATION, one.least, one.most)
                    for one in some[segment.id]
                )
            case Owner():
                owner, name = leaf.owner, leaf.name
                some = self._bounds.of(self._db, self._segments, owner.value, name)
                if not any(
                    column_may_hold(
                        leaf, one.kind, one.least, one.most, has_nan=one.kind is Type.FLOAT
                    )
                    for one in some[segment.id]
                ):
                    return False
                if block is None or leaf.op is not BinaryOp.EQ:
                    return True
                columns = block.known_column(owner, name)
                return columns is None or any(_may_have(part, leaf.value) for part in columns)


def _may_have(column: Values, value: Known | None) -> bool:
    """Return whether a value is in a column; also where that is not quickly said."""
    fits = column.type in _TEXTS if isinstance(value, str) else column.type in _WHOLE
    if not fits or not isinstance(value, str | int) or isinstance(value, bool):
        return True
    place = bisect_left(column.values, value)
    return place < len(column.values) and column.values[place] == value


def wanted_traces(condition: Condition) -> frozenset[str] | None:
    """Return the ids of the only traces that can meet the condition; None: any may."""
    match condition:
        case Leaf():
            if (condition.owner, condition.name, condition.op) == _BY_ID:
                return frozenset({str(condition.value)})
            return None
        case All():
            known = [ids for ids in _parts(condition) if ids is not None]
            return reduce(frozenset.__and__, known) if known else None
        case Some():
            found = list(_parts(condition))
            if any(ids is None for ids in found):
                return None
            return frozenset(one for ids in found if ids is not None for one in ids)


_BY_ID = (Of.TRACE, _N.TRACE_ID.value, BinaryOp.EQ)


def _parts(condition: All | Some) -> Iterator[frozenset[str] | None]:
    return map(wanted_traces, condition.parts)
