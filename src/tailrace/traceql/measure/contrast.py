"""``compare()``: which values of which attributes a selection of spans has more often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import compress

from tailrace.traceql.block import Block, Owner, Values
from tailrace.traceql.checked import Chain, Contrast, Keep
from tailrace.traceql.evaluate.fields import STORED
from tailrace.traceql.measure.columns import Cell, boxed, expanded, unboxed
from tailrace.traceql.measure.faced import Faced
from tailrace.traceql.measure.lines import Line, Point
from tailrace.traceql.measure.places import Places, Spread, less
from tailrace.traceql.measure.steps import Steps
from tailrace.traceql.measure.view import View
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import Attribute, IntrinsicName, Scope

META, ERROR, TOO_MANY = "__meta_type", "__meta_error", "__too_many_values__"
SIDES = ("baseline", "selection")
MAX_VALUES = 10_000
"""Values of one attribute that are counted by themselves; the rest counts in the totals only."""
RARE_VALUES = 1_000
"""Values of one attribute in a block from which on, being rare, only those of the selection count.
"""
_ROWS_PER_VALUE = 64
_N = IntrinsicName
_STORED = (
    _N.NAME, _N.KIND, _N.STATUS, _N.STATUS_MESSAGE, _N.INSTRUMENTATION_NAME,
    _N.INSTRUMENTATION_VERSION,
)  # fmt: skip
"""Compared besides attributes; an empty text is nothing to compare."""
_OF_TRACE = (_N.ROOT_NAME, _N.ROOT_SERVICE_NAME)
EVENT_NAME = _N.EVENT_NAME.value
_SCOPES = {
    Owner.SPAN: Scope.SPAN,
    Owner.RESOURCE: Scope.RESOURCE,
    Owner.INSTRUMENTATION: Scope.INSTRUMENTATION,
    Owner.EVENT: Scope.EVENT,
    Owner.LINK: Scope.LINK,
}


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
        self._all_faced: dict[str, Faced] = {}

    def prepare(self, view: View) -> None:
        """Find the spans of a block, before anything of it is counted.

        Raises:
            OutOfBudget: the query has cost too much.
        """
        view.select(self._chain)
        view.select(self._selection)
        view.budget.spend(view.block.size * sum(len(view.block.names(owner)) for owner in _SCOPES))

    def add(self, view: View) -> None:
        """Count the values of all attributes of the spans of a block."""
        block, places = view.block, self._places(view)
        if places.is_empty:
            return
        for owner, scope in _SCOPES.items():
            names = block.names(owner)
            sharing = block.shared(owner) if names else None
            bodies = None if sharing is None else _Bodies(sharing.bodies, places)
            for name in names:
                shown = render_expression(Attribute(scope, name))
                if (
                    sharing is None
                    or bodies is None
                    or not self._add_shared(shown, sharing.by_body(name), bodies)
                ):
                    self._add(shown, block, owner, name, places)
        self._add(EVENT_NAME, block, Owner.INTRINSIC, EVENT_NAME, places)
        for intrinsic in _STORED:
            self._add_stored(block, intrinsic, places)
        for intrinsic in _OF_TRACE:
            faced = self._faced(intrinsic.value)
            selected, every = places.of_traces(intrinsic)
            for text, spans, where in every:
                if text:
                    faced.add(text, spans, where)
            _select_texts(faced, selected, places.selected)

    def _faced(self, name: str) -> Faced:
        found = self._all_faced.get(name)
        if found is None:
            found = self._all_faced[name] = Faced(MAX_VALUES)
        return found

    def _add_shared(self, name: str, parts: Sequence[Values], bodies: _Bodies) -> bool:
        """Count what spans share by its bodies, unless there are arrays or too many values."""
        if any(part.array or len(part.values) > RARE_VALUES for part in parts):
            return False
        faced = self._faced(name)
        for part in parts:
            for value, low, high in zip(boxed(part), part.offsets, part.offsets[1:], strict=False):
                bodies.add(faced, value, part.rows[low:high])
        return True

    def _add_stored(self, block: Block, intrinsic: IntrinsicName, places: Places) -> None:
        absent, faced = STORED[intrinsic], self._faced(intrinsic.value)
        parts = block.column(Owner.INTRINSIC, intrinsic.value)
        rest = [places.of_all(part) for part in parts]
        selected = Counter(places.selected)
        for part in parts:
            values = part.values
            for number, spans, where in places.of_each(part):
                if text := values[number]:
                    faced.add(text, spans, where)
            numbers, steps = places.of_chosen(part)
            _select_texts(faced, [str(values[number]) for number in numbers], steps)
            selected.subtract(steps)
        if absent:
            every = less(places.everywhere, rest)
            faced.add(absent, sum(every[1]), lambda: every)
            steps = list(selected.elements())
            faced.select([absent] * len(steps), steps)

    def _places(self, view: View) -> Places:
        begin, end = self._contrast.start, self._contrast.end
        selection = view.select(self._selection)
        if begin is not None and end is not None:
            starts = view.block.starts
            selection = [span for span in selection if begin <= starts[span] < end]
        return Places(view.block, view.runs, view.select(self._chain), selection)

    def _add(self, name: str, block: Block, owner: Owner, column: str, places: Places) -> None:
        faced = self._faced(name)
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
                spread, selected = places.of_spans(spans)
                faced.add(value, sum(spread[1]), partial(_itself, spread))
                faced.select([value] * len(selected), selected)
            return
        for part in parts:
            _add_part(faced, part, places)

    def lines(self) -> list[Line]:
        """Return the series: of each attribute the commonest values of both sides, and totals."""
        lines: list[Line] = []
        top = self._contrast.top
        for name, faced in sorted(self._all_faced.items()):
            is_cut, steps = faced.is_full, self._steps.count
            told = [faced.commonest(side, top) for side in range(len(SIDES))]
            pointed = faced.points(told[0][0], told[1][0], steps)
            for side, meta in enumerate(SIDES):
                total = faced.total(side, steps)
                if not any(total):
                    continue
                found, count = told[side]
                lines += [
                    Line({META: meta, name: unboxed(cell)}, points)
                    for cell, points in zip(found, pointed[side], strict=True)
                ]
                lines.append(Line({META: f"{meta}_total", name: None}, total))
                is_cut |= count > top
            if is_cut:
                nothing: list[Point] = [None] * self._steps.count
                lines.append(Line({ERROR: TOO_MANY, name: None}, nothing, is_note=True))
        if len(lines) > self._limit:
            self.is_full = True
        return lines[: self._limit]


class _Bodies:
    """The spans that share a body."""

    def __init__(self, bodies: Values, places: Places) -> None:
        self._each = {number: (spans, where) for number, spans, where in places.of_each(bodies)}
        self._selected = defaultdict[int, list[int]](list)
        for number, step in zip(*places.of_chosen(bodies), strict=True):
            self._selected[number].append(step)

    def add(self, faced: Faced, value: Cell, numbers: Sequence[int]) -> None:
        """Count the spans of bodies that have a value."""
        for number in numbers:
            if number in self._each:
                spans, where = self._each[number]
                faced.add(value, spans, where)
            if steps := self._selected.get(number):
                faced.select([value] * len(steps), steps)


def _itself(spread: Spread) -> Spread:
    return spread


def _select_texts(faced: Faced, texts: Sequence[str], steps: Sequence[int]) -> None:
    """Count texts of the selection; an empty one is nothing to compare."""
    if "" in texts:
        steps, texts = list(compress(steps, texts)), list(filter(None, texts))
    faced.select(texts, steps)


def _add_part(faced: Faced, part: Values, places: Places) -> None:
    """Count a column of single values of spans."""
    values = boxed(part)
    is_rare = len(part.rows) < _ROWS_PER_VALUE * len(values)
    if is_rare and len(values) > min(RARE_VALUES, MAX_VALUES):
        faced.add_total(places.of_all(part))
    else:
        faced.add_each(values, places.of_each(part), places.of_all(part))
    numbers, steps = places.of_chosen(part)
    faced.select([values[number] for number in numbers], steps)
