"""What takes the spans that a task opens with OpenTelemetry's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tailrace.model.span import SpanLink

UNKNOWN = "_OTHER"
"""Type of a failure of which only a message is known, as OpenTelemetry has it."""
ATTEMPT = 0
"""Number of the attempt's own span."""


class Inner(Protocol):
    """A span that was opened by other means than OpenTelemetry's API."""

    number: int
    """Ascending in the order in which spans of the attempt open."""
    made: Any
    """Where the bridge keeps what it has made for this span; None at first."""

    links: list[SpanLink] | None
    """Where the bridge keeps links that were added to it; None at first."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of it."""
        ...


class Recorder(Protocol):
    """One attempt. Spans are known by numbers, 0 is the attempt's own; thread-safe."""

    trace_id: int
    trace_state: str
    """W3C ``tracestate`` to pass on."""
    made: Any
    """Where the bridge keeps what it has made for this attempt; None at first."""
    links: list[SpanLink] | None
    """Where the bridge keeps links that were added to the attempt's own span; None at first."""

    @property
    def is_open(self) -> bool:
        """Whether the attempt still takes spans."""
        ...

    def reserve(self) -> tuple[int, int]:
        """Return number and OpenTelemetry id for a span that is to be opened."""
        ...

    def inner(self) -> Inner | None:
        """Return the innermost span opened by other means that is current here."""
        ...

    def id_of(self, number: int) -> int:
        """Return the OpenTelemetry id of a span."""
        ...

    def open_span(
        self, number: int, parent: int, name: str, attributes: dict[str, Any], at: int | None
    ) -> None:
        """A span opened; ``at`` is nanoseconds since the epoch, None: now."""
        ...

    def close_span(
        self,
        number: int,
        attributes: dict[str, Any],
        failure: BaseException | tuple[str, str] | None,
        at: int | None,
    ) -> None:
        """A span ended; a failure is what was raised, or the type and the message of that."""
        ...

    def add_event(
        self, number: int, name: str, attributes: Mapping[str, Any], at: int | None
    ) -> None:
        """Something happened in a span."""
        ...

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the attempt's own span."""
        ...
