"""Threads that run engines, each with an event loop that outlives the runs.

A run waits for its claim without a thread; so few threads, which hardly ever sleep, keep many short
runs going.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from _thread import allocate_lock
from asyncio import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from types import coroutine
from typing import Any
from weakref import WeakSet

from tailrace.engine import InlineAbandoned

Work = Callable[["EngineThread"], None]
"""A part of a run, up to where it waits or ends; never raises."""
_NEW = object()
_LEFTOVERS = 0.1
"""Seconds that tasks which a run has left behind get to stop."""
_BRISK = 0.002
"""Seconds that pieces of work may take for one thread to be enough."""
_LONG = 0.05
_WEIGHT = 0.05
"""Of the newest piece of work in the average, where it counts for at most ``_LONG`` seconds."""


class EngineThread:
    """A daemon thread with a loop of its own, which takes one piece of work after the other."""

    def __init__(self, pool: EnginePool, number: int) -> None:
        self._pool = pool
        self.loop = asyncio.new_event_loop()
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._sleep = allocate_lock()
        self._sleep.acquire()
        self.sleep = self._sleep.acquire
        """Keeps the thread, which is the one to call it, waiting until ``wake`` is called once."""
        self.wake = self._sleep.release
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
            while True:
                try:
                    work = self._pool.next(self)
                    if work is None:
                        return
                    began = time.monotonic()
                    work(self)
                    self._pool.saw(time.monotonic() - began)
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
    """Engine threads with one inbox. A thread that hangs is left behind and replaced.

    While pieces of work are short, one thread does them all: threads that take turns at the
    interpreter cost more than they bring. Others join it where it does not get on.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.active = 0
        """Runs that have begun and not ended; the loop that talks to NATS counts them."""
        self.has_abandoned = False
        """Whether a thread was left behind."""
        self._inbox: deque[Work] = deque()
        self._lock = threading.Lock()
        self._idle: list[EngineThread] = []
        self._is_closed = False
        self._waited = False
        self._taken = self._seen = 0
        self._helpers = 0
        """Threads that may work beside the one, though work is short: until nothing waits."""
        self._average = _LONG
        self._threads: set[EngineThread] = set()
        self._number = 0

    def saw(self, seconds: float) -> None:
        """Take in how long a piece of work has taken."""
        self._average += _WEIGHT * (min(seconds, _LONG) - self._average)

    @property
    def is_brisk(self) -> bool:
        """Whether pieces of work are so short that one thread does them best."""
        return self._average < _BRISK

    def give(self, work: Work) -> bool:
        """Have a thread do a piece of work; True: it waits for one, ``join`` is to be called."""
        with self._lock:
            if not self._inbox:
                self._seen = self._taken
            self._inbox.append(work)
            if self.is_brisk and len(self._threads) > len(self._idle):
                return True
            self._rouse()
        return False

    def _rouse(self) -> None:
        if self._idle:
            self._idle.pop().wake()
        elif len(self._threads) < self.size:
            self._add()

    def join(self) -> bool:
        """Have another thread help where those awake do not get on; True: work still waits."""
        with self._lock:
            if not self._inbox:
                return False
            if self._taken == self._seen:
                self._helpers += 1
                self._rouse()
            self._seen = self._taken
            return True

    def withdraw(self, work: Work) -> bool:
        """Take a piece of work back that no thread has begun; False: one has."""
        with self._lock:
            try:
                self._inbox.remove(work)
            except ValueError:
                return False
            return True

    def hasten(self) -> bool:
        """Look whether work waits behind tasks that take long; twice in a row adds a thread.

        Returns:
            Whether it was twice in a row.
        """
        with self._lock:
            waits = bool(self._inbox)
            if waits and self._waited:
                if self._idle:
                    self._rouse()
                else:
                    self._add()
            is_stuck, self._waited = waits and self._waited, waits
            return is_stuck

    def _add(self) -> None:
        self._number += 1
        self._threads.add(EngineThread(self, self._number))

    def next(self, engine: EngineThread) -> Work | None:
        """Return the next piece of work for a thread, which waits for it; None: it ends."""
        while True:
            with self._lock:
                if engine not in self._threads or (self._is_closed and not self._inbox):
                    return None
                awake = len(self._threads) - len(self._idle)
                if self._inbox and (awake <= 1 + self._helpers or not self.is_brisk):
                    self._taken += 1
                    return self._inbox.popleft()
                if not self._inbox:
                    self._helpers = 0
                if len(self._threads) > self.size:
                    self._threads.discard(engine)
                    return None
                self._idle.append(engine)
            engine.sleep()

    def abandon(self, engine: EngineThread) -> None:
        """Leave a thread behind whose work does not end; it ends itself when it can."""
        with self._lock:
            self._threads.discard(engine)
            self.has_abandoned = True
            if engine in self._idle:
                self._idle.remove(engine)
                engine.wake()
            if self._inbox:
                self._rouse()

    def close(self) -> None:
        """End the threads that are idle."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().wake()
