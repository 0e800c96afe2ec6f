"""``compare()``: which values of which attributes a selection of spans has more often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tailrace.model.search import Value
from tailrace.traceql.block import Block, Owner, Values
from tailrace.traceql.checked import Chain, Contrast, Keep
from tailrace.traceql.evaluate.fields import STORED
from tailrace.traceql.measure.columns import Cell, boxed, expanded, unboxed
from tailrace.traceql.measure.faced import Faced, summed
from tailrace.traceql.measure.lines import Line, Point
from tailrace.traceql.measure.places import OUTSIDE, Counts, Places, Where
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
            bodies = None if sharing is None else dict(places.of_each(sharing.bodies))
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
            for text, counts in places.of_traces(intrinsic):
                if text:
                    faced.add(text, counts)

    def _faced(self, name: str) -> Faced:
        found = self._all_faced.get(name)
        if found is None:
            found = self._all_faced[name] = Faced(MAX_VALUES)
        return found

    def _add_shared(self, name: str, parts: Sequence[Values], bodies: Mapping[int, Counts]) -> bool:
        """Count what spans share by its bodies, unless there are arrays or too many values."""
        if any(part.array or len(part.values) > RARE_VALUES for part in parts):
            return False
        faced = self._faced(name)
        for part in parts:
            for value, low, high in zip(boxed(part), part.offsets, part.offsets[1:], strict=False):
                faced.add(value, summed(bodies.get(body, {}) for body in part.rows[low:high]))
        return True

    def _add_stored(self, block: Block, intrinsic: IntrinsicName, places: Places) -> None:
        absent, rest = STORED[intrinsic], dict(places.everywhere)
        for part in block.column(Owner.INTRINSIC, intrinsic.value):
            self._add_texts(intrinsic, part, places)
            for where, spans in places.of_all(part).items() if absent else ():
                rest[where] -= spans
        if absent:
            counts = {where: spans for where, spans in rest.items() if spans}
            self._faced(intrinsic.value).add(absent, counts)

    def _add_texts(self, intrinsic: IntrinsicName, part: Values, places: Places) -> None:
        for number, counts in places.of_each(part):
            if text := part.values[number]:
                self._faced(intrinsic.value).add(text, counts)

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
                counts: Counts = Counter(map(places.where.__getitem__, spans))
                counts.pop(OUTSIDE, None)
                faced.add(value, counts)
            return
        for part in parts:
            _add_part(faced, part, places)

    def lines(self) -> list[Line]:
        """Return the series: of each attribute the commonest values of both sides, and totals."""
        lines: list[Line] = []
        top = self._contrast.top
        for name, faced in sorted(self._all_faced.items()):
            is_cut = faced.is_full
            for side, meta in enumerate(SIDES):
                if not faced.has(side):
                    continue
                found, count = faced.commonest(side, top)
                lines += [
                    Line({META: meta, name: unboxed(cell)}, self._points(counts, side))
                    for cell, counts in found
                ]
                total: dict[str, Value | None] = {META: f"{meta}_total", name: None}
                lines.append(Line(total, self._points(faced.total, side)))
                is_cut |= count > top
            if is_cut:
                nothing: list[Point] = [None] * self._steps.count
                lines.append(Line({ERROR: TOO_MANY, name: None}, nothing, is_note=True))
        if len(lines) > self._limit:
            self.is_full = True
        return lines[: self._limit]

    def _points(self, counts: Mapping[Where, int], side: int) -> list[Point]:
        points: list[Point] = [0.0] * self._steps.count
        for where, count in counts.items():
            if where & 1 == side:
                points[where >> 1] = float(count)
        return points


def _add_part(faced: Faced, part: Values, places: Places) -> None:
    """Count a column of single values of spans."""
    values = boxed(part)
    is_rare = len(part.rows) < _ROWS_PER_VALUE * len(values)
    if is_rare and len(values) > min(RARE_VALUES, MAX_VALUES):
        faced.add_chosen(values, places.of_chosen(part), places.of_all(part))
        return
    covers = len(part.rows) == len(places.where)
    faced.add_each(values, places.of_each(part), places.everywhere if covers else None)
