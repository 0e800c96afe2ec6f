"""Time, as the stream sees it: tests bring their own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

_LONGEST_NAP = 60.0
"""Seconds after which a wait looks at the clock again, which may have been set meanwhile."""


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread; ``now_ns`` has moved on by as much afterwards."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Let the event loop run for as long."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Let the event loop run for as long."""
        await asyncio.sleep(seconds)


def wait_until(clock: Clock, at_ns: int) -> None:
    """Block this thread until an instant."""
    while (rest := at_ns - clock.now_ns()) > 0:
        clock.sleep(min(rest / 1e9, _LONGEST_NAP))


async def wait_until_async(clock: Clock, at_ns: int) -> None:
    """Let the event loop run until an instant."""
    while (rest := at_ns - clock.now_ns()) > 0:
        await clock.sleep_async(min(rest / 1e9, _LONGEST_NAP))
