"""Wait objects of tenacity as schedules. tenacity itself is not imported."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct


class TenacityWait(Protocol):
    """What tenacity's wait objects are: asked with the state of a call, they answer seconds."""

    def __call__(self, retry_state: Any) -> float:
        """Return the seconds to wait."""
        ...


class _CallState(Struct, frozen=True):
    """What wait objects ask of the state of a call; times and outcome are not known here."""

    attempt_number: int
    seconds_since_start: float = 0.0
    idle_for: float = 0.0
    upcoming_sleep: float = 0.0
    outcome: None = None


class TenacitySchedule(Struct, frozen=True):
    """A schedule that asks a wait object of tenacity."""

    wait: TenacityWait

    def __call__(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number ``attempt`` (1-based)."""
        return float(self.wait(_CallState(attempt)))
