"""OTLP's JSON as the specification writes it, decoded into typed structures: three times as fast.

What is written in any other way, or is wrong, is left to ``read_json``, which tells why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import NO_SCOPE, InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanType
from tailrace.tracing.otlp.codes import KINDS, STATUSES
from tailrace.tracing.otlp.ids import parent_id_of, span_id_of, trace_id_of
from tailrace.tracing.otlp.refused import Broken, ReadReport
from tailrace.tracing.otlp.values import attributes_of, value_of

_FOREIGN = SpanType.FOREIGN
SURE = 19
"""Numbers of fewer digits have at most 64 bits."""
_DIGITS, _LAST = 19, "9"
"""Digits of the nanoseconds of any time from 2001 to 2255."""


class _Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What has the fields that the specification names, and no others."""


class _Value(_Strict):
    string_value: str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None
    double_value: float | str | None = None
    array_value: dict[str, Any] | None = None
    kvlist_value: dict[str, Any] | None = None
    bytes_value: str | None = None


class _Pair(_Strict):
    key: str
    value: _Value | None = None


class _Status(_Strict):
    code: int = 0
    message: str = ""


class TypedEvent(_Strict):
    """An event."""

    time_unix_nano: str
    name: str = ""
    attributes: Sequence[_Pair] = ()
    dropped_attributes_count: int = 0


class _Link(_Strict):
    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: Sequence[_Pair] = ()
    dropped_attributes_count: int = 0
    flags: int = 0


class TypedSpan(_Strict):
    """A span as it is written."""

    trace_id: str
    span_id: str
    start_time_unix_nano: str
    end_time_unix_nano: str
    parent_span_id: str = ""
    trace_state: str = ""
    name: str = ""
    kind: int = 0
    attributes: Sequence[_Pair] = ()
    events: Sequence[TypedEvent] = ()
    links: Sequence[_Link] = ()
    status: _Status | None = None
    flags: int = 0
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0


class _ScopeSpans(_Strict):
    scope: dict[str, Any] | None = None
    spans: Sequence[TypedSpan] = ()
    schema_url: str = ""


class TypedGroup(_Strict):
    """One of ``resourceSpans``."""

    resource: dict[str, Any] | None = None
    scope_spans: Sequence[_ScopeSpans] = ()
    schema_url: str = ""


class _Export(_Strict):
    resource_spans: list[TypedGroup]


_decode = msgspec.json.Decoder(_Export).decode


def parse_typed(text: bytes | str) -> list[TypedGroup] | None:
    """Return the groups of an export that is just as specified; None: it is not."""
    try:
        groups = _decode(text).resource_spans
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    are_usual = all(
        _is_usual(span) for group in groups for one in group.scope_spans for span in one.spans
    )
    return groups if are_usual else None


def _is_usual(span: TypedSpan) -> bool:
    return (
        _is_time(span.start_time_unix_nano)
        and _is_time(span.end_time_unix_nano)
        and 0 <= span.dropped_events_count < 1 << 32
        and all(_is_time(event.time_unix_nano) for event in span.events)
    )


def _is_time(digits: str) -> bool:
    return len(digits) == _DIGITS and digits.isdecimal() and digits < _LAST


def spans_of_typed(groups: Sequence[TypedGroup], report: ReadReport) -> Iterator[Span]:
    """Yield the spans of some groups; those that cannot be read are counted in the report.

    Raises:
        Broken: a resource or a scope cannot be read.
    """
    for group in groups:
        resource = attributes_of((group.resource or {}).get("attributes"))
        for scoped in group.scope_spans:
            scope = scope_of_typed(scoped.scope)
            for raw in scoped.spans:
                try:
                    span = span_of_typed(raw, resource, scope)
                except Broken as error:
                    report.refuse(str(error))
                    continue
                report.spans += 1
                yield span


def scope_of_typed(raw: Mapping[str, Any] | None) -> InstrumentationScope:
    """Return a scope.

    Raises:
        Broken: it cannot be read.
    """
    if not raw:
        return NO_SCOPE
    name, version = raw.get("name") or "", raw.get("version") or ""
    if not isinstance(name, str) or not isinstance(version, str):
        raise Broken("name and version of a scope must be texts")
    return InstrumentationScope(
        name=name, version=version, attributes=attributes_of(raw.get("attributes"))
    )


def span_of_typed(raw: TypedSpan, resource: Mapping[str, Any], scope: InstrumentationScope) -> Span:
    """Return one span.

    Raises:
        Broken: it cannot be read.
    """
    status = raw.status
    kind, code = raw.kind, 0 if status is None else status.code
    parent = raw.parent_span_id
    return Span(
        trace_id=RunId(trace_id_of(raw.trace_id)),
        span_id=SpanId(span_id_of(raw.span_id)),
        parent_id=SpanId(found) if parent and (found := parent_id_of(parent)) else None,
        name=raw.name,
        type=_FOREIGN,
        start_ns=int(raw.start_time_unix_nano),
        end_ns=int(raw.end_time_unix_nano),
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else KINDS[0],
        status=STATUSES[code] if 0 <= code < len(STATUSES) else STATUSES[0],
        message="" if status is None else status.message,
        attributes=typed_attributes(raw.attributes),
        events=[_event(one) for one in raw.events] if raw.events else [],
        links=[_link(one) for one in raw.links] if raw.links else [],
        dropped_events=raw.dropped_events_count,
        resource=resource,
        scope=scope,
        trace_state=raw.trace_state,
    )


def _event(raw: TypedEvent) -> SpanEvent:
    return SpanEvent(
        time_ns=int(raw.time_unix_nano), name=raw.name, attributes=typed_attributes(raw.attributes)
    )


def _link(raw: _Link) -> SpanLink:
    return SpanLink(
        trace_id=RunId(trace_id_of(raw.trace_id)),
        span_id=SpanId(span_id_of(raw.span_id)),
        attributes=typed_attributes(raw.attributes),
        trace_state=raw.trace_state,
    )


def typed_attributes(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """Return attributes by key; of a key that is there twice the last one counts."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        plain: Any = None
        if value is not None:
            plain = value.string_value
            if plain is None:
                plain = _other(value)
        found[pair.key] = plain
    return found


def _other(value: _Value) -> Any:
    """Return a value that is no text."""
    number = value.int_value
    if number.__class__ is str and len(number) < SURE and number.isdecimal():
        return int(number)
    if number is None:
        if value.double_value.__class__ is float:
            return value.double_value
        if value.bool_value is not None:
            return value.bool_value
    given = zip(value.__struct_encode_fields__, msgspec.structs.astuple(value), strict=True)
    return value_of({name: content for name, content in given if content is not None})
