"""How many failures of one kind get a row of their own."""

from __future__ import annotations

MINUTE_NS = 60_000_000_000
_MOST_GROUPS = 10_000
"""Groups whose minute is remembered before all are forgotten."""


class Flood:
    """Lets ``limit`` failures of a group and minute pass, in this process; 0: any number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._passed: dict[str, tuple[int, int]] = {}

    def passes(self, fingerprint: str, at_ns: int) -> bool:
        """Return whether a failure gets a row; when it does, it is counted."""
        if not self.limit:
            return True
        minute = at_ns // MINUTE_NS
        last, count = self._passed.get(fingerprint, (minute, 0))
        if last != minute:
            count = 0
        if count >= self.limit:
            return False
        if len(self._passed) >= _MOST_GROUPS:
            self._passed.clear()
        self._passed[fingerprint] = (minute, count + 1)
        return True
