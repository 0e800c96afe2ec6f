"""How often spans have the values of one attribute, on both sides of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest

from tailrace.traceql.measure.columns import Cell, unboxed
from tailrace.traceql.measure.label import value_order
from tailrace.traceql.measure.places import Counts, Where


class Faced:
    """One attribute: how many spans have each of its values, and any of them.

    Args:
        most: values that are counted by themselves; the rest counts in the totals only.
    """

    def __init__(self, most: int) -> None:
        self.total: Counts = {}
        self.is_full = False
        """Whether some values are in the total only, there being too many."""
        self.is_partial = False
        """Whether values are counted in the selection only."""
        self._most = most
        self._values: dict[Cell, Counts] = {}

    def add(self, value: Cell, counts: Counts) -> None:
        """Count spans that have a value; ``counts`` is kept."""
        if counts:
            _increase(self.total, counts)
            self._add(value, counts)

    def add_each(
        self, values: Sequence[Cell], each: Iterable[tuple[int, Counts]], total: Counts | None
    ) -> None:
        """Count spans by the number of their value; ``total`` of them all where that is known."""
        if total is not None:
            _increase(self.total, total)
        for number, counts in each:
            if total is None:
                _increase(self.total, counts)
            if counts:
                self._add(values[number], counts)

    def _add(self, value: Cell, counts: Counts) -> None:
        found = self._values.get(value)
        if found is not None:
            _increase(found, counts)
        elif len(self._values) < self._most:
            self._values[value] = counts
        else:
            self.is_full = True

    def add_chosen(
        self, values: Sequence[Cell], chosen: Iterable[tuple[int, Counts]], total: Counts
    ) -> None:
        """Count spans with too many values: those of the selection by value, all in the total."""
        self.is_full = self.is_partial = True
        _increase(self.total, total)
        for number, counts in chosen:
            self._add(values[number], counts)

    def has(self, side: int) -> bool:
        """Return whether anything of a side is told: 0 is the baseline, 1 the selection."""
        return any(where & 1 == side for where in self.total)

    def commonest(self, side: int, most: int) -> tuple[list[tuple[Cell, Mapping[Where, int]]], int]:
        """Return the values that most spans of a side have, and how many values there are."""
        if self.is_partial and not side:
            return [], 0
        spans = {cell: _spans(counts, side) for cell, counts in self._values.items()}
        told = {cell: count for cell, count in spans.items() if count}
        least = min(nlargest(most, told.values()), default=0)
        some = [cell for cell, count in told.items() if count >= least]
        some.sort(key=lambda cell: (-told[cell], value_order(unboxed(cell))))
        return [(cell, self._values[cell]) for cell in some[:most]], len(told)


def summed(parts: Iterable[Mapping[Where, int]]) -> Counts:
    """Return how many spans of all parts stand at each place."""
    counts: Counts = {}
    for part in parts:
        _increase(counts, part)
    return counts


def _increase(counts: Counts, more: Mapping[Where, int]) -> None:
    for where, spans in more.items():
        counts[where] = counts.get(where, 0) + spans


def _spans(counts: Mapping[Where, int], side: int) -> int:
    found = 0
    for where, spans in counts.items():
        if where & 1 == side:
            found += spans
    return found
