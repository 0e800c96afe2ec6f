"""Spans as Jaeger's JSON, which its web page reads from a file.

https://www.jaegertracing.io/docs/latest/architecture/apis/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tailrace.model.span import Span, SpanEvent
from tailrace.model.states import SpanKind, SpanStatus
from tailrace.tracing.attributes import attribute


def jaeger_trace(traces: Sequence[Sequence[Span]]) -> bytes:
    """Return traces as the document that Jaeger's API answers with; times are microseconds."""
    return msgspec.json.encode({"data": [_trace(spans) for spans in traces if spans]})


def _trace(spans: Sequence[Span]) -> dict[str, Any]:
    processes: dict[str, dict[str, Any]] = {}
    keys: dict[bytes, str] = {}
    by_object: dict[int, str] = {}
    bodies = []
    for span in spans:
        key = by_object.get(id(span.resource))
        if key is None:
            body = msgspec.msgpack.encode(span.resource, enc_hook=str)
            key = keys.setdefault(body, f"p{len(keys) + 1}")
            by_object[id(span.resource)] = key
            processes[key] = _process(span.resource)
        bodies.append(_span(span, key))
    return {"traceID": spans[0].trace_id, "spans": bodies, "processes": processes}


def _process(resource: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in resource.items() if key != "service.name"}
    return {"serviceName": str(resource.get("service.name") or "unknown"), "tags": _tags(rest)}


def _span(span: Span, process: str) -> dict[str, Any]:
    references = []
    if span.parent_id is not None:
        references.append(_reference("CHILD_OF", span.trace_id, span.parent_id))
    references += [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns // 1000,
        "duration": max(0, (span.duration_ns or 0) // 1000),
        "tags": _tags(span.attributes | _facts(span)),
        "logs": [_log(event) for event in span.events],
        "processID": process,
        "warnings": ["the span was open"] if span.end_ns is None else None,
    }


def _reference(kind: str, trace_id: str, span_id: str) -> dict[str, str]:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _facts(span: Span) -> dict[str, Any]:
    """Return what Jaeger keeps as tags: kind, status, scope.

    https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/
    """
    facts: dict[str, Any] = {}
    if span.kind is not SpanKind.UNSPECIFIED:
        facts["span.kind"] = span.kind.value
    if span.status is not SpanStatus.UNSET:
        facts["otel.status_code"] = span.status.value.upper()
    if span.status is SpanStatus.ERROR:
        facts["error"] = True
    if span.message:
        facts["otel.status_description"] = span.message
    if span.scope.name:
        facts["otel.scope.name"] = span.scope.name
    if span.scope.version:
        facts["otel.scope.version"] = span.scope.version
    if span.trace_state:
        facts["w3c.tracestate"] = span.trace_state
    return facts


def _log(event: SpanEvent) -> dict[str, Any]:
    fields = _tags({"event": event.name} | event.attributes)
    return {"timestamp": event.time_ns // 1000, "fields": fields}


def _tags(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_tag(key, attribute(value)) for key, value in attributes.items()]


def _tag(key: str, value: Any) -> dict[str, Any]:
    match value:
        case bool():
            kind = "bool"
        case int():
            kind = "int64"
        case float():
            kind = "float64"
        case str():
            kind = "string"
        case _:
            kind, value = "string", msgspec.json.encode(value).decode()
    return {"key": key, "type": kind, "value": value}
