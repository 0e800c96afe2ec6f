"""How often spans have the values of one attribute, on both sides of a comparison."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import nlargest, nsmallest
from itertools import compress
from operator import sub

from tailrace.traceql.measure.columns import Cell, unboxed
from tailrace.traceql.measure.label import value_order
from tailrace.traceql.measure.lines import Point
from tailrace.traceql.measure.places import Spread, Where


class Faced:
    """One attribute: how many spans have each of its values, and any of them.

    All spans are counted, and those of the selection once more: the baseline is what is left.

    Args:
        most: values that are counted by themselves; the rest counts in the totals only.
    """

    def __init__(self, most: int) -> None:
        self.is_full = False
        """Whether some values are in the total only, there being too many."""
        self.is_partial = False
        """Whether values are counted in the selection only."""
        self._most = most
        self._spans: dict[Cell, int] = {}
        """How many have each value; of values only counted in the selection 0."""
        self._where: defaultdict[Cell, list[Where]] = defaultdict(list)
        self._total: list[Where] = []
        self._selected: Counter[Cell] = Counter()
        self._selected_steps: list[tuple[Sequence[Cell], Sequence[int]]] = []
        self._selected_total: Counter[int] = Counter()

    def add(self, value: Cell, spans: int, where: Where) -> None:
        """Count spans that have a value."""
        if spans:
            self._total.append(where)
            self._add(value, spans, where)

    def add_each(
        self, values: Sequence[Cell], each: Iterable[tuple[int, int, Where]], total: Spread
    ) -> None:
        """Count spans by the number of their value; ``total`` is where all of them stand."""
        self._total.append(lambda: total)
        for number, spans, where in each:
            if spans:
                self._add(values[number], spans, where)

    def add_total(self, total: Spread) -> None:
        """Count spans with too many values, of which only those of the selection are told."""
        self.is_full = self.is_partial = True
        self._total.append(lambda: total)

    def _add(self, value: Cell, spans: int, where: Where) -> None:
        known = self._spans.get(value)
        if known is None and len(self._spans) >= self._most:
            self.is_full = True
        else:
            self._spans[value] = (known or 0) + spans
            self._where[value].append(where)

    def select(self, cells: Sequence[Cell], steps: Sequence[int]) -> None:
        """Count spans of the selection: the value of each, and its step."""
        self._selected_total.update(steps)
        known = self._spans
        new = [cell for cell in dict.fromkeys(cells) if cell not in known]
        if len(new) > self._most - len(known):
            self.is_full = True
            known.update(dict.fromkeys(new[: self._most - len(known)], 0))
            kept = [cell in known for cell in cells]
            cells, steps = list(compress(cells, kept)), list(compress(steps, kept))
        else:
            known.update(dict.fromkeys(new, 0))
        self._selected.update(cells)
        self._selected_steps.append((cells, steps))

    def commonest(self, side: int, most: int) -> tuple[list[Cell], int]:
        """Return the values that most spans of a side have, and how many values there are.

        Args:
            side: 0 is the baseline, 1 the selection.
            most: values that are returned.
        """
        if self.is_partial and not side:
            return [], 0
        selected = self._selected
        told: dict[Cell, int] = selected
        if not side:
            rest = ((cell, spans - selected[cell]) for cell, spans in self._spans.items())
            told = {cell: spans for cell, spans in rest if spans}
        least = min(nlargest(most, told.values()), default=0)
        some = [cell for cell, spans in told.items() if spans > least]
        some.sort(key=lambda cell: (-told[cell], value_order(unboxed(cell))))
        ties = [cell for cell, spans in told.items() if spans == least]
        return some + _first(ties, most - len(some)), len(told)

    def points(
        self, baseline: Sequence[Cell], selection: Sequence[Cell], count: int
    ) -> tuple[list[list[Point]], list[list[Point]]]:
        """Return how many spans of each side stand in each of ``count`` steps, for its values."""
        chosen = {cell: [0] * count for cell in (*baseline, *selection)}
        for having, steps in self._selected_steps if chosen else ():
            for place in compress(range(len(having)), map(chosen.__contains__, having)):
                chosen[having[place]][steps[place]] += 1
        left = [self._less(cell, chosen[cell]) for cell in baseline]
        return left, [list(map(float, chosen[cell])) for cell in selection]

    def _less(self, cell: Cell, chosen: Sequence[int]) -> list[Point]:
        """Return how many spans that are not chosen have a value."""
        points = [0] * len(chosen)
        _increase(points, self._where[cell])
        return list(map(float, map(sub, points, chosen)))

    def total(self, side: int, count: int) -> list[Point]:
        """Return how many spans of a side that have any value stand in each of ``count`` steps."""
        points = [0] * count
        if not side:
            _increase(points, self._total)
        for step, spans in self._selected_total.items():
            points[step] += spans if side else -spans
        return list(map(float, points))


def _increase(points: list[int], places: Iterable[Where]) -> None:
    for where in places:
        for step, spans in zip(*where(), strict=True):
            points[step] += spans


def _first(cells: list[Cell], count: int) -> list[Cell]:
    """Return the first cells in the order of values."""
    if set(map(type, cells)) == {str}:
        return nsmallest(count, cells)  # type: ignore[type-var]
    return nsmallest(count, cells, key=lambda cell: value_order(unboxed(cell)))
