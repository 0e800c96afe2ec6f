"""A metrics query over blocks, fed one by one in any order."""

from __future__ import annotations

from collections.abc import Container
from typing import assert_never

from tailrace.errors import QueryError
from tailrace.model.search import MetricSeries, MetricsResult
from tailrace.traceql.block import Block
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import (
    Chain,
    CheckedQuery,
    Constant,
    Contrast,
    Rate,
    Series,
    SeriesMath,
    SeriesResult,
    SeriesTree,
)
from tailrace.traceql.measure.combined import combine, constant
from tailrace.traceql.measure.contrast import ContrastMeter
from tailrace.traceql.measure.exemplars import thin
from tailrace.traceql.measure.label import label_order
from tailrace.traceql.measure.lines import Line
from tailrace.traceql.measure.meter import Meter
from tailrace.traceql.measure.second import keep
from tailrace.traceql.measure.steps import Steps
from tailrace.traceql.measure.view import View

MAX_SERIES = 10_000
"""Series that one function gives."""
_MAX_POINTS = 5_000_000
_EXEMPLARS = 100


class Measurement:
    """What a metrics query says of all the blocks it is given.

    A span counts in the step in which it begins. Blocks may come in any order, each once.

    Args:
        query: a metrics query.
        start_ns: the range asked for, ns since the epoch; widened as ``Steps`` says.
        end_ns: its end.
        step_ns: length of a step; None: as suits the range.
        exemplars: most exemplars in all; the hint ``exemplars`` of the query goes before it.
        instant: one point for the whole range.

    Raises:
        QueryError: the query is none of metrics, or the range cannot be told in such steps.
    """

    def __init__(
        self,
        query: CheckedQuery,
        *,
        start_ns: int,
        end_ns: int,
        step_ns: int | None,
        exemplars: int = 0,
        instant: bool = False,
    ) -> None:
        self.steps = Steps(start_ns, end_ns, step_ns, instant=instant)
        """The steps of the result; traces without a span inside need not be added."""
        self._limit = min(MAX_SERIES, _MAX_POINTS // self.steps.count)
        hints = dict(query.hints)
        self._exact = hints.get("exact_quantiles") is True
        self._exemplars = _wanted(hints.get("exemplars"), exemplars)
        self._plan = _metrics(query)
        self._meters: dict[int, Meter | ContrastMeter] = {}
        self._prepare(self._plan)
        self._inspected = 0

    def add(self, block: Block, budget: Budget, traces: Container[int] | None = None) -> None:
        """Count the spans of a block.

        Args:
            block: whole traces.
            budget: what may be spent.
            traces: numbers of the traces of the block that count; None: all.

        Raises:
            OutOfBudget: the query has cost too much; nothing of this block is counted.
            QueryError: something cannot be calculated, such as a division by zero.
        """
        if not block.size:
            return
        view = View(block, self.steps, budget, traces)
        for meter in self._meters.values():
            meter.prepare(view)
        for meter in self._meters.values():
            meter.add(view)
        self._inspected += block.size

    def result(self) -> MetricsResult:
        """Return the series, in the order of their labels; more blocks may be added after it."""
        lines = sorted(self._lines(self._plan), key=lambda line: label_order(line.labels))
        reason = ""
        if len(lines) > self._limit or any(meter.is_full for meter in self._meters.values()):
            reason = (
                f"There are more than {self._limit:,} series; the others are left out. Group by "
                "fields with fewer values, filter the spans, or take longer steps."
            )
            lines = lines[: self._limit]
        thin(lines, self._exemplars)
        return MetricsResult(
            times=self.steps.times,
            step_ns=self.steps.step,
            series=[
                MetricSeries(
                    labels=line.labels,
                    values=line.values,
                    exemplars=[found for _, found in line.exemplars],
                )
                for line in lines
            ],
            complete=not reason,
            reason=reason,
            inspected_spans=self._inspected,
        )

    def _prepare(self, tree: SeriesTree | SeriesResult) -> None:
        match tree:
            case Series():
                self._meters[id(tree)] = self._meter(tree)
            case SeriesMath(_, left, right):
                self._prepare(left)
                self._prepare(right)
            case SeriesResult(math):
                self._prepare(math)
            case Constant():
                pass
            case _:
                assert_never(tree)

    def _meter(self, series: Series) -> Meter | ContrastMeter:
        function = series.function
        match function:
            case Rate():
                return Meter(
                    series.chain, function, self.steps, self._limit,
                    exemplars=self._exemplars > 0, exact=self._exact,
                )  # fmt: skip
            case Contrast():
                return ContrastMeter(series.chain, function, self.steps, self._limit)
            case _:
                assert_never(function)

    def _lines(self, tree: SeriesTree | SeriesResult) -> list[Line]:
        match tree:
            case Series():
                return keep(tree.seconds, self._meters[id(tree)].lines())
            case SeriesMath(op, left, right):
                return combine(op, self._lines(left), self._lines(right))
            case SeriesResult(math, seconds):
                return keep(seconds, self._lines(math))
            case Constant(value):
                return constant(value, self.steps.count)
            case _:
                assert_never(tree)


def _metrics(query: CheckedQuery) -> Series | SeriesResult:
    plan = query.plan
    if isinstance(plan, Chain):
        hint = "End it with a metrics function: {} | rate()."
        raise QueryError("the query gives traces, not metrics", code="TR206", hint=hint)
    return plan


def _wanted(hint: bool | float | str | None, given: int) -> int:  # noqa: FBT001 - a value
    if isinstance(hint, bool):
        return (given or _EXEMPLARS) if hint else 0
    return max(0, hint) if isinstance(hint, int) else given
