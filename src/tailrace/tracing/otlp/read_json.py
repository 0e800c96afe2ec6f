"""OTLP's JSON as spans.

Both spellings of names (``traceId``, ``trace_id``) are read, enums as names or numbers, 64-bit
numbers as digits or numbers, ids as hex or base64; what is not known is passed over.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import NO_SCOPE, InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanStatus, SpanType
from tailrace.tracing.otlp.codes import KINDS, STATUSES
from tailrace.tracing.otlp.ids import parent_id_of, span_id_of, trace_id_of
from tailrace.tracing.otlp.refused import Broken, ReadReport
from tailrace.tracing.otlp.values import attributes_of, whole

E = TypeVar("E", bound=StrEnum)

MAX_TIME = 2**63 - 1
_USUAL, _LAST = 19, "9"
"""Digits of the nanoseconds of any time from 2001 to 2255 that is surely within the bound."""
_KIND_NAMES = {f"SPAN_KIND_{kind.name}": kind for kind in KINDS}
_STATUS_NAMES = {f"STATUS_CODE_{status.name}": status for status in STATUSES}
_decode = msgspec.json.Decoder().decode


def parse_export(text: bytes | str) -> list[dict[str, Any]]:
    """Return the groups of spans (``resourceSpans``) of one export, or of a list of exports.

    Raises:
        Broken: it is no JSON, or no export of spans.
    """
    try:
        document = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken(f"it is no JSON: {error}") from None
    except RecursionError:
        raise Broken("it is nested too deeply") from None
    exports = document if isinstance(document, list) else [document]
    return [group for export in exports for group in _groups(export)]


def _groups(export: Any) -> list[dict[str, Any]]:
    if not isinstance(export, dict):
        raise Broken("it is no export of spans: an object with resourceSpans")
    groups = _either(export, "resourceSpans", "resource_spans")
    if groups is None and "batches" in export:  # what Tempo answers for one trace
        groups = export["batches"]
    if groups is None:
        known = "resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics"
        other = next((key for key in known if key in export), None)
        if export and other is None:
            raise Broken("it is no export of spans: it has no resourceSpans")
        return []
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise Broken("resourceSpans must be a list of objects")
    return groups


def spans_of(groups: Iterable[Mapping[str, Any]], report: ReadReport) -> Iterator[Span]:
    """Yield the spans of some groups; those that cannot be read are counted in the report.

    Raises:
        Broken: a resource or a scope cannot be read.
    """
    for group in groups:
        resource = attributes_of(_either(_object(group, "resource"), "attributes"))
        scoped = _list(group, "scopeSpans", "scope_spans")
        scoped = scoped or _list(group, "instrumentationLibrarySpans")
        for scope_group in scoped:
            if not isinstance(scope_group, dict):
                raise Broken("scopeSpans must be a list of objects")
            scope = _scope(scope_group)
            for raw in _list(scope_group, "spans"):
                try:
                    span = _span(raw, resource, scope)
                except Broken as error:
                    report.refuse(str(error))
                    continue
                report.spans += 1
                yield span


def _scope(group: Mapping[str, Any]) -> InstrumentationScope:
    raw = _object(group, "scope") or _object(group, "instrumentationLibrary")
    if not raw:
        return NO_SCOPE
    return InstrumentationScope(
        name=_text(raw, "name"),
        version=_text(raw, "version"),
        attributes=attributes_of(raw.get("attributes")),
    )


def _span(raw: Any, resource: Mapping[str, Any], scope: InstrumentationScope) -> Span:
    if raw.__class__ is not dict:
        raise Broken("a span must be an object")
    start = _time(raw, "startTimeUnixNano", "start_time_unix_nano")
    end = _time(raw, "endTimeUnixNano", "end_time_unix_nano")
    status, message = _status(raw)
    return Span(
        trace_id=RunId(trace_id_of(_either(raw, "traceId", "trace_id"))),
        span_id=SpanId(span_id_of(_either(raw, "spanId", "span_id"))),
        parent_id=_parent(raw),
        name=_text(raw, "name"),
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=end or None,
        kind=_enum(raw.get("kind"), KINDS, _KIND_NAMES, "kind"),
        status=status,
        message=message,
        attributes=attributes_of(raw.get("attributes")),
        events=[_event(one) for one in _list(raw, "events")],
        links=[_link(one) for one in _list(raw, "links")],
        dropped_events=_count(raw, "droppedEventsCount", "dropped_events_count"),
        resource=resource,
        scope=scope,
        trace_state=_text(raw, "traceState", "trace_state"),
    )


def _parent(raw: Mapping[str, Any]) -> SpanId | None:
    found = parent_id_of(_either(raw, "parentSpanId", "parent_span_id"))
    return None if found is None else SpanId(found)


def _status(raw: Mapping[str, Any]) -> tuple[SpanStatus, str]:
    status = raw.get("status")
    if status is None:
        return SpanStatus.UNSET, ""
    if not isinstance(status, dict):
        raise Broken("status must be an object")
    code = _enum(status.get("code"), STATUSES, _STATUS_NAMES, "status")
    return code, _text(status, "message")


def _event(raw: Any) -> SpanEvent:
    if not isinstance(raw, dict):
        raise Broken("an event must be an object")
    return SpanEvent(
        time_ns=_time(raw, "timeUnixNano", "time_unix_nano"),
        name=_text(raw, "name"),
        attributes=attributes_of(raw.get("attributes")),
    )


def _link(raw: Any) -> SpanLink:
    if not isinstance(raw, dict):
        raise Broken("a link must be an object")
    return SpanLink(
        trace_id=RunId(trace_id_of(_either(raw, "traceId", "trace_id"))),
        span_id=SpanId(span_id_of(_either(raw, "spanId", "span_id"))),
        attributes=attributes_of(raw.get("attributes")),
        trace_state=_text(raw, "traceState", "trace_state"),
    )


def _enum(raw: Any, members: tuple[E, ...], names: Mapping[str, E], field: str) -> E:
    """Return a member by its number or its name; of numbers that are not known, the first."""
    if raw is None:
        return members[0]
    if raw.__class__ is str and not raw.isdigit():
        found = names.get(raw.upper()) or names.get(f"{_PREFIXES[field]}{raw.upper()}")
        if found is None:
            raise Broken(f"{field} is {raw[:40]!r}, which OTLP does not know")
        return found
    number = whole(raw, field)
    return members[number] if 0 <= number < len(members) else members[0]


_PREFIXES = {"kind": "SPAN_KIND_", "status": "STATUS_CODE_"}


def _either(raw: Mapping[str, Any], *names: str) -> Any:
    value = raw.get(names[0])
    if value is None:
        for name in names[1:]:
            if name in raw:
                return raw[name]
    return value


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Broken(f"{name} must be an object")
    return value


def _list(raw: Mapping[str, Any], *names: str) -> list[Any]:
    value = _either(raw, *names)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Broken(f"{names[0]} must be a list")
    return value


def _text(raw: Mapping[str, Any], *names: str) -> str:
    value = _either(raw, *names)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Broken(f"{names[0]} must be a text")
    return value


def _time(raw: Mapping[str, Any], *names: str) -> int:
    value = _either(raw, *names)
    if value.__class__ is str and len(value) == _USUAL and value.isdecimal() and value < _LAST:
        return int(value)
    if value is None or value == "":
        return 0
    number = whole(value, names[0])
    if not 0 <= number <= MAX_TIME:
        raise Broken(f"{names[0]} is no number of nanoseconds since 1970")
    return number


def _count(raw: Mapping[str, Any], *names: str) -> int:
    value = _either(raw, *names)
    return 0 if value is None else max(0, min(whole(value, names[0]), 2**32 - 1))
