"""What became of spans that were given, and the bounds on each."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on what one span may hold; what is beyond is left out and counted."""

    attributes: int = 1024
    """Of a span, an event, a link, a resource or a scope each."""
    text: int = 4 << 20
    """Characters of a text; a longer one is cut."""
    elements: int = 16_384
    """Of an array."""
    events: int = 4096
    links: int = 4096


DEFAULT_LIMITS = Limits()


class Intake(Struct, kw_only=True):
    """What became of the spans that were given."""

    spans: int = 0
    """Written."""
    traces: int = 0
    """Traces that got some of them; one that was written to by several commits counts for each."""
    repeated: int = 0
    """Were there already as they are, and were not written again."""
    refused: Counter[str] = field(default_factory=Counter)
    """Not taken, by reason."""
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    shortened: int = 0
    """Texts and arrays that were cut."""
    backwards: int = 0
    """Ended before they started, by their clocks; they are kept with a duration of 0."""

    def add(self, other: Intake) -> None:
        """Count the other's, too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused.update(other.refused)

    def is_clean(self) -> bool:
        """Return whether everything was taken as it came."""
        return not self.refused and not any(getattr(self, name) for name in _LOSSES)


_LOSSES = ("dropped_attributes", "dropped_events", "dropped_links", "shortened", "backwards")
_COUNTS = ("spans", "traces", "repeated", *_LOSSES)
