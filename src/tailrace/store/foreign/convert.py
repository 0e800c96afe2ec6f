"""Spans as programs hand them over, turned into what the store keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tailrace.model.span import InstrumentationScope, Span
from tailrace.store.foreign.attributes import MOST, Cleaner, json_safe, storable, storable_text
from tailrace.store.foreign.bodies import resource_body, scope_body
from tailrace.store.foreign.intake import Intake, Limits
from tailrace.store.foreign.restore import KINDS
from tailrace.store.foreign_span import StoredEvent, StoredLink, StoredSpan, encode_spans
from tailrace.store.keys import STATUS

_KIND_NUMBERS = {id(kind): number for number, kind in enumerate(KINDS)}
_STATUS_NUMBERS = {id(status): number for number, status in enumerate(STATUS)}
"""By identity, for the hash of a member of an enumeration costs as much as the rest of its span."""
_NO_TRACE = "the trace id is not 32 hex digits, or all zero"
_NO_SPAN = "the span id is not 16 hex digits, or all zero"
_NO_PARENT = "the parent's id is not 16 hex digits"
_NO_TIME = "it has neither start nor end"
_BAD_TIME = "a time is out of the range 1970 to 2262"
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_ZERO = bytes(8)
_ZERO_TEXT = _ZERO.hex()
CLOCK_JUMP = "tailrace.clock_jump_ns"
"""Attribute of a span that ended before it started: by how much."""

Traces = dict[str, list[StoredSpan]]


class Intern:
    """Which row a text has: asked for each resource and scope once for every ``Converter``."""

    def __init__(self, resource: Callable[[str], int], scope: Callable[[str], int]) -> None:
        self.resource = resource
        self.scope = scope


class _Refused(ValueError):  # noqa: N818 - an answer, not a fault
    """Why a span is not taken."""


class Converter:
    """Turns spans of any programs into stored ones, by trace. What they refer to is kept alive."""

    def __init__(self, intern: Intern, limits: Limits) -> None:
        self._intern = intern
        self._cleaner = Cleaner(limits)
        self.limits = limits
        """On what one span may hold."""
        self._resources: dict[int, tuple[Any, int]] = {}
        self._scopes: dict[int, tuple[Any, int]] = {}

    @property
    def tally(self) -> Intake:
        """What was refused, dropped and cut so far."""
        return self._cleaner.tally

    def convert(self, spans: Iterable[Span]) -> Traces:
        """Return the spans that can be taken, by trace id."""
        traces: Traces = {}
        last, into = "", []
        refused = self.tally.refused
        for span in spans:
            try:
                if span.trace_id != last:
                    trace_id = _trace_id(span.trace_id)
                    into = traces.setdefault(trace_id, [])
                    last = span.trace_id
                into.append(self._stored(span))
            except _Refused as error:
                refused[str(error)] += 1
        return {trace_id: found for trace_id, found in traces.items() if found}

    def _stored(self, span: Span) -> StoredSpan:
        attributes = self.clean(span.attributes)
        start, end = span.start_ns, span.end_ns or 0
        if not (0 < start <= MOST and 0 <= end <= MOST):
            start, end = _times(start, end)
        if end and end < start:
            self.tally.backwards += 1
            attributes = attributes | {CLOCK_JUMP: start - end}
            end = start
        known = self._resources.get(id(span.resource))
        resource = self.resource(span.resource) if known is None else known[1]
        known = self._scopes.get(id(span.scope))
        scope = self.scope(span.scope) if known is None else known[1]
        return StoredSpan(
            _span_id(span.span_id),
            _parent_id(span.parent_id),
            span.name,
            _KIND_NUMBERS[id(span.kind)],
            _STATUS_NUMBERS[id(span.status)],
            start,
            end,
            resource,
            scope,
            attributes,
            span.message,
            self._events(span) if span.events else (),
            self._links(span) if span.links else (),
            span.trace_state,
            span.dropped_events + max(0, len(span.events) - self.limits.events),
        )

    def clean(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return attributes as they are kept; not to be changed."""
        return self._cleaner.clean(attributes)

    def resource(self, attributes: Mapping[str, Any]) -> int:
        """Return the number of a resource."""
        found = self._intern.resource(resource_body(json_safe(self._cleaner.clean(attributes))))
        self._resources[id(attributes)] = (attributes, found)
        return found

    def scope(self, scope: InstrumentationScope) -> int:
        """Return the number of an instrumentation scope."""
        clean = json_safe(self._cleaner.clean(scope.attributes))
        named = InstrumentationScope(
            name=storable_text(scope.name), version=storable_text(scope.version)
        )
        found = self._intern.scope(scope_body(named, clean))
        self._scopes[id(scope)] = (scope, found)
        return found

    def _events(self, span: Span) -> tuple[StoredEvent, ...]:
        most = self.limits.events
        self.tally.dropped_events += max(0, len(span.events) - most)
        clean = self._cleaner.clean
        return tuple(
            StoredEvent(min(max(event.time_ns, 0), MOST), event.name, clean(event.attributes))
            for event in span.events[:most]
        )

    def _links(self, span: Span) -> tuple[StoredLink, ...]:
        links = []
        for link in span.links[: self.limits.links]:
            try:
                ids = bytes.fromhex(_trace_id(link.trace_id)), _span_id(link.span_id)
            except _Refused:
                continue
            links.append(StoredLink(*ids, self._cleaner.clean(link.attributes), link.trace_state))
        self.tally.dropped_links += len(span.links) - len(links)
        return tuple(links)


def _trace_id(text: str) -> str:
    try:
        number = bytes.fromhex(text)
    except (ValueError, TypeError):
        raise _Refused(_NO_TRACE) from None
    if len(text) != _TRACE_DIGITS or len(number) * 2 != _TRACE_DIGITS or not any(number):
        raise _Refused(_NO_TRACE)
    return number.hex()


def _span_id(text: str) -> bytes:
    try:
        number = bytes.fromhex(text)
    except (ValueError, TypeError):
        raise _Refused(_NO_SPAN) from None
    if len(text) != _SPAN_DIGITS or len(number) * 2 != _SPAN_DIGITS or number == _ZERO:
        raise _Refused(_NO_SPAN)
    return number


def _parent_id(text: str | None) -> bytes:
    """Return the parent's id; empty where there is none, which some programs write as zeros."""
    if not text or text == _ZERO_TEXT:
        return b""
    try:
        return _span_id(text)
    except _Refused:
        raise _Refused(_NO_PARENT) from None


def _times(start: int, end: int) -> tuple[int, int]:
    """Return times that can be stored: a span that has no start began at its end."""
    if not (0 <= start <= MOST and 0 <= end <= MOST):
        raise _Refused(_BAD_TIME)
    if not start and not end:
        raise _Refused(_NO_TIME)
    return start or end, end


def encodable(spans: list[StoredSpan]) -> tuple[list[StoredSpan], bytes]:
    """Return the spans, and the same as a batch; halves of surrogate pairs become ``?``."""
    try:
        return spans, encode_spans(spans)
    except UnicodeEncodeError:
        spans = [_storable(span) for span in spans]
        return spans, encode_spans(spans)


def _storable(span: StoredSpan) -> StoredSpan:
    values = []
    for name in span.__struct_fields__:
        value = getattr(span, name)
        if name == "events":
            value = tuple(
                StoredEvent(one.time, storable_text(one.name), storable(one.attributes))
                for one in value
            )
        elif name == "links":
            value = tuple(
                StoredLink(one.trace_id, one.span_id, storable(one.attributes), one.trace_state)
                for one in value
            )
        values.append(storable(value))
    return StoredSpan(*values)
