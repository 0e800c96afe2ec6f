"""OTLP straight as what the store keeps; what is out of the common goes the long way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tailrace.model.span import InstrumentationScope, Span
from tailrace.store.foreign.convert import Converter, Traces
from tailrace.store.foreign.restore import KINDS
from tailrace.store.foreign_span import StoredEvent, StoredSpan
from tailrace.store.keys import STATUS
from tailrace.tracing.otlp.codes import KINDS as TOLD_KINDS
from tailrace.tracing.otlp.codes import STATUSES as TOLD_STATUSES
from tailrace.tracing.otlp.files import Export
from tailrace.tracing.otlp.ids import NO_SPAN, NO_TRACE
from tailrace.tracing.otlp.read_proto import proto_attributes, scope_of_proto, span_of_proto
from tailrace.tracing.otlp.refused import Broken, ReadReport
from tailrace.tracing.otlp.typed_json import (
    SURE,
    TypedEvent,
    TypedGroup,
    TypedSpan,
    scope_of_typed,
    span_of_typed,
    typed_attributes,
)
from tailrace.tracing.otlp.values import attributes_of

_KIND = tuple(KINDS.index(kind) for kind in TOLD_KINDS)
_STATUS = tuple(STATUS.index(status) for status in TOLD_STATUSES)
"""The store's numbers by those of OTLP."""
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_SPAN_BYTES, _TRACE_BYTES = 8, 16
_ZERO = bytes(_SPAN_BYTES)
_EARLIEST, _LATEST = 10**18, 9 * 10**18
"""Bounds of the nanoseconds of usual times."""
_PLAIN_KINDS = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_NO_SPANS = frozenset({"", NO_SPAN})


class _Uncommon(Exception):  # noqa: N818 - never leaves this module
    """A span that is to go the long way."""


class _Shared:
    """What the spans of one scope share; it is written down when the first of them is taken."""

    __slots__ = ("numbers", "resource", "scope")

    def __init__(self, resource: Mapping[str, Any], scope: InstrumentationScope) -> None:
        self.resource = resource
        self.scope = scope
        self.numbers: tuple[int, int] | None = None
        """The rows of both."""


