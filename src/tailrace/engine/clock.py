"""Wall-clock instants that never run backwards."""

from __future__ import annotations

import time
from collections.abc import Callable


def anchor(not_before: int = 0) -> int:
    """Return what is to be added to the monotonic clock for nanoseconds since the epoch.

    It begins at ``not_before`` where the wall clock is behind that, as another machine's may be.
    The difference of two of its instants is a true duration even when the wall clock jumps.
    """
    return max(time.time_ns(), not_before) - time.monotonic_ns()


def clock_at(offset: int) -> Callable[[], int]:
    """Return the clock of an anchor."""
    monotonic = time.monotonic_ns
    return lambda: offset + monotonic()
