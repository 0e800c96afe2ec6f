"""What NATS has been asked for and has not answered yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nats.aio.msg import Msg

from tailrace.errors import TransportError
from tailrace.jetstream.answers import Stored
from tailrace.jetstream.direct import EndOfBatch, end_of, stored_of


@dataclass(slots=True)
class Waiting:
    """A request without its answer."""

    future: asyncio.Future[Msg]
    subject: str
    seconds: float
    end: float


class Batch:
    """The messages of one direct get that have come, until its end has.

    ``end`` is the instant, on the loop's clock, at which it has waited too long for the next.
    """

    __slots__ = ("_loop", "_seconds", "end", "found", "future", "stream")

    def __init__(self, stream: str, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self.stream = stream
        self.end = self._loop.time() + seconds
        self.found: list[Stored] = []
        self.future: asyncio.Future[EndOfBatch | None] = self._loop.create_future()

    def take(self, message: Msg) -> None:
        """Add a message, or end."""
        if self.future.done():
            return
        try:
            stored = stored_of(message)
        except TransportError as error:
            self.future.set_exception(error)
            return
        if stored is None:
            self.future.set_result(end_of(message))
            return
        self.found.append(stored)
        self.end = self._loop.time() + self._seconds