class ExportReader:
    """Turns exports into stored spans, by trace; the same as converting their spans one by one.

    Args:
        converter: takes what goes the long way, and knows the resources and scopes.
        report: gets what cannot be read.
    """

    def __init__(self, converter: Converter, report: ReadReport) -> None:
        self._converter = converter
        self._report = report
        self._limits = converter.limits
        self._is_long = False
        """Whether a text of the export might be longer than is kept."""

    def read(self, export: Export, into: Traces) -> int:
        """Add the spans of an export to those of their traces, and return how many they are."""
        self._report.line = export.line
        self._is_long = export.size > self._limits.text
        if export.proto:
            return sum(self._proto_group(group, into) for group in export.proto)
        if not export.typed:
            return self._add(export.spans(self._report), into)
        count = 0
        try:
            for group in export.typed:
                for spans in self._group(group, into):
                    count += spans
        except Broken as error:
            self._report.note(export.line, str(error))
        return count

    def _add(self, spans: Iterator[Span] | Sequence[Span], into: Traces) -> int:
        count = 0
        for trace_id, found in self._converter.convert(spans).items():
            into.setdefault(trace_id, []).extend(found)
            count += len(found)
        return count

    def _group(self, group: TypedGroup, into: Traces) -> Iterator[int]:
        """Take the spans of a resource in, and yield the number of those of each scope."""
        report = self._report
        resource = attributes_of((group.resource or {}).get("attributes"))
        for scoped in group.scope_spans:
            scope = scope_of_typed(scoped.scope)
            shared = _Shared(resource, scope)
            count, key, last, found = 0, "", "", list[StoredSpan]()
            for raw in scoped.spans:
                trace_id = raw.trace_id
                try:
                    if trace_id != last:
                        key = _trace_id(trace_id)
                    stored = self._stored(raw, shared)
                except (_Uncommon, ValueError):
                    count += self._long_way(raw, shared, into, span_of_typed)
                    continue
                if trace_id != last:
                    found, last = into.setdefault(key, []), trace_id
                found.append(stored)
                report.spans += 1
                count += 1
            yield count

    def _proto_group(self, group: Any, into: Traces) -> int:
        """Take the spans of a resource in protobuf in, and return their number."""
        report = self._report
        resource = proto_attributes(group.resource.attributes)
        count = 0
        for scoped in group.scope_spans:
            shared = _Shared(resource, scope_of_proto(scoped.scope))
            key, last, found = "", b"", list[StoredSpan]()
            for raw in scoped.spans:
                trace_id = raw.trace_id
                try:
                    if trace_id != last:
                        key = _proto_trace_id(trace_id)
                    stored = self._stored_proto(raw, shared)
                except _Uncommon:
                    count += self._long_way(raw, shared, into, span_of_proto)
                    continue
                if trace_id != last:
                    found, last = into.setdefault(key, []), trace_id
                found.append(stored)
                report.spans += 1
                count += 1
        return count

    def _stored_proto(self, raw: Any, shared: _Shared) -> StoredSpan:
        """Return a usual span.

        Raises:
            _Uncommon: it is none.
        """
        own, parent = raw.span_id, raw.parent_span_id
        start, end, events = raw.start_time_unix_nano, raw.end_time_unix_nano, raw.events
        if parent == _ZERO:
            parent = b""
        if (
            len(own) != _SPAN_BYTES
            or own == _ZERO
            or (parent and len(parent) != _SPAN_BYTES)
            or not _EARLIEST <= start <= end < _LATEST
            or raw.links
            or len(events) > self._limits.events
            or not all(_EARLIEST <= event.time_unix_nano < _LATEST for event in events)
        ):
            raise _Uncommon
        kind, status = raw.kind, raw.status
        code = status.code
        resource, scope = shared.numbers or self._number(shared)
        return StoredSpan(
            own,
            parent,
            raw.name,
            _KIND[kind] if 0 <= kind < len(_KIND) else 0,
            _STATUS[code] if 0 <= code < len(_STATUS) else 0,
            start,
            end,
            resource,
            scope,
            self._proto_attributes(raw.attributes),
            status.message,
            tuple(
                StoredEvent(one.time_unix_nano, one.name, self._proto_attributes(one.attributes))
                for one in events
            ),
            (),
            raw.trace_state,
            raw.dropped_events_count,
        )

    def _proto_attributes(self, pairs: Sequence[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pair in pairs:
            value = pair.value
            plain: Any = value.string_value
            if not plain:  # most are texts, and asking which it is costs as much as the text
                kind = value.WhichOneof("value")
                if kind not in _PLAIN_KINDS:
                    break
                plain = getattr(value, kind)
                if plain != plain:  # noqa: PLR0124 - NaN
                    break
            found[pair.key] = plain
        else:
            if not self._is_long and len(found) <= self._limits.attributes and "" not in found:
                return found
            return self._converter.clean(found)
        return self._converter.clean(proto_attributes(pairs))

    def _long_way(
        self,
        raw: Any,
        shared: _Shared,
        into: Traces,
        read: Callable[[Any, Mapping[str, Any], InstrumentationScope], Span],
    ) -> int:
        try:
            span = read(raw, shared.resource, shared.scope)
        except Broken as error:
            self._report.refuse(str(error))
            return 0
        self._report.spans += 1
        return self._add([span], into)

    def _number(self, shared: _Shared) -> tuple[int, int]:
        resource, scope = shared.resource, shared.scope
        shared.numbers = self._converter.resource(resource), self._converter.scope(scope)
        return shared.numbers

    def _stored(self, raw: TypedSpan, shared: _Shared) -> StoredSpan:
        """Return a usual span.

        Raises:
            _Uncommon: it is none.
            ValueError: likewise.
        """
        span_id, parent_id = raw.span_id, raw.parent_span_id
        own = bytes.fromhex(span_id)
        parent = b"" if parent_id in _NO_SPANS else bytes.fromhex(parent_id)
        start, end = int(raw.start_time_unix_nano), int(raw.end_time_unix_nano)
        if (
            len(own) != _SPAN_BYTES
            or len(span_id) != _SPAN_DIGITS
            or span_id == NO_SPAN
            or (parent and (len(parent) != _SPAN_BYTES or len(parent_id) != _SPAN_DIGITS))
            or not 0 < start <= end
            or raw.links
            or len(raw.events) > self._limits.events
        ):
            raise _Uncommon
        kind, status = raw.kind, raw.status
        code = 0 if status is None else status.code
        resource, scope = shared.numbers or self._number(shared)
        return StoredSpan(
            own,
            parent,
            raw.name,
            _KIND[kind] if 0 <= kind < len(_KIND) else 0,
            _STATUS[code] if 0 <= code < len(_STATUS) else 0,
            start,
            end,
            resource,
            scope,
            self._attributes(raw),
            "" if status is None else status.message,
            tuple(map(self._event, raw.events)) if raw.events else (),
            (),
            raw.trace_state,
            raw.dropped_events_count,
        )

    def _event(self, raw: TypedEvent) -> StoredEvent:
        return StoredEvent(int(raw.time_unix_nano), raw.name, self._attributes(raw))

    def _attributes(self, raw: TypedSpan | TypedEvent) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pair in raw.attributes:
            value = pair.value
            if value is None:
                break
            plain: Any = value.string_value
            if plain is None:
                plain = value.int_value
                if plain is None:
                    plain = value.double_value
                    if plain is None:
                        plain = value.bool_value
                        if plain is None:
                            break
                    elif plain.__class__ is not float:
                        break
                elif plain.__class__ is str and len(plain) < SURE and plain.isdecimal():
                    plain = int(plain)
                else:
                    break
            found[pair.key] = plain
        else:
            if not self._is_long and len(found) <= self._limits.attributes and "" not in found:
                return found
            return self._converter.clean(found)
        return self._converter.clean(typed_attributes(raw.attributes))


def _proto_trace_id(given: bytes) -> str:
    if len(given) != _TRACE_BYTES or not given.strip(b"\0"):
        raise _Uncommon
    return given.hex()


def _trace_id(text: str) -> str:
    number = bytes.fromhex(text)
    if len(text) != _TRACE_DIGITS or 2 * len(number) != _TRACE_DIGITS or text == NO_TRACE:
        raise _Uncommon
    return number.hex()
