"""Queries over the traces of a store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tailrace.errors import QueryError, StoreError
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.states import RunStatus
from tailrace.store.access import Access
from tailrace.store.calm import without_collections
from tailrace.store.connection import is_free
from tailrace.store.fault import damaged
from tailrace.store.liveness import is_alive, live_folder
from tailrace.store.segments.choice import WORTHWHILE
from tailrace.store.segments.found import found_traces
from tailrace.store.segments.hunt import Hit, Hunt, cut_off, unreadable
from tailrace.store.segments.segment_block import SegmentBlock, SegmentDamaged
from tailrace.store.segments.shelf import Shelf, Source
from tailrace.store.segments.units import unsealed_spans
from tailrace.traceql import CheckedQuery, check, parse
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain, Series
from tailrace.traceql.evaluate import evaluate

if TYPE_CHECKING:
    from tailrace.store.foreign.traces import ForeignTraces
    from tailrace.store.segments.explain import Explanation
    from tailrace.traceql.measure import Measurement

T = TypeVar("T")
_PATIENCE = 0.5
"""Seconds that a search waits for another process to finish writing before it reads as it is."""
_PAUSE = 10.0
"""Seconds after which it waits again."""
_TRACES = 50
"""Traces that are returned, when nothing else is asked for."""
_STATUS_OF_RUN = 'SELECT status, "end" IS NULL, writer FROM run WHERE run_id = ?'


class SqliteSearch:
    """Searches runs and traces from elsewhere in one file, those that go on included.

    What is read stays in memory for the next query, within bounds.

    Concurrency: never blocks a writer; a query sees one moment of the file. Serves one thread at
    a time.

    Args:
        path: the file.
        sealing: whether a query first seals what is over when there is much of it.
        tenant: of an index: whose traces are the only ones; None: all.
    """

    def __init__(
        self, path: Path | str, *, sealing: bool = True, tenant: str | None = None
    ) -> None:
        self._file = Access(path)
        self._shelf = Shelf(self._file.path)
        self._sealing = sealing
        self._tenant = tenant
        self._seals_from = 0.0
        """Monotonic time before which it is not tried."""

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def search(
        self,
        query: CheckedQuery | str,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int | None = None,
        spans_per_set: int = 3,
        flow: str | None = None,
        status: str | None = None,
        budget: Budget | None = None,
    ) -> SearchResult:
        """Return the newest traces that match.

        Args:
            query: TraceQL; of a query for metrics the spans that it counts.
            since_ns: traces that began then or later, ns since the epoch.
            until_ns: traces that began before that.
            limit: traces at most; None: as many as a query in the older form says, or 50.
            spans_per_set: spans that are returned of a spanset; it says how many matched.
            flow: the flow of a run, or the service of the root of a trace from elsewhere.
            status: a value of ``RunStatus``.
            budget: what may be spent; None: the usual.

        Raises:
            QueryError: the query is not valid, or cannot be calculated.
            StoreError: the file cannot be read.
        """
        checked = check(parse(query)) if isinstance(query, str) else query
        chain = _chain(checked)
        if limit is None:
            limit = _TRACES if checked.source.limit is None else checked.source.limit
        spending = budget or Budget()
        hunt = Hunt(chain, limit, since_ns, until_ns, spending, tenant=self._tenant)

        def run(db: sqlite3.Connection) -> SearchResult:
            hunt.run(db, self._shelf, self._filter(db, flow, status))
            traces = found_traces(hunt.hits, chain, self._shelf, spans_per_set)
            return hunt.result(self._shelf, traces)

        return self._read(run)

    def matching(
        self, chain: Chain, trace_id: str, *, budget: Budget | None = None
    ) -> list[tuple[str, int]]:
        """Return id and start of each span of one trace that is over and that a query keeps.

        Args:
            chain: what is asked.
            trace_id: the trace; of one that goes on, as it stands.
            budget: what may be spent; None: the usual.

        Raises:
            QueryError: something cannot be calculated.
            OutOfBudget: the budget is used up.
            StoreError: the file cannot be read.
        """
        spending = budget or Budget()

        def run(db: sqlite3.Connection) -> list[tuple[str, int]]:
            found: list[tuple[str, int]] = []
            for source in self._shelf.sources(db, {trace_id}, tenant=self._tenant):
                block = source.open()
                if block is None:
                    continue
                sets = evaluate(chain, block, spending, source.traces(block, None, None))
                numbers = sorted({span for one in sets for span in one.spans})
                ends = None if isinstance(block, SegmentBlock) else block.spans
                found += [
                    (block.span_ids[number], block.starts[number])
                    for number in numbers
                    if ends is None or ends[number].end
                ]
            return found

        return self._read(run)

    def metrics(
        self,
        query: CheckedQuery | str,
        *,
        since_ns: int,
        until_ns: int,
        step_ns: int | None = None,
        exemplars: int = 0,
        instant: bool = False,
        budget: Budget | None = None,
    ) -> MetricsResult:
        """Return series over time.

        Args:
            query: TraceQL that ends in metrics.
            since_ns: the range, ns since the epoch; widened to whole steps.
            until_ns: its end.
            step_ns: length of a step; None: as suits the range.
            exemplars: spans that are returned as examples, at most.
            instant: one point for the whole range.
            budget: what may be spent; None: the usual.

        Raises:
            QueryError: the query is not valid or gives no metrics.
            StoreError: the file cannot be read.
        """
        from tailrace.traceql.measure import Measurement  # noqa: PLC0415 - searches need none

        checked = check(parse(query)) if isinstance(query, str) else query
        spending = budget or Budget()

        def run(db: sqlite3.Connection) -> MetricsResult:
            measurement = Measurement(
                checked,
                start_ns=since_ns,
                end_ns=until_ns,
                step_ns=step_ns,
                exemplars=exemplars,
                instant=instant,
            )
            reason = ""
            inspected = 0
            try:
                for source in self._shelf.sources(db, tenant=self._tenant):
                    inspected += _measure(measurement, source, spending)
            except OutOfBudget:
                reason = cut_off(spending)
            result = measurement.result()
            reasons = [result.reason, reason, unreadable(self._shelf.damaged)]
            return _with_reason(result, inspected, " ".join(filter(None, reasons)))

        return self._read(run)

    def explain(self, query: CheckedQuery | str) -> Explanation:
        """Return how a query would be answered.

        Raises:
            QueryError: the query is not valid.
            StoreError: the file cannot be read.
        """
        from tailrace.store.segments.explain import explain  # noqa: PLC0415 - seldom asked for

        checked = check(parse(query)) if isinstance(query, str) else query
        with self._file.reading() as db:
            return explain(db, checked)

    def _read(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with one moment of the file; segments that are damaged are made anew."""
        self._seal()
        mended: set[int] = set()
        while True:
            try:
                with without_collections(), self._file.reading() as db:
                    return action(db)
            except SegmentDamaged as damage:
                if damage.segment in mended:
                    raise self._broken(damage) from damage
                mended.add(damage.segment)
                self._mend(damage)

    def _seal(self) -> None:
        if not self._sealing or time.monotonic() < self._seals_from:
            return
        with self._file.reading() as db:
            is_due = unsealed_spans(db, WORTHWHILE) >= WORTHWHILE
        if not is_due:
            return
        if not is_free(self._file.path, _PATIENCE):  # what others write may take long
            self._seals_from = time.monotonic() + _PAUSE
            return
        from tailrace.store.segments.seal import seal  # noqa: PLC0415 - most find nothing to do

        try:
            seal(self._file.path)
        except StoreError:  # who cannot write reads them as they are
            self._sealing = False

    def _mend(self, damage: SegmentDamaged) -> None:
        """Drop a segment: what it was made of is still there."""
        from tailrace.store.segments.seal import unseal  # noqa: PLC0415 - disks seldom lie

        self._shelf.drop(damage.segment)
        try:
            self._file.write(lambda writer: unseal(writer, damage.segment))
        except StoreError as error:
            raise self._broken(damage) from error
        self._seal()

    def _broken(self, damage: SegmentDamaged) -> StoreError:
        return damaged(self._file.path, f"segment {damage.segment}: {damage.why}")

    def _filter(
        self, db: sqlite3.Connection, flow: str | None, status: str | None
    ) -> Callable[[Hit], bool] | None:
        if flow is None and status is None:
            return None
        from tailrace.store.foreign.traces import ForeignTraces  # noqa: PLC0415 - seldom asked for

        live = live_folder(self._file.path)
        foreign = ForeignTraces(db)

        def suits(hit: Hit) -> bool:
            head = hit.block.heads[hit.number]
            if flow is not None and head.root_service != flow:
                return False
            return status is None or _status(db, live, foreign, hit.trace_id) == status

        return suits


