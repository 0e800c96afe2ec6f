"""A counter for many threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable


class Tally:
    """Counts exactly without a lock on the counting side; reading takes one."""

    __slots__ = ("_lock", "_reads", "bump")

    def __init__(self) -> None:
        self.bump: Callable[[], int] = itertools.count().__next__
        """Count one more; what it returns is of no use."""
        self._lock = threading.Lock()
        self._reads = 0

    def read(self) -> int:
        """Return how often ``bump`` was called."""
        with self._lock:
            count = self.bump() - self._reads  # reading is a bump too, so it is taken off
            self._reads += 1
            return count
