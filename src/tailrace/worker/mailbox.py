"""Messages from engine threads to the loop that talks to NATS."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

Call = Callable[[], None]


class Mailbox:
    """Calls to be made on a loop, in order; many of them cost one wake-up.

    It is made on the thread of that loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._calls: deque[Call] = deque()
        self._awake = False

    @property
    def is_here(self) -> bool:
        """Whether this is the thread of the loop, which makes no call while it waits."""
        return threading.get_ident() == self._thread

    def post(self, call: Call) -> None:
        """Have the loop make a call; from any thread. Dropped once the loop is closed."""
        self._calls.append(call)
        if not self._awake:
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the process is ending
                self._calls.clear()

    def _deliver(self) -> None:
        self._awake = False  # before the calls are taken: a post from now on wakes again
        calls = self._calls
        while calls:
            calls.popleft()()
