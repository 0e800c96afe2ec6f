"""How fast letters follow each other."""

from __future__ import annotations


class Pace:
    """Keeps starts at least ``1 / rate`` seconds apart; time lost is never caught up in a burst.

    So no second sees more than ``rate + 1`` starts. Time is handed in, in seconds of any clock
    that does not go backwards.
    """

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate if rate > 0 else 0.0
        self._next: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until the next start is due; 0.0: it is."""
        return 0.0 if self._next is None else max(0.0, self._next - now)

    def started(self, now: float) -> None:
        """Take note of a start."""
        self._next = now + self._gap
