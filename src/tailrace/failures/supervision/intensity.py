"""How often a scope may begin its children afresh before it gives up."""

from __future__ import annotations

import math

import msgspec

from tailrace.errors import DefinitionError

Crashes = tuple[float, ...]
"""Instants of the crashes that still count, in seconds of one clock, oldest first."""


class RestartIntensity(msgspec.Struct, frozen=True):
    """At most ``restarts`` restarts within any ``window`` seconds; decides and keeps no clock.

    Raises:
        DefinitionError: ``restarts`` is below 0, or ``window`` is no positive number.
    """

    restarts: int = 3
    window: float = 5.0
    """Seconds; a time that long without a crash forgets all earlier ones."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.restarts < 0:
            _refuse("restarts", self.restarts, "0 or more", "restarts=3")
        if not (self.window > 0 and math.isfinite(self.window)):
            _refuse("window", self.window, "a number of seconds above 0", "window=5.0")

    def after(self, crashes: Crashes, now: float) -> Crashes:
        """Return the crashes that count once another has happened at ``now``."""
        first = now - self.window
        return (*(crash for crash in crashes if crash > first), now)

    def left(self, crashes: Crashes) -> int:
        """Return how many restarts are left, that for the newest crash included; 0: give up."""
        return max(self.restarts - len(crashes) + 1, 0)


def _refuse(name: str, value: object, allowed: str, mend: str) -> None:
    raise DefinitionError(
        f"{name} of a restart intensity is {value!r}; allowed: {allowed}",
        code="TR325",
        hint=f"for example {mend}",
    )
