"""Writing to the log, and remembering what could not be written while the disk was full."""

from __future__ import annotations

import logging
import threading
from collections import deque

from tailrace.errors import StoreError
from tailrace.events.attempts import StreamChanges, StreamLog
from tailrace.model.event import Event

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Changes that are remembered; beyond it the oldest are dropped, and counted."""


class Outbox:
    """Changes on their way to the log, in order.

    What tells of a thing that has happened must not be lost because the log cannot take it now,
    and above all must not make the thing happen again: it waits here, and goes first with the
    next write. Thread-safe.
    """

    def __init__(self, log: StreamLog) -> None:
        self.dropped = 0
        """Changes that were lost because too many waited."""
        self._log = log
        self._waiting: deque[StreamChanges] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def write(self, changes: StreamChanges) -> None:
        """Make the changes durable, after all that waits.

        Raises:
            StoreError: they were not written, and are not remembered.
        """
        if self._waiting:
            self.flush()
        if len(changes.events) == 1 and not (changes.attempts or changes.failures):
            self._log.append(changes.events)
        else:
            self._log.commit(changes)

    def append(self, event: Event) -> None:
        """Make one event durable, after all that waits.

        Raises:
            StoreError: it was not written, and is not remembered.
        """
        if self._waiting:
            self.flush()
        self._log.append((event,))

    def hand_over(self, changes: StreamChanges) -> bool:
        """Make the changes durable now or later; return whether they are. Never raises for it."""
        try:
            self.write(changes)
        except StoreError as error:
            self._remember(changes, error)
            return False
        return True

    def flush(self) -> None:
        """Write what waits.

        Raises:
            StoreError: it still waits, or a part of it.
        """
        with self._lock:
            while self._waiting:
                self._log.commit(self._waiting[0])
                self._waiting.popleft()

    def _remember(self, changes: StreamChanges, error: StoreError) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(changes)
            waiting = len(self._waiting)
        logger.error(
            "an event could not be written, and waits for the next write: %s",
            error,
            extra={"waiting": waiting, "dropped": self.dropped},
        )
