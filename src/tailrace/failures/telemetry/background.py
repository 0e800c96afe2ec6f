"""A sink that may block, behind a bounded queue."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from tailrace.errors import SettingsError
from tailrace.failures.telemetry.guard import Guard
from tailrace.failures.telemetry.protocol import FailureTelemetry, sink_name
from tailrace.model.failure import FailureSnapshot, Hop

_Call = Callable[[], object]
_AT_EXIT_S = 2.0


class BackgroundTelemetry:
    """Calls a sink from a thread of its own. When the queue is full the oldest call is dropped.

    What waits when the program ends is handed on for two seconds at most.

    Raises:
        SettingsError: the size is no positive number (TR330).
    """

    def __init__(self, sink: FailureTelemetry, size: int = 1024) -> None:
        if size < 1:
            raise SettingsError(
                f"a queue of {size!r} failures holds nothing; it must be 1 or more", code="TR330"
            )
        self.sink = sink
        self.name = sink_name(sink)
        self.dropped = 0
        """Calls that fell out of the queue."""
        self._made = Guard(self.name).around(_make)
        self._queue: deque[_Call] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closed = False

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Queue the failure."""
        self._put(partial(self.sink.on_failure, snapshot))

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop, /) -> None:
        """Queue the hop if the sink wants it."""
        on_hop = getattr(self.sink, "on_hop", None)
        if on_hop is not None:
            self._put(partial(on_hop, snapshot, hop))

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Queue the count if the sink counts."""
        on_suppressed = getattr(self.sink, "on_suppressed", None)
        if on_suppressed is not None:
            self._put(partial(on_suppressed, snapshot))

    def flush(self, timeout: float, /) -> bool:
        """Wait until the queue is empty and the sink flushed; return False when time was over."""
        end = time.monotonic() + timeout
        with self._changed:
            empty = self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)
        flush = getattr(self.sink, "flush", None)
        if not empty or flush is None:
            return empty
        return flush(max(end - time.monotonic(), 0.0)) is not False

    def close(self) -> None:
        """Hand on what waits, for two seconds at most, and end the thread."""
        self.flush(_AT_EXIT_S)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)

    def _put(self, call: _Call) -> None:
        with self._changed:
            if self._closed:
                self.dropped += 1
                return
            if len(self._queue) >= self._size:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(call)
            if self._thread is None or not self._thread.is_alive():
                self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            atexit.register(self.close)
        name = f"tailrace-telemetry-{self.name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                call = self._queue.popleft()
                self._busy = True
            self._made(time.perf_counter_ns(), call)
            with self._changed:
                self._busy = False
                self._changed.notify_all()


def _make(call: _Call) -> object:
    return call()
