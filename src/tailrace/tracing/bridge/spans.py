"""Spans of an attempt as OpenTelemetry's API shows them. Imported only where that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from tailrace.tracing.bridge.recorder import ATTEMPT, UNKNOWN, Recorder

_FLAGS = TraceFlags(TraceFlags.SAMPLED)
_KIND = "otel.span.kind"
_LIBRARY = "otel.scope.name"
_LIBRARY_VERSION = "otel.scope.version"
MARKED = "the span was marked as failed"
_RENAMED = "otel.span.name"


class PlacedSpan(Span):
    """A span that was opened otherwise, the attempt's own for one; its end is not ours to say.

    Args:
        recorder: the attempt.
        number: of the span.
        attributes: where attributes are put; None: the recorder takes them.
    """

    def __init__(
        self, recorder: Recorder, number: int = ATTEMPT, attributes: dict[str, Any] | None = None
    ) -> None:
        self.recorder = recorder
        self.number = number
        self._attributes = attributes
        self._context = span_context(recorder, recorder.id_of(number))

    def get_span_context(self) -> SpanContext:
        """Return the ids."""
        return self._context

    def is_recording(self) -> bool:
        """Tell whether the attempt is still going on."""
        return self.recorder.is_open

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""
        if self._attributes is None:
            self.recorder.set_attribute(key, value)
        else:
            self._attributes[key] = value

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
        """Do nothing: what was opened otherwise has the links it was opened with."""

    def update_name(self, name: str) -> None:
        """Do nothing: what was opened otherwise keeps its name."""

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Do nothing: how an attempt ends is what the task returns or raises."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing."""


class RecordedSpan(PlacedSpan):
    """A span that a task opened with the API."""

    def __init__(
        self, recorder: Recorder, number: int, attributes: dict[str, Any], ids: SpanContext
    ) -> None:
        super().__init__(recorder, number, attributes)
        self._given = attributes
        self._context = ids
        self._has_ended = False
        self._status = StatusCode.UNSET
        self._description = ""
        self._raised: BaseException | None = None

    def is_recording(self) -> bool:
        """Tell whether it is open."""
        return not self._has_ended

    def update_name(self, name: str) -> None:
        """Keep the later name as an attribute: the span has been written down by its first one."""
        self.set_attribute(_RENAMED, name)

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
    return SpanContext(recorder.trace_id, span_id, is_remote=False, trace_flags=_FLAGS)


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
) -> Span:
    """Open a span under another one of the attempt; ``library`` is a name and a version."""
    number, span_id = recorder.reserve()
    given = with_origin(dict(attributes or {}), kind, *library)
    recorder.open_span(number, parent, name, given, start_time)
    return RecordedSpan(recorder, number, {}, span_context(recorder, span_id))


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


@contextmanager
def entered(recorder: Recorder, number: int, attributes: dict[str, Any]) -> Iterator[None]:
    """Make a span that was opened otherwise the current one."""
    place = trace.set_span_in_context(PlacedSpan(recorder, number, attributes))
    token = context_api.attach(place)
    try:
        yield
    finally:
        context_api.detach(token)


def innermost(recorder: Recorder) -> int:
    """Return the number of the attempt's span that is current here."""
    place = place_of(trace.get_current_span())
    return ATTEMPT if place is None or place[0] is not recorder else place[1]


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
