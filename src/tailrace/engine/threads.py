"""Threads that run synchronous tasks and can be left behind."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Job = tuple[Callable[[], Any], "asyncio.Future[Result]"]
Result = tuple[Any, BaseException | None]
"""Value, or the exception raised."""


class ThreadPool:
    """Daemon threads, as many as jobs run at once.

    A job that never returns keeps its thread; the pool simply starts another for the next job, and
    the interpreter does not wait for it at exit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._finished: deque[tuple[asyncio.Future[Result], Result]] = deque()
        self._wake_scheduled = False
        self._lock = threading.Lock()
        self._waiting = 0
        self._threads = 0

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Result]:
        """Run ``function`` in a thread; the future gives its value or what it raised."""
        future: asyncio.Future[Result] = self._loop.create_future()
        with self._lock:
            if self._waiting > 0:
                self._waiting -= 1
            else:
                self._threads += 1
                threading.Thread(
                    target=self._work, name=f"tailrace-task-{self._threads}", daemon=True
                ).start()
        self._jobs.put((function, future))
        return future

    def close(self) -> None:
        """Let idle threads end; busy ones end after their job."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            function, future = job
            result: Result
            try:
                result = (function(), None)
            except BaseException as error:  # noqa: BLE001 - a task may raise anything
                result = (None, error)
            del job, function
            with self._lock:
                self._waiting += 1
                self._finished.append((future, result))
                wake, self._wake_scheduled = not self._wake_scheduled, True
            del future, result
            if wake:
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: nobody waits for this any more
                    return

    def _deliver(self) -> None:
        with self._lock:
            self._wake_scheduled = False
            finished = tuple(self._finished)
            self._finished.clear()
        for future, result in finished:
            if not future.done():
                future.set_result(result)
