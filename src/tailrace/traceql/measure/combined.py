"""Arithmetic between series, point by point."""

from __future__ import annotations

import operator
from collections.abc import Callable

from tailrace.traceql.measure.label import NAME, Identity, identity, write_float
from tailrace.traceql.measure.lines import Line, Point
from tailrace.traceql.tree import BinaryOp

_ALONE: Identity = frozenset()
_OPERATORS: dict[BinaryOp, Callable[[float, float], float]] = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
    BinaryOp.DIV: operator.truediv,
}


def constant(value: float, count: int) -> list[Line]:
    """Return a number as a series of ``count`` points without labels."""
    return [Line({NAME: write_float(value)}, [value] * count)]


def combine(op: BinaryOp, left: list[Line], right: list[Line]) -> list[Line]:
    """Return ``left op right``.

    Series with the same labels meet. One without labels meets each of the other side that has
    no partner. What meets nothing is left out, and so are points that are missing on a side or
    divided by zero.
    """
    lefts = {identity(line.labels): line for line in left}
    rights = {identity(line.labels): line for line in right}
    lines = []
    for key in dict.fromkeys((*lefts, *rights)):
        a, b = lefts.get(key, lefts.get(_ALONE)), rights.get(key, rights.get(_ALONE))
        if a is None or b is None:
            continue
        labels = dict((a if key in lefts else b).labels)
        if NAME in labels:
            labels[NAME] = f"({_name(a)} {op} {_name(b)})"
        pairs = zip(a.values, b.values, strict=True)
        lines.append(Line(labels, [_point(_OPERATORS[op], x, y) for x, y in pairs]))
    return [line for line in lines if not line.is_empty]


def _name(line: Line) -> str:
    return str(line.labels.get(NAME, ""))


def _point(calculate: Callable[[float, float], float], left: Point, right: Point) -> Point:
    if left is None or right is None:
        return None
    try:
        value = calculate(left, right)
    except ZeroDivisionError:
        return None
    return None if value != value else value  # noqa: PLR0124 - NaN
