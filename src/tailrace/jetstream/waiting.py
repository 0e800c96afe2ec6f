"""What NATS has been asked for and has not answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from nats.aio.msg import Msg

from tailrace.errors import TransportError
from tailrace.jetstream.answers import Stored, decode_ack
from tailrace.jetstream.direct import EndOfBatch, end_of, stored_of


class Taker(Protocol):
    """Who is told of the answer to a request, once: a future, or what costs less than one."""

    def done(self) -> bool:
        """Return whether it has been told."""

    def set_result(self, message: Msg, /) -> None:
        """Take the answer."""

    def set_exception(self, error: BaseException, /) -> None:
        """Take that there is none."""


class StoredTaker:
    """Passes on under which sequence a message was stored; None: it was not, or nobody knows."""

    __slots__ = ("_done", "_first", "_told")

    def __init__(
        self, told: Callable[[int | None], None], first: Callable[[int], None] | None = None
    ) -> None:
        """``first`` is told before, of what is stored only."""
        self._told = told
        self._first = first
        self._done = False

    def done(self) -> bool:
        """Return whether it has been told."""
        return self._done

    def set_result(self, message: Msg, /) -> None:
        """Take the answer."""
        self._done = True
        try:
            ack = decode_ack(message.data)
        except msgspec.DecodeError:  # nobody was there to store it
            self._told(None)
            return
        if ack.error is not None:
            self._told(None)
            return
        if self._first is not None:
            self._first(ack.seq)
        self._told(ack.seq)

    def set_exception(self, error: BaseException, /) -> None:
        """Take that there is none."""
        del error
        self._done = True
        self._told(None)


@dataclass(slots=True)
class Waiting:
    """A request without its answer."""

    future: Taker
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
