"""Child processes that run attempts and can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tailrace.engine.child import serve
from tailrace.engine.child_events import ChildFailure
from tailrace.engine.threads import Result
from tailrace.errors import RunError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


Listener = Callable[[str, list[Any]], None]
"""Takes what a child says before its answer: the kind of message and its parts."""


class ChildDied(RunError):  # noqa: N818 - reads as the state it reports
    """The child process of an attempt ended before it answered."""

    default_code = "TR308"


class Call(NamedTuple):
    """A call on its way: ``started`` once the task's own code runs, ``result`` at its end."""

    started: asyncio.Future[None]
    result: asyncio.Future[Result]


class Child:
    """One child process; it runs one attempt at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process: SpawnProcess = spawn.Process(
            target=serve, args=(theirs, os.getpid()), name="tailrace-child", daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        """True while it can take another attempt."""
        return self._process.is_alive()

    def call(self, path: str, body: bytes, listen: Listener) -> Call:
        """Send a pickled call of the node ``path``; a thread reads events and the answer."""
        call = Call(self._loop.create_future(), self._loop.create_future())
        threading.Thread(
            target=self._converse,
            args=(path, body, listen, call),
            name="tailrace-child-reader",
            daemon=True,
        ).start()
        return call

    def _converse(self, path: str, body: bytes, listen: Listener, call: Call) -> None:
        result: Result
        try:
            self._connection.send_bytes(body)
            result = self._read(listen, call)
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            result = (None, ChildDied(f"the child process of {path!r} ended ({how})"))

        self._settle(call.started, None)
        self._settle(call.result, result)

    def _settle(self, future: asyncio.Future[Any], value: Any) -> None:
        def settle() -> None:
            if not future.done():
                future.set_result(value)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(settle)

    def _read(self, listen: Listener, call: Call) -> Result:
        while True:
            kind, *rest = self._connection.recv()
            if kind == "started":
                self._settle(call.started, None)
                continue
            if kind == "returned":
                return (rest[0], None)
            if kind == "failed":
                return (None, ChildFailure(rest[0]))
            listen(kind, rest)

    def terminate(self) -> None:
        """Ask the child to stop (SIGTERM)."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGTERM)

    async def kill(self) -> None:
        """Kill the child and wait until the system has taken it back."""
        self.kill_now()
        while self._process.is_alive():  # noqa: ASYNC110 - the process offers no event
            await asyncio.sleep(0.002)

    def kill_now(self) -> None:
        """Kill the child without waiting."""
        self._process.kill()
        self._connection.close()


class ProcessPool:
    """Children of one run, kept for reuse while idle."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: list[Child] = []
        self._all: list[Child] = []

    async def acquire(self) -> Child:
        """Return an idle child, or start one."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            self._all.remove(child)
        child = await self._loop.run_in_executor(None, Child, self._loop)
        self._all.append(child)
        return child

    def release(self, child: Child) -> None:
        """Take a child back."""
        if child.is_alive:
            self._idle.append(child)

    def close(self) -> None:
        """Kill all children."""
        for child in self._all:
            child.kill_now()
        for child in self._all:
            child._process.join(5)  # noqa: SLF001 - the same module
        self._all.clear()
        self._idle.clear()
