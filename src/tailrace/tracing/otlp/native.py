"""Spans of runs as other programs are to see them."""

from __future__ import annotations

from tailrace.model.span import NO_SCOPE, InstrumentationScope, Span, Trace
from tailrace.model.states import SpanType

SCOPE = InstrumentationScope(name="tailrace")


def has_remote_parent(span: Span) -> bool:
    """Return whether one of our own spans has a parent in another program, which called the run."""
    return span.type is SpanType.RUN and span.parent_id is not None


def with_origin(trace: Trace) -> list[Span]:
    """Return the spans of a trace; those of our own get the flow as their service."""
    resource = {"service.name": trace.run.flow}
    for span in trace.spans:
        if span.type is not SpanType.FOREIGN and not span.resource:
            span.resource = resource
            if span.scope == NO_SCOPE:
                span.scope = SCOPE
    return trace.spans
