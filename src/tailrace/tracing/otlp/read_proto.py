"""OTLP's protobuf as spans, through the official package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tailrace.errors import SettingsError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import NO_SCOPE, InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanType
from tailrace.tracing.otlp.codes import KINDS, STATUSES
from tailrace.tracing.otlp.read_json import MAX_TIME
from tailrace.tracing.otlp.refused import Broken, ReadReport
from tailrace.tracing.otlp.values import MAX_DEPTH

EXTRA = "tailrace[otlp]"


def parse_proto(body: bytes) -> Any:
    """Return the groups of spans (``resource_spans``) of one export.

    Raises:
        Broken: the bytes are no export.
        SettingsError: the package that reads them is not installed (TR196).
    """
    try:
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - an extra
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - an extra
            ExportTraceServiceRequest,
        )
    except ImportError as error:
        raise SettingsError(
            f"OTLP in protobuf needs the package opentelemetry-proto: {error}",
            code="TR196",
            hint=f"pip install '{EXTRA}', or export the spans as OTLP JSON",
            details={"package": "opentelemetry-proto"},
        ) from error
    try:
        return ExportTraceServiceRequest.FromString(body).resource_spans
    except DecodeError as error:
        raise Broken(f"it is no export of spans in protobuf: {error}") from None


def spans_of_proto(groups: Iterable[Any], report: ReadReport) -> Iterator[Span]:
    """Yield the spans of some groups; those that cannot be read are counted in the report."""
    for group in groups:
        resource = proto_attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = scope_of_proto(scoped.scope)
            for raw in scoped.spans:
                try:
                    span = span_of_proto(raw, resource, scope)
                except Broken as error:
                    report.refuse(str(error))
                    continue
                report.spans += 1
                yield span


def scope_of_proto(raw: Any) -> InstrumentationScope:
    """Return a scope."""
    attributes = proto_attributes(raw.attributes)
    if not (raw.name or raw.version or attributes):
        return NO_SCOPE
    return InstrumentationScope(name=raw.name, version=raw.version, attributes=attributes)


def span_of_proto(raw: Any, resource: Mapping[str, Any], scope: InstrumentationScope) -> Span:
    """Return one span.

    Raises:
        Broken: it cannot be read.
    """
    start, end = raw.start_time_unix_nano, raw.end_time_unix_nano
    if start > MAX_TIME or end > MAX_TIME:
        raise Broken("startTimeUnixNano is no number of nanoseconds since 1970")
    status = raw.status
    parent = raw.parent_span_id
    return Span(
        trace_id=RunId(_id(raw.trace_id, 16, "the trace id is not 16 bytes")),
        span_id=SpanId(_id(raw.span_id, 8, "the span id is not 8 bytes")),
        parent_id=SpanId(_id(parent, 8, "the parent's span id is not 8 bytes"))
        if parent.strip(b"\0")
        else None,
        name=raw.name,
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=end or None,
        kind=KINDS[raw.kind] if 0 <= raw.kind < len(KINDS) else KINDS[0],
        status=STATUSES[status.code] if 0 <= status.code < len(STATUSES) else STATUSES[0],
        message=status.message,
        attributes=proto_attributes(raw.attributes),
        events=[
            SpanEvent(
                time_ns=min(event.time_unix_nano, MAX_TIME),
                name=event.name,
                attributes=proto_attributes(event.attributes),
            )
            for event in raw.events
        ],
        links=[_link(link) for link in raw.links],
        dropped_events=raw.dropped_events_count,
        resource=resource,
        scope=scope,
        trace_state=raw.trace_state,
    )


def _link(raw: Any) -> SpanLink:
    return SpanLink(
        trace_id=RunId(_id(raw.trace_id, 16, "the trace id of a link is not 16 bytes")),
        span_id=SpanId(_id(raw.span_id, 8, "the span id of a link is not 8 bytes")),
        attributes=proto_attributes(raw.attributes),
        trace_state=raw.trace_state,
    )


def _id(body: bytes, size: int, trouble: str) -> str:
    if len(body) != size or not body.strip(b"\0"):
        raise Broken(trouble)
    return body.hex()


def proto_attributes(pairs: Iterable[Any], depth: int = 0) -> dict[str, Any]:
    """Return attributes by key; of a key that is there twice the last one counts."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        if kind == "string_value":
            found[pair.key] = value.string_value
        else:
            found[pair.key] = _value(value, kind, depth)
    return found


def _value(value: Any, kind: str | None, depth: int) -> Any:
    if kind is None or depth > MAX_DEPTH:
        return None
    if kind == "array_value":
        items = value.array_value.values
        return [_value(item, item.WhichOneof("value"), depth + 1) for item in items]
    if kind == "kvlist_value":
        return proto_attributes(value.kvlist_value.values, depth + 1)
    return getattr(value, kind)
