"""Which of the spans that have just ended a query means."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from tailrace.cli.database import open_reader
from tailrace.cli.listing import say
from tailrace.cli.searching import checked
from tailrace.errors import NotFound, QueryError
from tailrace.model.ids import RunId
from tailrace.model.span import RunSummary, Span, Trace
from tailrace.model.states import RunStatus
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain, Keep, Series, Show
from tailrace.traceql.evaluate import evaluate, shown_fields
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.tree import Attribute, IntrinsicName
from tailrace.tracing.otlp.native import with_origin

if TYPE_CHECKING:
    from pathlib import Path

    from tailrace.store.follow_runs import Growth

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

    def __init__(self, query: str, db: Path | None) -> None:
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

    def choose(self, growth: Growth) -> list[Span]:
        """Return the spans to show now that a trace has grown.

        Raises:
            QueryError: something cannot be calculated, such as a division by zero.
        """
        if self._is_local:
            return self._matching(with_origin(_trace_of(growth)), growth.trace_id)
        is_over = any(span.parent_id is None for span in growth.ended)
        if not is_over and time.monotonic() < self._turn.get(growth.trace_id, 0.0):
            self._waiting[growth.trace_id] = growth.flow
            return []
        return self._asked(growth.trace_id)

    def late(self) -> Iterator[tuple[str, Span]]:
        """Yield spans of traces that had to wait for their turn, each with its flow.

        Raises:
            QueryError: something cannot be calculated, such as a division by zero.
        """
        now = time.monotonic()
        for trace_id, flow in [*self._waiting.items()]:
            if now >= self._turn.get(trace_id, 0.0):
                for span in self._asked(RunId(trace_id)):
                    yield flow, span

    def _asked(self, trace_id: RunId) -> list[Span]:
        """Return the spans of a whole trace that are to be shown now."""
        self._waiting.pop(trace_id, None)
        began = time.monotonic()
        try:
            with open_reader(self._db) as reader:
                spans = with_origin(reader.trace(trace_id))
        except NotFound:
            return []
        told = self._told.pop(trace_id, set())
        _remember(self._told, trace_id, told)
        found = [
            span
            for span in self._matching(spans, trace_id)
            if span.end_ns is not None and (span.span_id, span.start_ns) not in told
        ]
        told.update((span.span_id, span.start_ns) for span in found)
        now = time.monotonic()
        self._turn.pop(trace_id, None)
        _remember(self._turn, trace_id, now + _SHARE * (now - began))
        return found

    def _matching(self, spans: list[Span], trace_id: RunId) -> list[Span]:
        block = memory_block(spans)
        try:
            found = evaluate(self._chain, block, Budget(seconds=_SECONDS))
        except OutOfBudget:
            if trace_id not in self._tired:
                self._tired.add(trace_id)
                say(f"trace {trace_id} is too large to ask all of it; tailrace trace search does")
            return []
        chosen = {block.span_ids[number] for one in found for number in one.spans}
        return [span for span in spans if span.span_id in chosen]


def _remember(known: OrderedDict[str, T], trace_id: str, value: T) -> None:
    known[trace_id] = value
    if len(known) > _TRACES:
        known.popitem(last=False)


def _is_local(chain: Chain) -> bool:
    """Return whether a query asks each span for itself."""
    return all(isinstance(stage, Keep | Show) for stage in chain.stages) and all(
        isinstance(field, Attribute) or field.name in _OF_ONE_SPAN for field in shown_fields(chain)
    )


def _trace_of(growth: Growth) -> Trace:
    first = growth.ended[0]
    run = RunSummary(
        run_id=growth.trace_id,
        flow=growth.flow,
        status=RunStatus.RUNNING,
        start_ns=first.start_ns,
        end_ns=None,
        spans=len(growth.ended),
    )
    return Trace(run=run, spans=growth.ended)


def every(growth: Growth) -> Iterator[Span]:
    """Yield all spans that have ended: what a tail without a query shows."""
    yield from with_origin(_trace_of(growth))
