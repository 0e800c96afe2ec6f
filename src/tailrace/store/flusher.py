"""The thread that writes what waits when the engine's own thread is busy elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable

INTERVAL = 0.1
"""Seconds between something to write and its being written."""


class Flusher:
    """Calls ``flush`` once, ``INTERVAL`` seconds after it was armed; sleeps otherwise."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self.armed = False
        """Read without a lock before ``arm``, which costs more than a look."""
        self._flush = flush
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tailrace-flusher", daemon=True)
        self._thread.start()

    def arm(self) -> None:
        """Have ``flush`` called soon."""
        self.armed = True
        self._wake.set()

    def stop(self) -> None:
        """End the thread; what waits is the caller's to write."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stop.wait(INTERVAL):
                return
            self.armed = False  # before the look: what comes after it arms again
            self._flush()
