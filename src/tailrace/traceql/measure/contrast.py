"""``compare()``: which values of which attributes a selection of spans has more often."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from heapq import nsmallest
from itertools import compress

from tailrace.model.search import Value
from tailrace.traceql.block import Block, Owner, TraceHead, Values
from tailrace.traceql.checked import Chain, Contrast, Keep
from tailrace.traceql.measure.columns import Cell, boxed, expanded, unboxed
from tailrace.traceql.measure.label import value_order
from tailrace.traceql.measure.lines import Line, Point
from tailrace.traceql.measure.steps import OUTSIDE as NO_STEP
from tailrace.traceql.measure.steps import Runs, Steps
from tailrace.traceql.measure.view import View
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import Attribute, Intrinsic, IntrinsicName, Scope

META, ERROR, TOO_MANY = "__meta_type", "__meta_error", "__too_many_values__"
SIDES = ("baseline", "selection")
MAX_VALUES = 10_000
"""Values of one attribute that are counted by themselves; the rest counts in the totals only."""
RARE_VALUES = 1_000
"""Values of one attribute in a block from which on, being rare, only those of the selection count.
"""
_ROWS_PER_VALUE = 64
_SPANS_PER_RUN = 8
_N = IntrinsicName
_STORED = (
    _N.NAME, _N.KIND, _N.STATUS, _N.STATUS_MESSAGE, _N.INSTRUMENTATION_NAME,
    _N.INSTRUMENTATION_VERSION,
)  # fmt: skip
"""Compared besides attributes; an empty text is nothing to compare."""
_OF_TRACE: dict[IntrinsicName, Callable[[TraceHead], str]] = {
    _N.ROOT_NAME: lambda head: head.root_name,
    _N.ROOT_SERVICE_NAME: lambda head: head.root_service,
}
EVENT_NAME = _N.EVENT_NAME.value
_SCOPES = {
    Owner.SPAN: Scope.SPAN,
    Owner.RESOURCE: Scope.RESOURCE,
    Owner.INSTRUMENTATION: Scope.INSTRUMENTATION,
    Owner.EVENT: Scope.EVENT,
    Owner.LINK: Scope.LINK,
}
Where = int
"""Twice the number of a step, plus one for the selection."""
OUTSIDE: Where = -1
"""Of a span that does not count."""
Told = tuple[int, Cell, Mapping[Where, int]]
"""A value: its spans on one side in all, and on both sides by place."""


class Faced:
    """One attribute: how many spans have each of its values, and any of them."""

    def __init__(self) -> None:
        self.total: Counter[Where] = Counter()
        self.values: dict[Cell, dict[Where, int]] = {}
        self.is_full = False
        """Whether some values are in the total only, there being too many."""
        self.is_partial = False
        """Whether values are counted in the selection only."""

    def add(self, value: Cell, counts: dict[Where, int]) -> None:
        """Count spans that have a value."""
        counts.pop(OUTSIDE, None)
        if not counts:
            return
        self.total.update(counts)
        found = self.values.get(value)
        if found is not None:
            for where, spans in counts.items():
                found[where] = found.get(where, 0) + spans
        elif len(self.values) < MAX_VALUES:
            self.values[value] = counts
        else:
            self.is_full = True

    def add_each(self, values: Iterable[Cell], places: Sequence[Where]) -> None:
        """Count spans one by one: the value and the place of each."""
        self.total.update(places)
        self.total.pop(OUTSIDE, None)
        held = self.values
        for value, place in zip(values, places, strict=True):
            if place == OUTSIDE:
                continue
            found = held.get(value)
            if found is not None:
                found[place] = found.get(place, 0) + 1
            elif len(held) < MAX_VALUES:
                held[value] = {place: 1}
            else:
                self.is_full = True

    def add_chosen(
        self, values: Iterable[Cell], places: Iterable[Where], total: Mapping[Where, int]
    ) -> None:
        """Count spans with too many values: those of the selection by value, all in the total."""
        self.is_full = self.is_partial = True
        counted = self.total.copy()
        self.add_each(values, list(places))
        self.total = counted
        self.total.update(total)

    def by_side(self) -> tuple[list[Told], list[Told]]:
        """Return the values of the baseline and those of the selection."""
        baseline: list[Told] = []
        selection: list[Told] = []
        has_both = len({where & 1 for where in self.total}) > 1
        only = selection if any(where & 1 for where in self.total) else baseline
        for cell, counts in self.values.items():
            spans = sum(counts.values())
            if not has_both and not self.is_partial:
                only.append((spans, cell, counts))
                continue
            chosen = sum(count for where, count in counts.items() if where & 1)
            if chosen:
                selection.append((chosen, cell, counts))
            if chosen < spans and not self.is_partial:
                baseline.append((spans - chosen, cell, counts))
        return baseline, selection


class Places:
    """The place of each span of a block.

    Args:
        where: the place of each.
        runs: the steps of the spans, where all of them count.
    """

    def __init__(self, where: Sequence[Where], runs: Runs | None) -> None:
        self.where = where
        self._runs = runs
        self._mask = bytes([place > 0 and place & 1 for place in where])
        self._chosen = frozenset(compress(range(len(where)), self._mask))

    def count(self, spans: Sequence[int]) -> dict[Where, int]:
        """Return how many of some spans, which ascend, are at each place."""
        if len(spans) == len(self.where):
            return self._everywhere.copy()
        if self._runs is None or len(spans) < _SPANS_PER_RUN * len(self._runs):
            return Counter(map(self.where.__getitem__, spans))
        counts: Counter[Where] = Counter()
        for step, part in self._runs.split(spans):
            counts[2 * step] += len(part)
        for span in self._chosen.intersection(spans):
            place = self.where[span]
            counts[place - 1] -= 1
            counts[place] += 1
        return +counts

    @cached_property
    def _everywhere(self) -> Counter[Where]:
        return Counter(self.where)

    def chosen_at(self, spans: Sequence[int]) -> list[int]:
        """Return at which places of a list spans of the selection stand."""
        return list(compress(range(len(spans)), map(self._mask.__getitem__, spans)))


class ContrastMeter:
    """``chain | compare(…)`` over any number of blocks."""

    def __init__(self, chain: Chain, contrast: Contrast, steps: Steps, limit: int) -> None:
        self.is_full = False
        """Whether series were left out, there being too many."""
        self._limit = limit
        self._chain = chain
        self._contrast = contrast
        self._selection = Chain((Keep(contrast.selection),))
        self._steps = steps
        self._faced: dict[str, Faced] = {}

    def prepare(self, view: View) -> None:
        """Find the spans of a block, before anything of it is counted.

        Raises:
            OutOfBudget: the query has cost too much.
        """
        for chain in (self._chain, self._selection):
            view.select(chain)
        view.budget.spend(view.block.size * sum(len(view.block.names(owner)) for owner in _SCOPES))

    def add(self, view: View) -> None:
        """Count the values of all attributes of the spans of a block."""
        block, where = view.block, self._where(view)
        if max(where, default=OUTSIDE) < 0:
            return
        base = view.select(self._chain)
        is_whole = isinstance(base, range) and len(base) == block.size
        places = Places(where, view.runs if is_whole else None)
        for owner, scope in _SCOPES.items():
            for name in block.names(owner):
                field = Attribute(scope, name)
                self._add(render_expression(field), block, owner, name, places)
        self._add(EVENT_NAME, block, Owner.INTRINSIC, EVENT_NAME, places)
        for intrinsic in _STORED:
            for cell, rows in view.columns.postings(Intrinsic(intrinsic)) or ():
                self._count(intrinsic, cell, places.count(rows))
        traces = list(zip(block.heads, block.firsts, [*block.firsts[1:], block.size], strict=True))
        for intrinsic, read in _OF_TRACE.items():
            found: defaultdict[str, list[int]] = defaultdict(list)
            for head, first, end in traces:
                found[read(head)] += range(first, end)
            for text, spans in found.items():
                self._count(intrinsic, text, places.count(spans))

    def _count(self, intrinsic: IntrinsicName, cell: Cell, counts: dict[Where, int]) -> None:
        if cell not in (None, ""):
            self._faced.setdefault(intrinsic.value, Faced()).add(cell, counts)

    def _where(self, view: View) -> list[Where]:
        begin, end = self._contrast.start, self._contrast.end
        steps, starts = view.runs.of_span, view.block.starts
        where = [OUTSIDE] * view.block.size
        for span in view.select(self._chain):
            if steps[span] != NO_STEP:
                where[span] = 2 * steps[span]
        for span in view.select(self._selection):
            inside = begin is None or end is None or begin <= starts[span] < end
            if inside and where[span] != OUTSIDE:
                where[span] |= 1
        return where

    def _add(self, name: str, block: Block, owner: Owner, column: str, places: Places) -> None:
        faced = self._faced.setdefault(name, Faced())
        spans_of: Sequence[int] | None = None
        if owner is Owner.EVENT or name == EVENT_NAME:
            spans_of = block.event_spans
        elif owner is Owner.LINK:
            spans_of = block.link_spans
        parts = block.column(owner, column)
        if spans_of is not None or any(part.array for part in parts):
            # Several rows of a span may have one value, which then counts once.
            held: defaultdict[Cell, set[int]] = defaultdict(set)
            for part in parts:
                for value, row in zip(expanded(boxed(part), part.offsets), part.rows, strict=True):
                    held[value].add(row if spans_of is None else spans_of[row])
            for value, spans in held.items():
                faced.add(value, Counter(map(places.where.__getitem__, spans)))
            return
        for part in parts:
            _add_part(faced, part, places)

    def lines(self) -> list[Line]:
        """Return the series: of each attribute the commonest values of both sides, and totals."""
        lines: list[Line] = []
        for name, faced in sorted(self._faced.items()):
            is_cut = faced.is_full
            for side, (meta, found) in enumerate(zip(SIDES, faced.by_side(), strict=True)):
                if found or (faced.is_partial and any(at & 1 == side for at in faced.total)):
                    lines += self._commonest(name, meta, side, found)
                    total: dict[str, Value | None] = {META: f"{meta}_total", name: None}
                    lines.append(Line(total, self._points(faced.total, side)))
                    is_cut |= len(found) > self._contrast.top
            if is_cut:
                nothing: list[Point] = [None] * self._steps.count
                lines.append(Line({ERROR: TOO_MANY, name: None}, nothing, is_note=True))
        if len(lines) > self._limit:
            self.is_full = True
        return lines[: self._limit]

    def _commonest(self, name: str, meta: str, side: int, found: Sequence[Told]) -> list[Line]:
        top = self._contrast.top
        best = nsmallest(top, found, key=lambda told: (-told[0], value_order(unboxed(told[1]))))
        return [
            Line({META: meta, name: unboxed(cell)}, self._points(counts, side))
            for _, cell, counts in best
        ]

    def _points(self, counts: Mapping[Where, int], side: int) -> list[Point]:
        points: list[Point] = [0.0] * self._steps.count
        for where, count in counts.items():
            if where & 1 == side:
                points[where >> 1] = float(count)
        return points


def _add_part(faced: Faced, part: Values, places: Places) -> None:
    """Count a column of single values of spans."""
    rows, offsets = part.rows, part.offsets
    if len(rows) >= _ROWS_PER_VALUE * len(part.values):
        for value, low, high in zip(boxed(part), offsets, offsets[1:], strict=False):
            faced.add(value, places.count(rows[low:high]))
    elif len(part.values) > min(RARE_VALUES, MAX_VALUES):
        _add_chosen(faced, part, places)
    else:
        each = list(map(places.where.__getitem__, rows))
        faced.add_each(expanded(boxed(part), offsets), each)


def _add_chosen(faced: Faced, part: Values, places: Places) -> None:
    """Count a column of too many values."""
    rows, values = part.rows, boxed(part)
    at = places.chosen_at(rows)
    told = (values[bisect_right(part.offsets, one) - 1] for one in at)
    spans = map(rows.__getitem__, at)
    size = len(places.where)
    total = places.count(range(size) if len(rows) == size else sorted(rows))
    faced.add_chosen(told, map(places.where.__getitem__, spans), total)
