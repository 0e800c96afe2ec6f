"""One metrics function over the spans of blocks: its labels, points and exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tailrace.model.search import Value
from tailrace.traceql.checked import Chain, Rate
from tailrace.traceql.measure.columns import NO_NUMBERS, Numbers, unboxed
from tailrace.traceql.measure.exemplars import Exemplars, attach
from tailrace.traceql.measure.label import NAME
from tailrace.traceql.measure.lines import Line
from tailrace.traceql.measure.log2 import exponent
from tailrace.traceql.measure.steps import Runs, Steps
from tailrace.traceql.measure.table import Group
from tailrace.traceql.measure.tally import (
    BUCKET,
    Buckets,
    Counts,
    Exact,
    Extremes,
    Tally,
    Totals,
)
from tailrace.traceql.measure.view import View
from tailrace.traceql.names import INTRINSIC_TYPES
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import Field, Intrinsic, IntrinsicName, MeasureName, Type

_NS = 1_000_000_000
_MANY_GROUPS = 64
"""Groups from which on those with few spans are counted span by span."""


class Meter:
    """``chain | function(…) by(…)`` over any number of blocks.

    Args:
        chain: finds the spans.
        rate: the function.
        steps: of the result.
        limit: groups that are kept.
        exemplars: whether spans are noted that stand for points.
        exact: whether quantiles are taken from the values rather than from buckets.
    """

    def __init__(
        self, chain: Chain, rate: Rate, steps: Steps, limit: int, *, exemplars: bool, exact: bool
    ) -> None:
        self._chain = chain
        self._rate = rate
        self._steps = steps
        self._names = [render_expression(field) for field in rate.by]
        self._scale = _scale(rate)
        self._tally = _tally(rate, steps, limit, self._scale, exact=exact)
        self._exemplars = Exemplars() if exemplars else None

    @property
    def is_full(self) -> bool:
        """Whether series were left out, there being too many."""
        return self._tally.is_full

    def prepare(self, view: View) -> None:
        """Find the spans of a block, before anything of it is counted.

        Raises:
            OutOfBudget: the query has cost too much.
        """
        view.select(self._chain)

    def add(self, view: View) -> None:
        """Count the spans of a block."""
        spans, numbers = view.select(self._chain), self._numbers(view)
        groups = view.groups(spans, self._rate.by)
        if isinstance(self._tally, Counts) and self._exemplars is None:
            groups = self._counted(groups, self._tally, view.runs)
        for group, members in groups:
            for step, part in view.runs.split(members):
                self._tally.add(group, step, part, numbers)
                if self._exemplars is not None:
                    self._note(self._exemplars, view, group, step, part)

    @staticmethod
    def _counted(
        groups: list[tuple[Group, Sequence[int]]], tally: Counts, runs: Runs
    ) -> list[tuple[Group, Sequence[int]]]:
        """Count small groups, of which there may be very many, and return the others."""
        if len(groups) < _MANY_GROUPS or len(groups) * len(runs) < sum(
            len(members) for _, members in groups
        ):
            return groups
        step_of = runs.of_span.__getitem__
        for group, members in groups:
            tally.count(group, map(step_of, members))
        return []

    def _numbers(self, view: View) -> Numbers:
        operand = self._rate.operand
        if operand is None:
            return NO_NUMBERS
        if isinstance(self._tally, Buckets):
            return view.columns.exponents(operand)
        return view.columns.numbers(operand)

    def lines(self) -> list[Line]:
        """Return the series; those without any point are left out."""
        made = []
        of_group: dict[Group, list[Line]] = {}
        for group, added, points in self._tally.rows(self._steps.count):
            line = Line(self._labels(group, added), points)
            if not line.is_empty:
                made.append(line)
                of_group.setdefault(group, []).append(line)
        if self._exemplars is not None:
            for group, lines in of_group.items():
                self._attach(self._exemplars, group, lines)
        return made

    def _labels(self, group: Group, added: Mapping[str, Value]) -> dict[str, Value | None]:
        labels: dict[str, Value | None] = {}
        for name, cell in zip(self._names, group, strict=True):
            value = unboxed(cell)
            if value is not None:
                labels[name] = value
        if not labels and self._names:
            labels[self._names[0]] = None
        labels |= added
        return labels or {NAME: self._rate.function.value}

    def _note(
        self, exemplars: Exemplars, view: View, group: Group, step: int, spans: Sequence[int]
    ) -> None:
        operand = self._rate.operand
        if operand is None:
            exemplars.add(view.block, group, step, ((span, None) for span in spans))
            return
        values, counted = view.columns.numbers(operand).values, self._numbers(view).values
        pairs = [(span, values[span]) for span in spans if counted[span] is not None]
        if self._rate.function is not MeasureName.HISTOGRAM:
            exemplars.add(view.block, group, step, pairs)
            return
        for power in {counted[span] for span, _ in pairs}:
            of_bucket = (pair for pair in pairs if counted[pair[0]] == power)
            exemplars.add(view.block, (*group, power), step, of_bucket)

    def _attach(self, exemplars: Exemplars, group: Group, lines: Sequence[Line]) -> None:
        for key, near in self._keys(group, lines):
            for step in range(self._steps.count):
                for noted in exemplars.of(key, step):
                    if noted.value is None:
                        attach(near[0], step, noted, near[0].values[step] or 0.0)
                        continue
                    value = noted.value / self._scale
                    # A span stands for the least quantile that it does not exceed.
                    fitting = (line for line in near if (line.values[step] or 0.0) >= value)
                    attach(next(fitting, near[-1]), step, noted, value)

    def _keys(self, group: Group, lines: Sequence[Line]) -> Iterator[tuple[Group, Sequence[Line]]]:
        if self._rate.function is not MeasureName.HISTOGRAM:
            yield group, lines
            return
        for line in lines:
            bound = cast("float", line.labels[BUCKET])
            yield (*group, exponent(round(bound * self._scale))), [line]


def _scale(rate: Rate) -> int:
    """Return what values are divided by.

    Only ``duration`` is told in seconds; in buckets all durations are.
    """
    field: Field | None = rate.operand
    if not isinstance(field, Intrinsic):
        return 1
    if rate.function in (MeasureName.HISTOGRAM, MeasureName.QUANTILE):
        return _NS if INTRINSIC_TYPES[field.name] is Type.DURATION else 1
    return _NS if field.name is IntrinsicName.DURATION else 1


def _tally(rate: Rate, steps: Steps, limit: int, scale: int, *, exact: bool) -> Tally[Any]:
    match rate.function:
        case MeasureName.RATE:
            return Counts(limit, steps.seconds, grouped=bool(rate.by))
        case MeasureName.COUNT:
            return Counts(limit, 1.0, grouped=bool(rate.by))
        case MeasureName.MIN | MeasureName.MAX:
            return Extremes(limit, rate.function, scale)
        case MeasureName.SUM | MeasureName.AVG:
            return Totals(limit, rate.function, scale)
        case MeasureName.HISTOGRAM:
            return Buckets(limit, (), scale)
        case MeasureName.QUANTILE:
            shares = tuple(sorted(set(rate.quantiles)))
            return Exact(limit, shares, scale) if exact else Buckets(limit, shares, scale)
