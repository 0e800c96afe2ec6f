"""Stored spans as readers get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind, SpanType
from tailrace.store.foreign_span import StoredSpan
from tailrace.store.keys import STATUS

KINDS = (
    SpanKind.UNSPECIFIED,
    SpanKind.INTERNAL,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
)
"""Kinds by the number that stands for them in the file (OpenTelemetry's)."""


def to_span(
    span: StoredSpan,
    trace_id: RunId,
    resource: Mapping[str, Any],
    scope: InstrumentationScope,
) -> Span:
    """Return a stored span as readers get it."""
    return Span(
        trace_id=trace_id,
        span_id=SpanId(span.span_id.hex()),
        parent_id=SpanId(span.parent_id.hex()) if span.parent_id else None,
        name=span.name,
        type=SpanType.FOREIGN,
        start_ns=span.start,
        end_ns=span.end or None,
        kind=KINDS[span.kind] if span.kind < len(KINDS) else SpanKind.UNSPECIFIED,
        status=STATUS[span.status] if span.status < len(STATUS) else STATUS[0],
        message=span.message,
        attributes=dict(span.attributes),
        events=[
            SpanEvent(time_ns=one.time, name=one.name, attributes=dict(one.attributes))
            for one in span.events
        ],
        links=[
            SpanLink(
                trace_id=RunId(one.trace_id.hex()),
                span_id=SpanId(one.span_id.hex()),
                attributes=dict(one.attributes),
                trace_state=one.trace_state,
            )
            for one in span.links
        ],
        dropped_events=span.dropped_events,
        resource=resource,
        scope=scope,
        trace_state=span.trace_state,
    )
