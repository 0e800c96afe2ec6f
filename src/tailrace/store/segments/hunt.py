"""One search: sources are read, the newest first, until there is enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterator, Sequence
from heapq import heappush, heapreplace
from itertools import groupby

from msgspec import Struct

from tailrace.model.search import FoundTrace, SearchResult
from tailrace.store.segments.pruning import Pruning, wanted_traces
from tailrace.store.segments.shelf import AnyBlock, Shelf, Source, start_of
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import Spanset, evaluate
from tailrace.traceql.plan import needs

_FIRST_TRACES = 256
"""Traces of a large block that are tried before the others."""


class Hit(Struct):
    """A trace that matched; the newest is the largest."""

    start: int
    trace_id: str
    block: AnyBlock
    number: int
    sets: Sequence[Spanset]

    def __lt__(self, other: Hit) -> bool:
        return (self.start, self.trace_id) < (other.start, other.trace_id)


class Hunt:
    """One search; ``run`` may be called again after it failed."""

    def __init__(
        self,
        chain: Chain,
        limit: int,
        since: int | None,
        until: int | None,
        budget: Budget,
        *,
        tenant: str | None = None,
    ) -> None:
        self._chain = chain
        self._limit = limit
        self._range = since, until
        self._budget = budget
        self._tenant = tenant
        self._needs = needs(chain)
        self._hits: list[Hit] = []
        self._reason = ""
        self._traces = self._spans = 0
        self._is_sampled = False

    def run(
        self, db: sqlite3.Connection, shelf: Shelf, suits: Callable[[Hit], bool] | None
    ) -> None:
        """Find the newest traces."""
        self._hits, self._reason, self._is_sampled = [], "", False
        self._traces = self._spans = 0
        try:
            sources = shelf.sources(db, wanted_traces(self._needs), tenant=self._tenant)
            ids = [source.segment.id for source in sources if source.segment is not None]
            pruning = Pruning(self._needs, db, ids, shelf.bounds)
            for source in sources:
                if self._is_too_old(source):
                    break
                if self._may_hold(pruning, shelf, source):
                    self._take(source, suits)
        except OutOfBudget:
            self._reason = cut_off(self._budget)

    def _is_too_old(self, source: Source) -> bool:
        since = self._range[0]
        if since is not None and source.latest < since:
            return True
        is_full = len(self._hits) >= self._limit
        return is_full and (not self._limit or source.latest < self._hits[0].start)

    def _may_hold(self, pruning: Pruning, shelf: Shelf, source: Source) -> bool:
        until = self._range[1]
        if until is not None and source.earliest >= until:
            return False
        if source.segment is None:
            self._budget.spend(source.spans)
            return True
        self._budget.spend(0)
        return pruning.may_hold(source.segment, shelf.known(source.segment.id))

    def _take(self, source: Source, suits: Callable[[Hit], bool] | None) -> None:
        block = source.open()
        if block is None:
            return
        traces_here, spans_here = source.size(block)
        self._traces += traces_here
        self._spans += spans_here
        for traces in self._parts(block, source.traces(block, *self._range)):
            if self._is_older(block, traces):
                return
            found = evaluate(self._chain, block, self._budget, traces)
            if not self._keep(block, found, suits):
                return

    def _parts(
        self, block: AnyBlock, traces: Container[int] | None
    ) -> Iterator[Container[int] | None]:
        """Yield what to evaluate at once: of the first large block the newest traces by themselves.

        Where much matches, these are all that is needed.
        """
        few = max(_FIRST_TRACES, 4 * self._limit)
        numbers = range(len(block.firsts)) if traces is None else traces
        if self._is_sampled or not isinstance(numbers, range) or len(numbers) < 2 * few:
            yield traces
            return
        self._is_sampled = True
        yield numbers[-few:]
        yield numbers[:-few]

    def _is_older(self, block: AnyBlock, traces: Container[int] | None) -> bool:
        """Return whether all that could be found among the traces is too old."""
        if len(self._hits) < self._limit or not isinstance(traces, range) or not traces:
            return False
        return start_of(block, traces[-1]) < self._hits[0].start

    def _keep(
        self,
        block: AnyBlock,
        found: Sequence[Spanset],
        suits: Callable[[Hit], bool] | None,
    ) -> bool:
        """Keep the newest of what was found; False: older traces of the block are too old."""
        for number, sets in _newest_first(found):
            start = start_of(block, number)
            is_full = len(self._hits) >= self._limit
            if is_full and start < self._hits[0].start:
                return False
            hit = Hit(start, block.heads[number].trace_id, block, number, sets)
            if suits is not None and not suits(hit):
                continue
            if not is_full:
                heappush(self._hits, hit)
            elif self._hits[0] < hit:
                heapreplace(self._hits, hit)
        return True

    @property
    def hits(self) -> list[Hit]:
        """What was found, the newest first."""
        return sorted(self._hits, reverse=True)

    def result(self, shelf: Shelf, traces: list[FoundTrace]) -> SearchResult:
        """Return what was found, with what it took."""
        reason = " ".join(filter(None, [self._reason, unreadable(shelf.damaged)]))
        return SearchResult(
            traces=traces,
            complete=not reason,
            reason=reason,
            inspected_traces=self._traces,
            inspected_spans=self._spans,
        )


def _newest_first(found: Sequence[Spanset]) -> Iterator[tuple[int, list[Spanset]]]:
    """Yield traces with their spansets; those of one trace keep their order."""
    for number, sets in groupby(reversed(found), key=lambda spanset: spanset.trace):
        yield number, [*sets][::-1]


def cut_off(budget: Budget) -> str:
    """Return what is said when the budget has ended a query."""
    if budget.spent > budget.rows:
        spent = f"{budget.rows:,} rows had been looked at"
    else:
        spent = f"{budget.seconds:g} s were over"
    return (
        f"The query was cut off when {spent}. Narrow the time with --since, or add a condition "
        "on a name, a status or an attribute."
    )


def unreadable(damaged: Sequence[str]) -> str:
    """Return what is said of traces that were left out; nothing where there are none."""
    if not damaged:
        return ""
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    return f"Trace {damaged[0]}{more} cannot be read; look closer with: tailrace db check."
