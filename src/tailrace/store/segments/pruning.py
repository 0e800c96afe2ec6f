"""Skipping segments by what is known of their columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import reduce

from tailrace.store.segments.catalogue import Segment
from tailrace.store.segments.frame import BLOCK, Part
from tailrace.traceql.block import Owner
from tailrace.traceql.plan import All, Condition, Leaf, Of, Some, column_may_hold, may_match
from tailrace.traceql.tree import BinaryOp, IntrinsicName, Type

BOUNDS = """SELECT type, least, most FROM segment_column
WHERE segment = ? AND owner = ? AND name = ?"""
_N = IntrinsicName


def may_hold(db: sqlite3.Connection, segment: Segment, condition: Condition) -> bool:
    """Return whether some trace of the segment can meet the condition."""
    return may_match(condition, lambda leaf: _is_possible(db, segment, leaf))


def _is_possible(db: sqlite3.Connection, segment: Segment, leaf: Leaf) -> bool:
    match leaf.owner:
        case Of.TRACE:
            if leaf.name == _N.TRACE_DURATION:
                return column_may_hold(leaf, Type.DURATION, 0, segment.longest)
            return True
        case Of.SPAN:
            if leaf.name != _N.DURATION:
                return True
            rows = db.execute(BOUNDS, (segment.id, BLOCK, Part.DURATIONS.value)).fetchall()
            return any(column_may_hold(leaf, Type.DURATION, low, high) for _, low, high in rows)
        case Owner():
            rows = db.execute(BOUNDS, (segment.id, leaf.owner.value, leaf.name)).fetchall()
            return any(_column_may_hold(leaf, *row) for row in rows)


def _column_may_hold(
    leaf: Leaf, type_name: str, least: str | float | None, most: str | float | None
) -> bool:
    kind = Type(type_name.removesuffix("[]"))
    if kind is Type.BOOL:
        low = None if least is None else bool(least)
        high = None if most is None else bool(most)
        return column_may_hold(leaf, kind, low, high)
    return column_may_hold(leaf, kind, least, most, has_nan=kind is Type.FLOAT)


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
