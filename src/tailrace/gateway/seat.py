"""Somebody who watches a run: events go straight to the connection where that is possible."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

STUCK = 60.0
"""Seconds for which a client may take nothing of what is sent."""
_KEPT = 16


class Line(Protocol):
    """A connection to which bytes can be written at once."""

    seat: Seat | None
    """Told when there is room again, and when the client has left."""

    @property
    def is_full(self) -> bool:
        """Whether the client is slow: there is no room for more."""

    def write_now(self, data: bytes) -> None:
        """Send bytes."""

    def abort(self) -> None:
        """Disconnect at once."""


class Seat:
    """Takes events until it is ended. One event loop uses it.

    Args:
        line: the connection; None: ``pump`` sends what is put here.
    """

    def __init__(self, line: Line | None) -> None:
        self._line = line
        self._frames: deque[bytes] = deque(maxlen=_KEPT)
        self._news = asyncio.Event()
        self._stuck_since = 0.0
        self.over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True: there is nothing more to tell; False: the client has left."""
        self.catch_up: Callable[[], None] = lambda: None
        """Called when there is room again, to put what was left out."""
        if line is not None:
            line.seat = self

    def put(self, event: bytes) -> bool:
        """Send an event; False: the client is slow, and it was left out."""
        line = self._line
        if line is None:
            self._frames.append(event)
            self._news.set()
            return True
        if line.is_full:
            self._stuck_since = self._stuck_since or time.monotonic()
            return False
        line.write_now(b"%x\r\n%b\r\n" % (len(event), event))  # a chunk of HTTP/1.1
        return True

    def has_room(self) -> None:
        """Go on: the client has taken what was sent."""
        self._stuck_since = 0.0
        self.catch_up()

    def look(self) -> None:
        """Disconnect a client that has taken nothing for too long."""
        since = self._stuck_since
        if self._line is not None and since and time.monotonic() - since > STUCK:
            self._line.abort()

    def end(self) -> None:
        """Say that there is nothing more to tell."""
        self._end(told=True)

    def left(self) -> None:
        """Say that the client has left."""
        self._end(told=False)

    def _end(self, *, told: bool) -> None:
        if not self.over.done():
            self.over.set_result(told)
        self._news.set()

    async def pump(self, send: Any) -> None:
        """Send what is put here, until it is ended: for connections that are not written to."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._frames:
                async with asyncio.timeout(STUCK):
                    body = self._frames.popleft()
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            if self.over.done():
                return

    async def drain(self, send: Any) -> None:
        """Wait until a slow client has room, and send what was left out."""
        if self._line is not None and self._line.is_full:
            async with asyncio.timeout(STUCK):
                await send({"type": "http.response.body", "body": b"", "more_body": True})
        self.catch_up()

    def close(self) -> None:
        """Let the connection go."""
        if self._line is not None and self._line.seat is self:
            self._line.seat = None
