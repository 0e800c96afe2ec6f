"""A block as metrics look at it: the spans that count, and the step of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from tailrace.traceql.block import Block
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain, Keep, Show
from tailrace.traceql.evaluate import matched_spans
from tailrace.traceql.measure.columns import Cell, Columns
from tailrace.traceql.measure.steps import Runs, Steps
from tailrace.traceql.measure.table import Group
from tailrace.traceql.tree import Field, Literal, Type

_TRUE = Literal(Type.BOOL, value=True)


class View:
    """One block while it is measured; what several functions need is made once.

    Args:
        block: the traces.
        steps: of the metrics.
        budget: what may be spent.
        traces: numbers of the traces that count; None: all.
    """

    def __init__(
        self, block: Block, steps: Steps, budget: Budget, traces: Container[int] | None
    ) -> None:
        self.block = block
        self.budget = budget
        self.columns = Columns(block)
        self._steps = steps
        self._traces = traces
        self._runs: Runs | None = None
        self._selected: dict[Chain, Sequence[int]] = {}

    @property
    def runs(self) -> Runs:
        """In which step each span begins."""
        if self._runs is None:
            self._runs = self._steps.runs(self.block)
        return self._runs

    def select(self, chain: Chain) -> Sequence[int]:
        """Return the spans that a chain finds, ascending, each once for each set that has it.

        Raises:
            OutOfBudget: the query has cost too much.
        """
        if chain not in self._selected:
            if all(map(_keeps_all, chain.stages)):
                spans = self._alive()
            else:
                spans = matched_spans(chain, self.block, self.budget, self._traces)
            self.budget.spend(len(spans))
            self._selected[chain] = spans
        return self._selected[chain]

    def groups(
        self, spans: Sequence[int], fields: Sequence[Field]
    ) -> list[tuple[Group, Sequence[int]]]:
        """Return spans by the values of fields; a group may come several times."""
        groups: list[tuple[Group, Sequence[int]]] = [((), spans)]
        for field in fields:
            groups = [
                ((*group, cell), part)
                for group, members in groups
                for cell, part in self._split(field, members)
            ]
        return groups

    def _split(self, field: Field, spans: Sequence[int]) -> Iterable[tuple[Cell, Sequence[int]]]:
        if isinstance(spans, range) and len(spans) == self.block.size:
            postings = self.columns.postings(field)
            if postings is not None:
                return postings
        column = self.columns.of(field)
        if len(spans) == 1:
            return ((column[spans[0]], spans),)
        found: defaultdict[Cell, list[int]] = defaultdict(list)
        for span in spans:
            found[column[span]].append(span)
        return found.items()

    def _alive(self) -> Sequence[int]:
        block, traces = self.block, self._traces
        if traces is None:
            return range(block.size)
        spans: list[int] = []
        for trace, (first, end) in enumerate(
            zip(block.firsts, [*block.firsts[1:], block.size], strict=True)
        ):
            if trace in traces:
                spans += range(first, end)
        return range(block.size) if len(spans) == block.size else spans


def _keeps_all(step: object) -> bool:
    return isinstance(step, Show) or (isinstance(step, Keep) and step.condition == _TRUE)
