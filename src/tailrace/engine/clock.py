"""Wall-clock instants that never run backwards."""

from __future__ import annotations

import time


class RunClock:
    """Nanoseconds since the epoch, anchored once and advanced by the monotonic clock.

    The difference of two instants of one run is a true duration even when the wall clock jumps.
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Return the present instant in nanoseconds since the epoch."""
        return self._offset + time.monotonic_ns()
