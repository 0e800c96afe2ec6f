"""Spans of an attempt as OpenTelemetry's API shows them. Imported only where that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import SpanLink
from tailrace.tracing.attributes import RENAMED_SPAN
from tailrace.tracing.bridge.recorder import ATTEMPT, UNKNOWN, Inner, Recorder
from tailrace.tracing.links import LINKS, encode_links

_FLAGS = TraceFlags(TraceFlags.SAMPLED)
_KIND = "otel.span.kind"
_LIBRARY = "otel.scope.name"
_LIBRARY_VERSION = "otel.scope.version"
MARKED = "the span was marked as failed"


class PlacedSpan(Span):
    """A span that was opened otherwise, the attempt's own for one; its end is not ours to say.

    Args:
        recorder: the attempt.
        number: of the span.
        holder: takes its attributes.
    """

    def __init__(
        self, recorder: Recorder, number: int = ATTEMPT, holder: Recorder | Inner | None = None
    ) -> None:
        self.recorder = recorder
        self.number = number
        self._holder = holder or recorder
        self._context = span_context(recorder, recorder.id_of(number))

    def get_span_context(self) -> SpanContext:
        """Return the ids."""
        return self._context

    def is_recording(self) -> bool:
        """Tell whether the attempt is still going on."""
        return self.recorder.is_open

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""
        self._holder.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event."""
        self.recorder.add_event(self.number, name, attributes or {}, timestamp)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the API's signature
    ) -> None:
        """Add an event that tells of an exception."""
        self.add_event("exception", _told(exception, attributes, escaped=escaped), timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Link it to a span."""
        links = self._holder.links
        if links is None:
            links = self._holder.links = []
        links.append(link_to(context, attributes))
        self._holder.set_attribute(LINKS, encode_links(links))

    def update_name(self, name: str) -> None:
        """Change the name; the attempt's own span is named after its node."""
        if self.number != ATTEMPT:
            self.set_attribute(RENAMED_SPAN, name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Do nothing: how an attempt ends is what the task returns or raises."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing."""


class RecordedSpan(PlacedSpan):
    """A span that a task opened with the API."""

    def __init__(
        self, recorder: Recorder, number: int, ids: SpanContext, links: list[SpanLink]
    ) -> None:
        self.recorder = recorder
        self._links = links
        self.number = number
        self._given: dict[str, Any] = {}
        self._context = ids
        self._has_ended = False
        self._status = StatusCode.UNSET
        self._description = ""
        self._raised: BaseException | None = None

    def is_recording(self) -> bool:
        """Tell whether it is open."""
        return not self._has_ended

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""
        self._given[key] = value

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Link it to a span."""
        self._links.append(link_to(context, attributes))
        self._given[LINKS] = encode_links(self._links)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK stands, as the specification says."""
        code = status.status_code if isinstance(status, Status) else status
        if self._status is StatusCode.OK or code is StatusCode.UNSET:
            return
        self._status = code
        self._description = (
            status.description if isinstance(status, Status) else description
        ) or ""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the API's signature
    ) -> None:
        """Keep the exception for the end; it is told there when the span has failed."""
        if self._raised is not None:
            super().record_exception(exception, attributes, timestamp, escaped)
        self._raised = exception

    def end(self, end_time: int | None = None) -> None:
        """Write the end down; further ends count for nothing."""
        if self._has_ended:
            return
        self._has_ended = True
        failure: BaseException | tuple[str, str] | None = None
        if self._status is StatusCode.ERROR:
            failure = self._raised or (UNKNOWN, self._description or MARKED)
        elif self._raised is not None:
            super().record_exception(self._raised)
        self._raised = None
        self.recorder.close_span(self.number, self._given, failure, end_time)


def span_context(recorder: Recorder, span_id: int) -> SpanContext:
    """Return the ids of a span of the attempt."""
    state = recorder.trace_state
    return SpanContext(recorder.trace_id, span_id, False, _FLAGS, _parsed(state) if state else None)  # noqa: FBT003 - its signature


@lru_cache(64)
def _parsed(state: str) -> TraceState:
    return TraceState.from_header([state])


def link_to(context: SpanContext, attributes: Mapping[str, Any] | None) -> SpanLink:
    """Return a link to a span."""
    return SpanLink(
        trace_id=RunId(format(context.trace_id, "032x")),
        span_id=SpanId(format(context.span_id, "016x")),
        attributes=dict(attributes or {}),
        trace_state=context.trace_state.to_header(),
    )


def links_to(links: Iterable[Any] | None) -> list[SpanLink]:
    """Return OpenTelemetry's links as ours."""
    return [link_to(link.context, link.attributes) for link in links or ()]


def place_of(span: Span) -> tuple[Recorder, int] | None:
    """Return attempt and number of a span; None: it is none of ours."""
    if isinstance(span, PlacedSpan):
        return span.recorder, span.number
    ids = span.get_span_context()
    return JOINED.get((ids.trace_id, ids.span_id))


JOINED: dict[tuple[int, int], tuple[Recorder, int]] = {}
"""Attempt and number of open spans that the SDK has made, by the ids of trace and span."""


def open_span(
    recorder: Recorder,
    parent: int,
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, Any] | None,
    start_time: int | None,
    *,
    library: tuple[str, str | None],
    links: Iterable[Any] | None = None,
) -> Span:
    """Open a span under another one of the attempt; ``library`` is a name and a version."""
    number, span_id = recorder.reserve()
    given = with_origin(dict(attributes or {}), kind, *library)
    linked = links_to(links) if links else []
    if linked:
        given[LINKS] = encode_links(linked)
    recorder.open_span(number, parent, name, given, start_time)
    return RecordedSpan(recorder, number, span_context(recorder, span_id), linked)


def with_origin(
    attributes: dict[str, Any], kind: SpanKind, library: str, version: str | None
) -> dict[str, Any]:
    """Add the kind of a span, and the library that opens it, to the span's attributes."""
    if kind is not SpanKind.INTERNAL:
        attributes[_KIND] = kind.name.lower()
    if library:
        attributes[_LIBRARY] = library
        if version:
            attributes[_LIBRARY_VERSION] = version
    return attributes


def _told(
    exception: BaseException, attributes: Mapping[str, Any] | None, *, escaped: bool
) -> dict[str, Any]:
    kind = type(exception)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    try:
        message = str(exception)
    except Exception:  # noqa: BLE001 - a foreign exception may raise anything
        message = ""
    return {
        "exception.type": f"{module}{kind.__qualname__}",
        "exception.message": message,
        "exception.escaped": escaped,
        **(attributes or {}),
    }
