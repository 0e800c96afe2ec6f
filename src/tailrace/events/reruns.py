"""Work that was taken over from processes that died: run at its time, in threads of its own."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from tailrace.events.clock import Clock
from tailrace.events.work import Step, Work

logger = logging.getLogger(__name__)

MOST_THREADS = 4
"""Actions that are taken up again at once."""
_LONGEST_NAP = 1.0
"""Seconds after which a waiting thread looks at the clock again."""
_IDLE = 2.0
"""Seconds without anything to wait for after which a thread ends."""


class Reruns:
    """Runs attempts at their time.

    Threads are started when there is work, and are daemons: what they have not ended when the
    process does is taken over by the next one.
    """

    def __init__(self, attempt: Callable[[Work], Step], clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._heap: list[tuple[int, int, Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._threads = 0
        self._busy = 0
        self._is_closed = False

    def add(self, due_ns: int, work: Work) -> None:
        """Run the present attempt of ``work`` at that instant."""
        with self._changed:
            heapq.heappush(self._heap, (due_ns, next(self._order), work))
            if self._threads < min(MOST_THREADS, len(self._heap) + self._busy):
                self._threads += 1
                name = f"tailrace-rerun-{self._threads}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
            self._changed.notify()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to run; return whether that is so after ``timeout`` s."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._heap and not self._busy, timeout)

    def close(self) -> list[Work]:
        """Start nothing more, and return what has not been started."""
        with self._changed:
            self._is_closed = True
            left = [work for _, _, work in sorted(self._heap)]
            self._heap.clear()
            self._changed.notify_all()
        return left

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                step = self._attempt(work)
                if step.retry_at_ns is not None:
                    self.add(step.retry_at_ns, work)
            except BaseException:  # SystemExit of one action must not end the others' thread
                logger.exception("work that was taken over could not go on")
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self) -> Work | None:
        """Wait for work that is due, and count this thread as busy with it."""
        with self._changed:
            while not self._is_closed:
                if not self._heap:
                    if not self._changed.wait_for(self._is_wanted, _IDLE):
                        break
                    continue
                rest = (self._heap[0][0] - self._clock.now_ns()) / 1e9
                if rest <= 0:
                    self._busy += 1
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(min(rest, _LONGEST_NAP))
            self._threads -= 1
            return None

    def _is_wanted(self) -> bool:
        return bool(self._heap) or self._is_closed
