"""Our spans as those of the OpenTelemetry SDK, which its exporters take.

Imported only where that is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from tailrace.model.span import Span
from tailrace.model.states import SpanStatus
from tailrace.tracing.attributes import attribute
from tailrace.tracing.otlp.native import has_remote_parent

SUCCESS = SpanExportResult.SUCCESS
_FLAGS = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {kind.name: kind for kind in SpanKind}
_STATUSES = {
    SpanStatus.UNSET: StatusCode.UNSET,
    SpanStatus.OK: StatusCode.OK,
    SpanStatus.ERROR: StatusCode.ERROR,
}
_UNNAMED = "unknown_service"
_SCOPE = InstrumentationScope("tailrace")


def resource_of_process() -> Resource:
    """Return what OpenTelemetry's SDK knows of this process; it cannot ask at its very end."""
    return Resource.create()


def resource_of(service: str, process: Resource) -> Resource:
    """Return the resource of a flow's spans.

    ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` overrule the flow's name.
    """
    name = str(process.attributes.get(SERVICE_NAME, ""))
    if name and not name.startswith(_UNNAMED):
        return process
    return process.merge(Resource({SERVICE_NAME: service}))


def sdk_span(span: Span, resource: Resource) -> ReadableSpan:
    """Return a span with its own ids and times."""
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, span.trace_state),
        parent=_parent(span),
        resource=resource,
        attributes=_attributes(span.attributes),
        events=[Event(one.name, _attributes(one.attributes), one.time_ns) for one in span.events],
        links=[
            Link(
                _context(link.trace_id, link.span_id, link.trace_state),
                _attributes(link.attributes),
            )
            for link in span.links
        ],
        kind=_KINDS.get(span.kind.name, SpanKind.INTERNAL),
        status=_status(span),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_scope(span),
    )


def _parent(span: Span) -> SpanContext | None:
    if span.parent_id is None:
        return None
    return _context(span.trace_id, span.parent_id, is_remote=has_remote_parent(span))


def _context(
    trace_id: str, span_id: str, state: str = "", *, is_remote: bool = False
) -> SpanContext:
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=is_remote,
        trace_flags=_FLAGS,
        trace_state=TraceState.from_header([state]) if state else None,
    )


def _scope(span: Span) -> InstrumentationScope:
    found = span.scope
    return InstrumentationScope(found.name, found.version or None) if found.name else _SCOPE


def _status(span: Span) -> Status:
    code = _STATUSES[span.status]
    return Status(code, span.message or None) if code is StatusCode.ERROR else Status(code)


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    reduced = {key: attribute(value) for key, value in attributes.items()}
    return {key: value for key, value in reduced.items() if value is not None}
