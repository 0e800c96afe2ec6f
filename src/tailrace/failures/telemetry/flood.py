"""What keeps a flood of equal failures from drowning telemetry.

Instants are readings of ``time.perf_counter_ns``: one per failure serves all of this.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

from tailrace.failures.telemetry.tally import Tally

_MOST_KEYS = 4096
_MOST_IDS = 8192
_WINDOW_NS = 60_000_000_000


class FloodGate:
    """Counts by key and minute. Thread-safe; its memory is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0
        self._counts: dict[str, Iterator[int]] = {}

    def position(self, key: str, now: int) -> int:
        """Return which one of its key and minute this is, from 1."""
        if now >= self._until:
            self._begin(now)
        count = self._counts.get(key)
        return self._first(key) if count is None else next(count)

    def _begin(self, now: int) -> None:
        with self._lock:
            if now >= self._until:
                self._counts = {}
                self._until = now + _WINDOW_NS

    def _first(self, key: str) -> int:
        with self._lock:
            if len(self._counts) >= _MOST_KEYS:
                self._counts = {}
            return next(self._counts.setdefault(key, itertools.count(1)))


class SeenIds:
    """Tells whether an id comes for the first time. Thread-safe.

    It remembers the newest 8,192 ids at least and about twice as many at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._forgotten = 0
        self._known = Tally()

    def is_new(self, identifier: str, now: int) -> bool:
        """Remember the id; return False when it was known.

        ``now`` is the caller's own reading: the object, not its value, tells who came first.
        """
        newer = self._newer  # before _older is looked at: another thread may move it there
        if identifier in self._older or newer.setdefault(identifier, now) is not now:
            self._known.bump()
            return False
        if len(newer) >= _MOST_IDS:
            self._move_on(newer)
        return True

    @property
    def new(self) -> int:
        """Ids that came for the first time."""
        with self._lock:
            return self._forgotten + len(self._older) + len(self._newer)

    @property
    def repeated(self) -> int:
        """Times one came again."""
        return self._known.read()

    def _move_on(self, full: dict[str, int]) -> None:
        with self._lock:
            if self._newer is full:
                self._forgotten += len(self._older)
                self._older, self._newer = full, {}
