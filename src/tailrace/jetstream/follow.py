"""A stream from a sequence on, for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from nats.aio.msg import Msg

from tailrace.errors import TransportError
from tailrace.jetstream.answers import NO_STREAM, Refused, Stored
from tailrace.jetstream.link import Link

_PAGE = 1000
_STIR, _IDLE = 0.2, 1.0
"""Seconds after the last news for which it looks as often as it was told, and between looks after
that: whatever is published wakes it up, and all else (what has expired) has time."""
_TROUBLE = 0.25
"""Seconds after which a server that does not answer is asked again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which stream it is, and how far it goes."""

    created: str
    """When it was made; another instant: it is another stream with the same name."""
    first: int
    last: int


class StreamReplaced(TransportError):  # noqa: N818 - reads as the state it reports
    """The stream is not the one that was followed: what was made from it must be made anew."""

    default_code = "TR401"


async def identity(link: Link, stream: str) -> Identity:
    """Return which stream bears a name at the moment."""
    info = await link.info(stream)
    state = info["state"]
    return Identity(str(info["created"]), int(state["first_seq"]), int(state["last_seq"]))


class Follower:
    """Yields the messages of a stream in order, those to come, too.

    It keeps nothing on the server: whoever follows remembers the last sequence and begins there
    again. Sequences may have gaps (messages that have expired, or were replaced by newer ones of
    their subject). A message may come as a marker: the last one of its subject has expired.
    """

    def __init__(
        self,
        link: Link,
        stream: str,
        *,
        first: int = 1,
        created: str = "",
        subject: str = ">",
        live: Sequence[str] = (),
        pause: float = 0.05,
        gather: float = 0.0,
    ) -> None:
        """Follow a stream.

        Args:
            link: the connection.
            stream: its name.
            first: sequence to begin with.
            created: the stream's ``Identity.created`` as remembered; empty: whichever it is.
            subject: a filter.
            live: subjects under which it is told of what is stored, just before or after: they wake
                it up.
            pause: seconds between looks while nothing wakes it up; where something can, only soon
                after there was something new.
            gather: seconds for which it leaves alone what has woken it up: more may follow.
        """
        self._link = link
        self._stream = stream
        self._subject = subject
        self._live = tuple(live)
        self._pause = pause
        self._gather = gather
        self._news = asyncio.Event()
        self._must_check = True
        self._closed = False
        self._calls: set[str] = set()
        """Subjects of which the next message wakes it up."""
        self._stirred = time.monotonic()
        self.created = created
        self.next = first
        """Sequence of the message to come next, at least."""
        self.is_behind = True
        """Whether there may be more at the moment."""
        self._ahead: asyncio.Task[list[Stored]] | None = None
        link.listen(self._connection_changed)

    def wake(self) -> None:
        """Look now: somebody knows that there is something new."""
        self._news.set()

    def close(self) -> None:
        """End ``pages`` after its present page, and let go of the connection."""
        self._closed = True
        self._news.set()
        self._forget_ahead()
        self._link.leave(self._connection_changed)

    def _connection_changed(self, up: bool) -> None:  # noqa: FBT001 - a listener's signature
        self._must_check = True
        self._calls.clear()
        if up:
            self._news.set()

    async def pages(self) -> AsyncIterator[list[Stored]]:
        """Yield what there is, then what comes; trouble with the server is waited out.

        Raises:
            StreamReplaced: the stream was deleted and made again, or restored from older days.
        """
        while not self._closed:
            self._news.clear()
            try:
                await self._check()
                page = await self._scanned()
            except StreamReplaced:
                raise
            except TransportError as error:
                if isinstance(error, Refused) and error.number == NO_STREAM:
                    raise StreamReplaced(f"stream {self._stream} is gone") from error
                self.is_behind = True
                await self._rest(_TROUBLE)
                continue
            if page:
                self.next = page[-1].sequence + 1
                self.is_behind = True
                self._stirred = time.monotonic()
                if len(page) == _PAGE and not self._closed:
                    self._ahead = asyncio.create_task(self._scan())
                yield page
            elif len(self._calls) < len(self._live):
                await self._listen()
            else:
                self.is_behind = False
                await self._rest(self.patience)
                if self._news.is_set() and self._gather and not self._closed:
                    await asyncio.sleep(self._gather)

    async def _scan(self) -> list[Stored]:
        return await self._link.scan(self._stream, self.next, subject=self._subject, limit=_PAGE)

    async def _scanned(self) -> list[Stored]:
        """Return the next page, which is read while the one before is looked at."""
        ahead, self._ahead = self._ahead, None
        return await (self._scan() if ahead is None else ahead)

    def _forget_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    async def _check(self) -> None:
        """See after a (re)connection that it is still the same stream."""
        if not self._must_check:
            return
        self._forget_ahead()
        found = await identity(self._link, self._stream)
        if self.created not in {"", found.created} or self.next > found.last + 1:
            raise StreamReplaced(f"stream {self._stream} is not the one that was followed")
        self.created = found.created
        self._must_check = False

    @property
    def patience(self) -> float:
        """Seconds for which it waits for news at the moment before it looks by itself."""
        if not self._live or time.monotonic() - self._stirred < _STIR:
            return self._pause
        return max(self._pause, _IDLE)

    async def _listen(self) -> None:
        """Be woken by the next message, once: a busy stream is not worth being told about."""
        with suppress(TransportError):
            for subject in self._live:
                if subject not in self._calls:
                    self._calls.add(subject)
                    await self._link.subscribe(subject, partial(self._hear, subject), most=1)

    async def _hear(self, subject: str, _: Msg) -> None:
        self._calls.discard(subject)
        self._stirred = time.monotonic()
        self._news.set()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
