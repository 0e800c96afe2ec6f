"""Wall-clock instants that never run backwards."""

from __future__ import annotations

import time
from collections.abc import Callable


def start_clock() -> Callable[[], int]:
    """Return a clock: nanoseconds since the epoch, anchored now, advanced by the monotonic clock.

    The difference of two of its instants is a true duration even when the wall clock jumps.
    """
    offset = time.time_ns() - time.monotonic_ns()
    monotonic = time.monotonic_ns
    return lambda: offset + monotonic()