def _status(
    db: sqlite3.Connection, live: Path, foreign: ForeignTraces, trace_id: str
) -> str | None:
    row = db.execute(_STATUS_OF_RUN, (trace_id,)).fetchone()
    if row is None:
        summary = foreign.summary(trace_id)
        return None if summary is None else summary.status
    status, is_open, writer = row
    if is_open and not is_alive(live, writer):
        return RunStatus.INTERRUPTED
    return str(status)


def _chain(query: CheckedQuery) -> Chain:
    plan = query.plan
    if isinstance(plan, Series):
        return plan.chain
    if isinstance(plan, Chain):
        return plan
    raise QueryError(
        "arithmetic between metrics finds no traces",
        code="TR209",
        hint="ask for metrics, or search for one of its parts",
    )


def _measure(measurement: Measurement, source: Source, budget: Budget) -> int:
    """Count a source, where it can have spans in the range; return how many were looked at."""
    times = measurement.steps.times
    first, last = times[0] - measurement.steps.step, times[-1]
    ends = None if source.longest is None else source.latest + source.longest
    if source.earliest > last or (ends is not None and ends < first):
        return 0
    budget.spend(0)
    block = source.open()
    if block is None:
        return 0
    traces = source.traces(block, None, None)
    if source.own is None or traces:
        measurement.add(block, budget, traces)
    return source.size(block)[1]


def _with_reason(result: MetricsResult, inspected: int, reason: str) -> MetricsResult:
    if not reason and inspected == result.inspected_spans:
        return result
    return MetricsResult(
        times=result.times,
        step_ns=result.step_ns,
        series=result.series,
        complete=not reason,
        reason=reason,
        inspected_spans=inspected,
    )
