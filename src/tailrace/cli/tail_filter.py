"""Which of the spans that have just ended a query means."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tailrace.cli.database import database_to_read, open_reader
from tailrace.cli.listing import say
from tailrace.cli.options import Store
from tailrace.cli.searching import checked
from tailrace.errors import NotFound, QueryError
from tailrace.model.ids import RunId
from tailrace.model.span import RunSummary, Span, Trace
from tailrace.model.states import RunStatus
from tailrace.store.follow_runs import Growth, LateSpans
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain, Keep, Series, Show
from tailrace.traceql.evaluate import evaluate, shown_fields
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.tree import Attribute, IntrinsicName
from tailrace.tracing.otlp.native import with_origin

if TYPE_CHECKING:
    from tailrace.store import SqliteSearch

T = TypeVar("T")
_OF_ONE_SPAN = frozenset(
    {
        IntrinsicName.NAME,
        IntrinsicName.STATUS,
        IntrinsicName.STATUS_MESSAGE,
        IntrinsicName.KIND,
        IntrinsicName.DURATION,
        IntrinsicName.TRACE_ID,
        IntrinsicName.SPAN_ID,
        IntrinsicName.SPAN_PARENT_ID,
        IntrinsicName.EVENT_NAME,
        IntrinsicName.EVENT_TIME_SINCE_START,
        IntrinsicName.LINK_TRACE_ID,
        IntrinsicName.LINK_SPAN_ID,
        IntrinsicName.INSTRUMENTATION_NAME,
        IntrinsicName.INSTRUMENTATION_VERSION,
    }
)
_TRACES = 5_000
"""Traces whose spans are remembered as told."""
_SECONDS = 30.0
_MANY = 5_000
"""Spans of which not all are made at once."""
_SHARE = 4
"""A trace that took long to ask is left alone for this many times as long, while it goes on."""


class TailFilter:
    """Chooses from spans as they end; each is chosen once.

    A query that asks each span for itself is asked of the new spans alone. For any other one the
    whole trace as it stands is read and asked again, so that a span may be chosen late: when the
    rest of what the query wants has come, and of a large trace when it is its turn.

    Args:
        query: TraceQL, or the older short form.
        db: the database; None: the one that is meant.

    Raises:
        QueryError: the query is not valid, or calculates with metrics.
    """

    def __init__(self, query: str, db: Store) -> None:
        plan = checked(query).plan
        chain = plan.chain if isinstance(plan, Series) else plan
        if not isinstance(chain, Chain):
            hint = "ask for spans, such as { status = error }"
            raise QueryError("arithmetic between metrics finds no spans", code="TR209", hint=hint)
        self._chain = chain
        self._is_local = _is_local(chain)
        self._db = db
        self._told: OrderedDict[str, set[tuple[str, int]]] = OrderedDict()
        self._turn: OrderedDict[str, float] = OrderedDict()
        """When each trace may be asked again, by the monotonic clock."""
        self._waiting: dict[str, str] = {}
        """Traces that have grown before it was their turn, and their flows."""
        self._tired: set[str] = set()
        self._search: SqliteSearch | None = None

    def close(self) -> None:
        """Let the database go."""
        if self._search is not None:
            self._search.close()

    def choose(self, growth: Growth) -> list[Span]:
        """Return the spans to show now that a trace has grown.

        Raises:
            QueryError: something cannot be calculated, such as a division by zero.
        """
        trace_id, flow, ended = growth.trace_id, growth.flow, growth.ended
        if self._is_local:
            if len(ended) < _MANY or not isinstance(self._db, Path | None):
                return self._matching([*every(growth)], trace_id)
            wanted = frozenset(self._wanted(trace_id))
            return _with_origin(trace_id, flow, _picked(ended, wanted))
        is_early = time.monotonic() < self._turn.get(trace_id, 0.0)
        if is_early and not any(span.parent_id is None for span in ended):
            self._waiting[trace_id] = flow
            return []
        return self._asked(trace_id, flow, ended)

    def late(self) -> Iterator[tuple[str, Span]]:
        """Yield spans of traces that had to wait for their turn, each with its flow.

        Raises:
            QueryError: something cannot be calculated, such as a division by zero.
        """
        now = time.monotonic()
        for trace_id, flow in [*self._waiting.items()]:
            if now >= self._turn.get(trace_id, 0.0):
                for span in self._asked(RunId(trace_id), flow):
                    yield flow, span

    def _asked(self, trace_id: RunId, flow: str, ended: Sequence[Span] = ()) -> list[Span]:
        """Return the spans of a whole trace that are to be shown now.

        Args:
            trace_id: the trace.
            flow: its flow.
            ended: those of its spans that are at hand.
        """
        self._waiting.pop(trace_id, None)
        began = time.monotonic()
        told = self._told.pop(trace_id, set())
        _remember(self._told, trace_id, told)
        if isinstance(self._db, Path | None):
            wanted = [key for key in self._wanted(trace_id) if key not in told]
            found = self._read(trace_id, flow, frozenset(wanted), ended) if wanted else []
        else:
            spans = self._spans(trace_id)
            found = [
                span
                for span in (self._matching(spans, trace_id) if spans else ())
                if span.end_ns is not None and (span.span_id, span.start_ns) not in told
            ]
        told.update((span.span_id, span.start_ns) for span in found)
        now = time.monotonic()
        self._turn.pop(trace_id, None)
        _remember(self._turn, trace_id, now + _SHARE * (now - began))
        return found

    def _wanted(self, trace_id: RunId) -> list[tuple[str, int]]:
        """Return id and start of the spans of a whole trace that match."""
        if self._search is None:
            from tailrace.store import SqliteSearch  # noqa: PLC0415 - most queries ask single spans

            assert isinstance(self._db, Path | None)  # noqa: S101 - servers are asked otherwise
            self._search = SqliteSearch(database_to_read(self._db))
        try:
            return self._search.matching(self._chain, trace_id, budget=Budget(seconds=_SECONDS))
        except OutOfBudget:
            self._tell_tired(trace_id)
            return []

    def _read(
        self,
        trace_id: RunId,
        flow: str,
        wanted: frozenset[tuple[str, int]],
        ended: Sequence[Span],
    ) -> list[Span]:
        """Return some spans in order of start, where they are not at hand from the database."""
        found = _with_origin(trace_id, flow, _picked(ended, wanted))
        if {(span.span_id, span.start_ns) for span in found} != wanted:
            found = _picked(self._spans(trace_id), wanted)
        return sorted(found, key=lambda span: span.start_ns)

    def _spans(self, trace_id: RunId) -> list[Span]:
        try:
            with open_reader(self._db) as reader:
                return with_origin(reader.trace(trace_id))
        except NotFound:
            return []

    def _matching(self, spans: list[Span], trace_id: RunId) -> list[Span]:
        block = memory_block(spans)
        try:
            found = evaluate(self._chain, block, Budget(seconds=_SECONDS))
        except OutOfBudget:
            self._tell_tired(trace_id)
            return []
        chosen = {block.span_ids[number] for one in found for number in one.spans}
        return [span for span in spans if span.span_id in chosen]

    def _tell_tired(self, trace_id: RunId) -> None:
        if trace_id not in self._tired:
            self._tired.add(trace_id)
            say(f"trace {trace_id} is too large to ask all of it; tailrace trace search does")


def _picked(spans: Sequence[Span], wanted: Container[tuple[str, int]]) -> list[Span]:
    if isinstance(spans, LateSpans):
        return spans.pick(wanted)
    return [
        span
        for span in spans
        if span.end_ns is not None and (span.span_id, span.start_ns) in wanted
    ]


def _remember(known: OrderedDict[str, T], trace_id: str, value: T) -> None:
    known[trace_id] = value
    if len(known) > _TRACES:
        known.popitem(last=False)


def _is_local(chain: Chain) -> bool:
    """Return whether a query asks each span for itself."""
    return all(isinstance(stage, Keep | Show) for stage in chain.stages) and all(
        isinstance(field, Attribute) or field.name in _OF_ONE_SPAN for field in shown_fields(chain)
    )


def every(growth: Growth) -> Iterator[Span]:
    """Yield all spans that have ended: what a tail without a query shows."""
    for first in range(0, len(growth.ended), _MANY):
        some = [*growth.ended[first : first + _MANY]]
        yield from _with_origin(growth.trace_id, growth.flow, some)


def _with_origin(trace_id: RunId, flow: str, spans: list[Span]) -> list[Span]:
    run = RunSummary(
        run_id=trace_id,
        flow=flow,
        status=RunStatus.RUNNING,
        start_ns=min((span.start_ns for span in spans), default=0),
        end_ns=None,
        spans=len(spans),
    )
    return with_origin(Trace(run=run, spans=spans))
