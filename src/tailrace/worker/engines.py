"""Threads that run engines, each with an event loop that outlives the runs.

A run waits for its claim without a thread; so few threads, which hardly ever sleep, keep many short
runs going.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from asyncio import _set_running_loop
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from types import coroutine
from typing import Any
from weakref import WeakSet

from tailrace.engine import InlineAbandoned

Work = Callable[["EngineThread"], None]
"""A part of a run, up to where it waits or ends; never raises."""
_NEW = object()
_LEFTOVERS = 0.1
"""Seconds that tasks which a run has left behind get to stop."""


class EngineThread:
    """A daemon thread with a loop of its own, which takes one piece of work after the other."""

    def __init__(self, pool: EnginePool, number: int) -> None:
        self._pool = pool
        self.loop = asyncio.new_event_loop()
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.loop.set_task_factory(partial(_made, self._tasks))
        self._thread = threading.Thread(
            target=self._run, name=f"tailrace-engine-{number}", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def interrupt(self) -> None:
        """Raise ``InlineAbandoned`` in what runs there; code in C notices when it returns."""
        ident = self._thread.ident
        if ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(InlineAbandoned)
            )

    def start(self, work: Coroutine[Any, Any, Any], context: Context) -> object:
        """Run a coroutine until it waits for the first time, and return what it waits for.

        Raises:
            StopIteration: it did not wait.
        """
        _set_running_loop(self.loop)
        try:
            return context.run(work.send, None)
        finally:
            _set_running_loop(None)

    def finish(
        self, work: Coroutine[Any, Any, Any], context: Context, waits_for: object = _NEW
    ) -> None:
        """Run a coroutine to its end that has been started, here or on another thread.

        ``waits_for`` is what ``start`` has returned; left out, it waits for nothing any more.
        """
        if waits_for is _NEW:
            try:
                waits_for = self.start(work, context)
            except StopIteration:
                return
        task = asyncio.Task(_rest(work, waits_for), loop=self.loop, context=context)
        self.loop.run_until_complete(task)
        if self._tasks:
            self._stop_leftovers()

    def _stop_leftovers(self) -> None:
        """Cancel what user code left running; what ignores that is left behind, silently."""
        tasks = {task for task in self._tasks if not task.done()}
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.wait(tasks, timeout=_LEFTOVERS))
        for task in tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - said in the trace

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while (work := self._pool.next(self)) is not None:
                try:
                    work(self)
                except InlineAbandoned:  # it came late: the task had ended already
                    continue
                del work
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


@coroutine
def _rest(work: Coroutine[Any, Any, Any], yielded: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that waits for what it yielded last."""
    while True:
        try:
            value = yield yielded
        except BaseException as error:  # noqa: BLE001 - whatever the loop throws in is its own
            send: Callable[[], Any] = partial(work.throw, error)
        else:
            send = partial(work.send, value)
        try:
            yielded = send()
        except StopIteration as end:
            return end.value


def _made(
    tasks: WeakSet[asyncio.Task[Any]],
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,
) -> asyncio.Task[Any]:
    """Make a task of a loop and note it: asyncio's own list is that of all loops."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    tasks.add(task)
    return task


class EnginePool:
    """Engine threads with one inbox. A thread that hangs is left behind and replaced."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.active = 0
        """Runs that have begun and not ended; the loop that talks to NATS counts them."""
        self.has_abandoned = False
        """Whether a thread was left behind."""
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._waited = False
        self._threads: set[EngineThread] = set()
        self._number = 0

    def give(self, work: Work) -> None:
        """Have a thread do a piece of work as soon as one is free."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif len(self._threads) < self.size:
                self._add()
        self._inbox.put(work)

    def hasten(self) -> None:
        """Look whether work waits behind tasks that take long; twice in a row adds a thread."""
        with self._lock:
            waits = not self._inbox.empty()
            if waits and self._waited:
                self._add()
            self._waited = waits

    def _add(self) -> None:
        self._number += 1
        self._threads.add(EngineThread(self, self._number))

    def next(self, engine: EngineThread) -> Work | None:
        """Return the next piece of work for a thread; None: it ends."""
        with self._lock:
            if engine not in self._threads:
                return None
            if len(self._threads) > self.size and self._inbox.empty():
                self._threads.discard(engine)
                return None
            self._idle += self._inbox.empty()
        return self._inbox.get()

    def abandon(self, engine: EngineThread) -> None:
        """Leave a thread behind whose work does not end; it ends itself when it can."""
        with self._lock:
            self._threads.discard(engine)
            self.has_abandoned = True
            if not self._inbox.empty():
                self._add()

    def close(self) -> None:
        """End the threads that are idle."""
        for _ in range(self._number):
            self._inbox.put(None)
