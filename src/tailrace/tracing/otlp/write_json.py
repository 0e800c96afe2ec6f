"""Spans as OTLP's JSON: one export, as collectors and backends take it.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanType
from tailrace.tracing.attributes import text
from tailrace.tracing.otlp.codes import KINDS, STATUSES
from tailrace.tracing.otlp.native import has_remote_parent
from tailrace.tracing.otlp.values import pairs_of

_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_STATUS_NUMBERS = {status: number for number, status in enumerate(STATUSES)}
_LOCAL = 0x100
"""SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK: it is known whether the parent is in another program. Of
spans from elsewhere it is not."""
_REMOTE = _LOCAL | 0x200
"""With SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK: it is."""
_encode = msgspec.json.Encoder().encode


def encode_export(spans: Iterable[Span]) -> bytes:
    """Return spans as one export on one line, in UTF-8."""
    document = export_of(spans)
    try:
        return _encode(document)
    except UnicodeEncodeError:  # lone surrogates
        return _encode(cleaned(document))


def export_of(spans: Iterable[Span]) -> dict[str, Any]:
    """Return spans as an export, grouped by resource and scope in the order of their first span."""
    resources: dict[int, _Group] = {}
    by_body: dict[bytes, _Group] = {}
    for span in spans:
        group = resources.get(id(span.resource))
        if group is None:
            body = _key(span.resource)
            group = by_body.get(body)
            if group is None:
                group = by_body[body] = _Group(span.resource)
            resources[id(span.resource)] = group
            group.kept.append(span.resource)
        group.add(span)
    return {"resourceSpans": [group.to_dict() for group in by_body.values()]}


class _Group:
    """Spans of one resource."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.kept: list[Mapping[str, Any]] = []
        """Objects whose ids stand for this group; kept, so that no other takes their id."""
        self._resource = resource
        self._scopes: dict[int, list[dict[str, Any]]] = {}
        self._by_body: dict[bytes, tuple[InstrumentationScope, list[dict[str, Any]]]] = {}
        self._seen: list[InstrumentationScope] = []

    def add(self, span: Span) -> None:
        scope = span.scope
        spans = self._scopes.get(id(scope))
        if spans is None:
            key = _key([scope.name, scope.version, scope.attributes])
            _, spans = self._by_body.setdefault(key, (scope, []))
            self._scopes[id(scope)] = spans
            self._seen.append(scope)
        spans.append(_span(span))

    def to_dict(self) -> dict[str, Any]:
        return {
            "resource": {"attributes": pairs_of(self._resource)},
            "scopeSpans": [
                {"scope": _scope(scope), "spans": spans} for scope, spans in self._by_body.values()
            ],
        }


def _key(value: Any) -> bytes:
    return msgspec.msgpack.encode(value, enc_hook=str)


def _scope(scope: InstrumentationScope) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if scope.name:
        body["name"] = scope.name
    if scope.version:
        body["version"] = scope.version
    if scope.attributes:
        body["attributes"] = pairs_of(scope.attributes)
    return body


def _span(span: Span) -> dict[str, Any]:
    body: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _KIND_NUMBERS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "attributes": pairs_of(span.attributes),
        "status": _status(span),
    }
    if span.type is not SpanType.FOREIGN:
        body["flags"] = _REMOTE if has_remote_parent(span) else _LOCAL
    if span.end_ns is not None:
        body["endTimeUnixNano"] = str(span.end_ns)
    if span.parent_id is not None:
        body["parentSpanId"] = span.parent_id
    if span.trace_state:
        body["traceState"] = span.trace_state
    if span.events:
        body["events"] = [_event(event) for event in span.events]
    if span.links:
        body["links"] = [_link(link) for link in span.links]
    if span.dropped_events:
        body["droppedEventsCount"] = span.dropped_events
    return body


def _status(span: Span) -> dict[str, Any]:
    body: dict[str, Any] = {}
    code = _STATUS_NUMBERS[span.status]
    if code:
        body["code"] = code
    if span.message:
        body["message"] = span.message
    return body


def _event(event: SpanEvent) -> dict[str, Any]:
    return {
        "timeUnixNano": str(event.time_ns),
        "name": event.name,
        "attributes": pairs_of(event.attributes),
    }


def _link(link: SpanLink) -> dict[str, Any]:
    body = {
        "traceId": link.trace_id,
        "spanId": link.span_id,
        "attributes": pairs_of(link.attributes),
    }
    return body | ({"traceState": link.trace_state} if link.trace_state else {})


def cleaned(value: Any) -> Any:
    """Return a JSON value whose texts can be written as UTF-8."""
    match value:
        case str():
            return text(value)
        case list():
            return [cleaned(item) for item in value]
        case dict():
            return {text(key): cleaned(item) for key, item in value.items()}
        case _:
            return value
