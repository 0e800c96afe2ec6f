"""Spans that stand for points of series."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import NamedTuple

from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import Exemplar
from tailrace.traceql.block import Block
from tailrace.traceql.measure.lines import Line
from tailrace.traceql.measure.table import Group

PER_POINT = 2
"""Spans that one point has at most: those that began first."""


class Noted(NamedTuple):
    """A span that may become an exemplar; ordered by its start."""

    start: int
    trace_id: str
    span_id: str
    value: float | None
    """None where spans are only counted."""


class Exemplars:
    """The first spans of each group and step."""

    def __init__(self) -> None:
        self._noted: dict[tuple[Group, int], list[Noted]] = {}

    def add(
        self,
        block: Block,
        group: Group,
        step: int,
        spans: Iterable[tuple[int, float | None]],
    ) -> None:
        """Note spans with their values."""
        starts = block.starts
        first = nsmallest(PER_POINT, spans, key=lambda pair: (starts[pair[0]], pair[0]))
        if first:
            new = [_noted(block, span, value) for span, value in first]
            before = self._noted.get((group, step), [])
            self._noted[group, step] = sorted({*before, *new}, key=_place)[:PER_POINT]

    def of(self, group: Group, step: int) -> list[Noted]:
        """Return the spans that stand for one point."""
        return self._noted.get((group, step), [])


def _noted(block: Block, span: int, value: float | None) -> Noted:
    head = block.heads[bisect_right(block.firsts, span) - 1]
    return Noted(block.starts[span], head.trace_id, block.span_ids[span], value)


def _place(noted: Noted) -> tuple[int, str, str]:
    return noted[:3]


def attach(line: Line, step: int, noted: Noted, value: float) -> None:
    """Let a span stand for a point."""
    found = Exemplar(
        trace_id=RunId(noted.trace_id),
        span_id=SpanId(noted.span_id),
        time_ns=noted.start,
        value=value,
    )
    line.exemplars.append((step, found))


def thin(lines: Sequence[Line], wanted: int) -> None:
    """Leave ``wanted`` exemplars in all, spread over time."""
    every = sorted(
        (found.time_ns, found.trace_id, found.span_id, number, place)
        for number, line in enumerate(lines)
        for place, (_, found) in enumerate(line.exemplars)
    )
    if len(every) <= wanted:
        return
    kept = {every[index * len(every) // wanted][3:] for index in range(wanted)}
    for number, line in enumerate(lines):
        line.exemplars = [
            pair for place, pair in enumerate(line.exemplars) if (number, place) in kept
        ]
