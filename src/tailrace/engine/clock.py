"""Wall-clock instants that never run backwards."""

from __future__ import annotations

import time
from collections.abc import Callable


def start_clock(not_before: int = 0) -> Callable[[], int]:
    """Return a clock: nanoseconds since the epoch, anchored now, advanced by the monotonic clock.

    It begins at ``not_before`` where the wall clock is behind that, as another machine's may be.
    The difference of two of its instants is a true duration even when the wall clock jumps.
    """
    offset = max(time.time_ns(), not_before) - time.monotonic_ns()
    monotonic = time.monotonic_ns
    return lambda: offset + monotonic()
