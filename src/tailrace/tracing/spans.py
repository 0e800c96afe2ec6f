"""Projected state as the spans, runs and checkpoints that readers get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from tailrace.model.ids import RunId, SpanId, span_id
from tailrace.model.journal import AnyRecord, RunFinished
from tailrace.model.span import (
    NO_SCOPE,
    Checkpoint,
    InstrumentationScope,
    RunSummary,
    Span,
    SpanEvent,
    Trace,
)
from tailrace.model.states import RunStatus, SpanKind, SpanType
from tailrace.tracing.links import LINKS, TRACESTATE, links_of, links_of_run
from tailrace.tracing.projection import INTERRUPTED, Projection
from tailrace.tracing.state import Changes, EventAdded, RunState, SpanState

_KIND = "otel.span.kind"
_LIBRARY = "otel.scope.name"
_LIBRARY_VERSION = "otel.scope.version"
_KINDS = {kind.value: kind for kind in SpanKind}
WITH_PATH = frozenset({SpanType.NODE, SpanType.CONTAINER, SpanType.ITERATION, SpanType.BRANCH})


def to_span(state: SpanState, run: RunState) -> Span:
    """Return the span as readers get it; its attributes are a copy."""
    shape = state.shape
    attributes = dict(shape.attributes)
    if shape.type in WITH_PATH:
        attributes["tailrace.node.path"] = state.path or state.name
    attributes.update(state.attributes)
    parent = None
    if state.parent:
        parent = span_id(run.span_base, state.parent)
    elif run.parent_span_id:
        parent = SpanId(run.parent_span_id)
    links = links_of(attributes) if LINKS in attributes else []
    trace_state = run.trace_state
    if shape.type is SpanType.RUN:
        links = links_of_run(attributes) + links
        trace_state = str(attributes.pop(TRACESTATE, ""))
    return Span(
        trace_id=RunId(run.run_id),
        span_id=span_id(run.span_base, state.number),
        parent_id=parent,
        name=shape.prefix + state.name,
        type=shape.type,
        start_ns=state.start,
        end_ns=state.end,
        kind=kind_of(attributes) if shape.type is SpanType.USER else SpanKind.INTERNAL,
        status=state.status,
        message=state.message,
        attributes=attributes,
        links=links,
        trace_state=trace_state,
        dropped_events=state.dropped,
        scope=scope_of(attributes) if shape.type is SpanType.USER else NO_SCOPE,
    )


def kind_of(attributes: dict[str, Any]) -> SpanKind:
    """Return the kind that OpenTelemetry's API gave a span."""
    return _KINDS.get(str(attributes.get(_KIND, "")), SpanKind.INTERNAL)


def scope_of(attributes: dict[str, Any]) -> InstrumentationScope:
    """Return the library that opened a span with OpenTelemetry's API."""
    name = attributes.get(_LIBRARY)
    if name is None:
        return NO_SCOPE
    return InstrumentationScope(name=str(name), version=str(attributes.get(_LIBRARY_VERSION, "")))


def to_event(event: EventAdded) -> SpanEvent:
    """Return the event as readers get it."""
    return SpanEvent(time_ns=event.time, name=event.name, attributes=event.attributes)


def to_summary(run: RunState) -> RunSummary:
    """Return the run as one line of a list."""
    return RunSummary(
        run_id=RunId(run.run_id),
        flow=run.flow,
        status=run.status,
        start_ns=run.start,
        end_ns=run.end,
        spans=run.spans,
        failed_node=run.failed_node,
        reason=run.reason,
        flow_hash=run.flow_hash,
        flow_source=run.flow_source,
        source=run.source,
        handled_failures=run.handled_failures,
        lineage=run.lineage,
        resumed_from=run.resumed_from,
        letter=run.letter,
        generation=run.generation,
        code_version=run.code_version,
    )


def interruption(projection: Projection) -> RunFinished:
    """Return the record that ends a run whose process has died, at its last sign of life."""
    return RunFinished(projection.latest, RunStatus.INTERRUPTED, reason=INTERRUPTED)


class SpanChanges(Struct):
    """What an ``apply`` did: parents start before their children and end after them.

    A span that started and ended at once is in both lists.
    """

    started: list[Span] = field(default_factory=list)
    ended: list[Span] = field(default_factory=list)


class Spans:
    """Folds records into spans as they happen, for live views and for the store in memory.

    Args:
        keep: whether spans that ended, and checkpoints, are kept for ``trace`` and
            ``checkpoints``; without it memory holds the open spans only.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._projection = Projection()
        self._keep = keep
        self._spans: dict[int, Span] = {}
        self._checkpoints: list[Checkpoint] = []

    @property
    def run(self) -> RunState | None:
        """The run as it stands; None before its first record."""
        return self._projection.run

    def apply(self, records: Iterable[AnyRecord]) -> SpanChanges:
        """Fold the records in and return the spans that started and ended."""
        self._projection.apply(records)
        changes = self._projection.drain()
        result = SpanChanges()
        run = self._projection.run
        if run is None:
            return result
        for state in changes.opened:
            span = to_span(state, run)
            self._spans[state.number] = span
            result.started.append(span)
        for state in changes.changed:
            self._refresh(state, run)
        self._add_events(changes)
        over = [state for state in (*changes.opened, *changes.changed) if state.end is not None]
        over.sort(key=lambda state: (state.end, -state.number))
        result.ended = [self._spans[state.number] for state in over]
        if not self._keep:
            for state in over:
                del self._spans[state.number]
        return result

    def _refresh(self, state: SpanState, run: RunState) -> None:
        span, new = self._spans[state.number], to_span(state, run)
        span.name = new.name
        span.end_ns, span.status, span.message = new.end_ns, new.status, new.message
        span.attributes, span.dropped_events = new.attributes, new.dropped_events

    def _add_events(self, changes: Changes) -> None:
        for event in changes.events:
            span = self._spans.get(event.span)
            if span is not None:
                span.events.append(to_event(event))
        for number, count in changes.dropped:
            span = self._spans.get(number)
            if span is not None:
                span.dropped_events += count
        if self._keep:
            self._checkpoints.extend(
                Checkpoint(
                    path=kept.path,
                    codec=kept.codec,
                    body=kept.body,
                    time_ns=kept.time,
                    extra=kept.extra,
                )
                for kept in changes.checkpoints
            )

    def trace(self) -> Trace:
        """Return the run with its spans so far, in the order in which they opened.

        Raises:
            LookupError: no run has started.
        """
        run = self._projection.run
        if run is None:
            raise LookupError("no run has started")
        spans = [span for _, span in sorted(self._spans.items())]
        return Trace(run=to_summary(run), spans=spans)

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints so far, oldest first; of one path the last one counts."""
        return list(self._checkpoints)


def fold(records: Iterable[AnyRecord]) -> Spans:
    """Return the spans of all these records."""
    spans = Spans()
    spans.apply(records)
    return spans
