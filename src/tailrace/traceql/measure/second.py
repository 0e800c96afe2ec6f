"""What follows a metrics function: the first series of each point, the points that fit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import assert_never

from tailrace.traceql.checked import First, Points
from tailrace.traceql.measure.label import label_order
from tailrace.traceql.measure.lines import Line, Point
from tailrace.traceql.tree import BinaryOp, RankName

COMPARE: dict[BinaryOp, Callable[[float, float], bool]] = {
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge,
}


def keep(seconds: tuple[First | Points, ...], lines: list[Line]) -> list[Line]:
    """Return what the stages keep of series, in turn; series without points are left out."""
    for second in seconds:
        match second:
            case First():
                lines = _first(second, lines)
            case Points(op, value):
                lines = [_points(line, COMPARE[op], value) for line in lines]
            case _:
                assert_never(second)
        lines = [line for line in lines if not line.is_empty]
    return lines


def _points(line: Line, fits: Callable[[float, float], bool], bound: float) -> Line:
    return line.masked(
        [value if value is not None and fits(value, bound) else None for value in line.values]
    )


def _first(second: First, lines: list[Line]) -> list[Line]:
    """At equal values the series whose labels come first in order is kept."""
    if len(lines) <= second.count:
        return lines
    sign = -1.0 if second.function is RankName.TOP else 1.0
    ordered = sorted(lines, key=lambda line: label_order(line.labels))
    kept: list[list[Point]] = [[None] * len(line.values) for line in ordered]
    for step in range(len(ordered[0].values)):
        there = [
            (sign * value, number)
            for number, line in enumerate(ordered)
            if (value := line.values[step]) is not None
        ]
        for _, number in sorted(there)[: second.count]:
            kept[number][step] = ordered[number].values[step]
    return [line.masked(points) for line, points in zip(ordered, kept, strict=True)]
