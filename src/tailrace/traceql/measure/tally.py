"""What each metrics function keeps of its spans, and the points it makes of that."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, cast

from tailrace.model.search import Value
from tailrace.traceql.measure.columns import Numbers
from tailrace.traceql.measure.lines import Point
from tailrace.traceql.measure.log2 import quantile, rank
from tailrace.traceql.measure.steps import OUTSIDE
from tailrace.traceql.measure.table import Group, Table
from tailrace.traceql.measure.total import Total, mean, to_float, total
from tailrace.traceql.tree import MeasureName

Row = tuple[Group, Mapping[str, Value], list[Point]]
"""A group, the labels that the function adds to it, and its points."""
BUCKET, SHARE = "__bucket", "p"
T = TypeVar("T")


class Tally(ABC, Generic[T]):
    """Counts spans by group and step; there are at most ``limit`` groups."""

    def __init__(self, limit: int) -> None:
        self._table: Table[T] = Table(limit)

    @property
    def is_full(self) -> bool:
        """Whether groups were left out, there being too many."""
        return self._table.is_full

    @abstractmethod
    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans of one group and step; ``numbers`` of all spans of the block."""

    @abstractmethod
    def rows(self, count: int) -> Iterator[Row]:
        """Yield the points of each series, ``count`` of them."""


class Counts(Tally[int]):
    """``rate`` and ``count_over_time``: ``spans_per_one`` spans give a point of 1."""

    def __init__(self, limit: int, spans_per_one: float, *, grouped: bool) -> None:
        super().__init__(limit)
        self._spans_per_one = spans_per_one
        if not grouped:
            self._table.row(())

    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans, as ``Tally`` says."""
        del numbers
        row = self._table.row(group)
        if row is not None:
            row[step] = row.get(step, 0) + len(spans)

    def count(self, group: Group, steps: Iterable[int]) -> None:
        """Count spans of one group by the step of each, or OUTSIDE."""
        inside = [step for step in steps if step != OUTSIDE]
        row = self._table.row(group) if inside else None
        if row is not None:
            for step in inside:
                row[step] = row.get(step, 0) + 1

    def rows(self, count: int) -> Iterator[Row]:
        """Yield the series, as ``Tally`` says."""
        for group, row in self._table.groups.items():
            points: list[Point] = [0.0] * count
            for step, spans in row.items():
                points[step] = spans / self._spans_per_one
            yield group, {}, points


class Extremes(Tally[float]):
    """``min_over_time`` and ``max_over_time``."""

    def __init__(self, limit: int, function: MeasureName, scale: int) -> None:
        super().__init__(limit)
        self._choose = min if function is MeasureName.MIN else max
        self._scale = scale

    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans, as ``Tally`` says."""
        found = numbers.of(spans)
        row = self._table.row(group) if found else None
        if row is not None:
            chosen = self._choose(found)
            row[step] = self._choose(row[step], chosen) if step in row else chosen

    def rows(self, count: int) -> Iterator[Row]:
        """Yield the series, as ``Tally`` says."""
        for group, row in self._table.groups.items():
            points: list[Point] = [None] * count
            for step, number in row.items():
                points[step] = number / self._scale
            yield group, {}, points


class Totals(Tally[tuple[int, list[Total]]]):
    """``sum_over_time`` and ``avg_over_time``."""

    def __init__(self, limit: int, function: MeasureName, scale: int) -> None:
        super().__init__(limit)
        self._is_mean = function is MeasureName.AVG
        self._scale = scale

    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans, as ``Tally`` says."""
        found = numbers.of(spans)
        row = self._table.row(group) if found else None
        if row is not None:
            counted, parts = row.get(step, (0, []))
            parts.append(total(found))
            row[step] = counted + len(found), parts

    def rows(self, count: int) -> Iterator[Row]:
        """Yield the series, as ``Tally`` says."""
        for group, row in self._table.groups.items():
            points: list[Point] = [None] * count
            for step, (counted, parts) in row.items():
                whole = total(parts)
                made = mean(whole, counted) if self._is_mean else to_float(whole)
                points[step] = None if math.isnan(made) else made / self._scale
            yield group, {}, points


class Buckets(Tally[Counter[int]]):
    """``histogram_over_time``, and ``quantile_over_time`` read from the same buckets.

    The numbers are exponents as ``log2`` gives them.
    """

    def __init__(self, limit: int, shares: Sequence[float], scale: int) -> None:
        super().__init__(limit)
        self._shares = shares
        self._scale = scale

    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans, as ``Tally`` says."""
        counts = Counter(cast("Sequence[int]", numbers.of(spans)))
        row = self._table.row(group) if counts else None
        if row is None:
            return
        if step in row:
            row[step].update(counts)
        else:
            row[step] = counts

    def rows(self, count: int) -> Iterator[Row]:
        """Yield the series, as ``Tally`` says."""
        for group, row in self._table.groups.items():
            if self._shares:
                yield from self._quantiles(group, row, count)
            else:
                yield from self._histogram(group, row, count)

    def _quantiles(
        self, group: Group, row: Mapping[int, Counter[int]], count: int
    ) -> Iterator[Row]:
        for share in self._shares:
            points: list[Point] = [0.0] * count
            for step, buckets in row.items():
                points[step] = quantile(share, buckets) / self._scale
            yield group, {SHARE: share}, points

    def _histogram(
        self, group: Group, row: Mapping[int, Counter[int]], count: int
    ) -> Iterator[Row]:
        for power in sorted(set().union(*row.values())):
            points: list[Point] = [0.0] * count
            for step, buckets in row.items():
                points[step] = float(buckets[power])
            yield group, {BUCKET: 2.0**power / self._scale}, points


class Exact(Tally["array[float]"]):
    """``quantile_over_time`` of the values themselves, which are all kept."""

    def __init__(self, limit: int, shares: Sequence[float], scale: int) -> None:
        super().__init__(limit)
        self._shares = shares
        self._scale = scale

    def add(self, group: Group, step: int, spans: Sequence[int], numbers: Numbers) -> None:
        """Count spans, as ``Tally`` says."""
        found = numbers.of(spans)
        row = self._table.row(group) if found else None
        if row is None:
            return
        if step not in row:
            row[step] = array("d")
        row[step] += array("d", found)

    def rows(self, count: int) -> Iterator[Row]:
        """Yield the series, as ``Tally`` says."""
        for group, row in self._table.groups.items():
            ordered = {step: sorted(numbers) for step, numbers in row.items()}
            for share in self._shares:
                points: list[Point] = [0.0] * count
                for step, numbers in ordered.items():
                    points[step] = numbers[rank(share, len(numbers)) - 1] / self._scale
                yield group, {SHARE: share}, points
