"""Follows the stream of runs: lists first, then their traces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from tailrace.errors import NotFound, TransportError
from tailrace.gateway.index.desk import Desk
from tailrace.gateway.index.held import HeldNews
from tailrace.gateway.index.overlay import Overlay
from tailrace.gateway.index.reading import message_of, micros_of
from tailrace.gateway.index.together import until_one_ends
from tailrace.jetstream.answers import Stored
from tailrace.jetstream.follow import Follower
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.objects import REFERENCE
from tailrace.jetstream.states import JetStreamStates
from tailrace.store.remote import Batch, Message, Piece, Position

_MUCH = 5_000
"""Messages behind, from which on lists are made before traces."""
_PAGE = 1_000
"""Messages behind, up to which there is time for traces."""
_GATHER, _LONGEST = 0.01, 0.25
"""Seconds, at least and at most, for which messages gather before they are taken in together."""
_EACH = 0.001
"""Seconds by which a message makes the next ones gather longer: a run that is over by then is one
message to be read instead of three, and a row to be written instead of three."""
_REST = 0.02
"""Seconds for which news are left alone that come when there was none: a short run is over by then,
and who waits for it is answered before it is written into lists."""
_RELEASE = 0.1
"""Seconds between looks for news of runs that go on."""
_TRACES = 500
"""Messages whose traces are made at once, while lists wait."""
_TROUBLE = 0.25


class RunsFollower:
    """Takes in the stream of runs, many messages per commit.

    Lists come first: after a start from nothing they are whole in seconds, and traces follow. As
    long as it keeps up, both are made of the same messages.
    """

    def __init__(
        self, link: Link, names: Names, states: JetStreamStates, desk: Desk, overlay: Overlay
    ) -> None:
        self._link = link
        self._names = names
        self._states = states
        self._desk = desk
        self._overlay = overlay
        self._held = HeldNews()
        self._turn = asyncio.Lock()
        self._behind = asyncio.Event()
        self._has_room = asyncio.Event()
        self._holds = asyncio.Event()
        self._created = ""
        self.listed = 0
        """Sequence up to which lists are made."""
        self.traced = 0
        """Sequence up to which traces are made, but for runs that go on."""
        self.latest = 0
        """The server's time of the last message, microseconds since the epoch."""
        self._waiting = 1
        self._written = 0
        self._follower: Follower | None = None

    @property
    def is_complete(self) -> bool:
        """Whether lists had all there was when it looked last."""
        follower = self._follower
        return follower is not None and not (self._waiting and follower.is_behind)

    @property
    def written(self) -> int:
        """Sequence up to which every trace is in the file."""
        return self._written

    def wake(self) -> None:
        """Look now."""
        if self._follower is not None:
            self._follower.wake()

    async def follow(self) -> None:
        """Follow for ever.

        Raises:
            StreamReplaced: the stream is another one: begin anew with an empty index.
            StoreError: the index cannot be written.
        """
        position = await self._desk.write(self._desk.writer.position, self._names.runs)
        self.listed, self.traced = position.sequence, position.traced
        self._written = position.traced
        self._created, self._waiting = position.created, 1
        self._follower = Follower(
            self._link,
            self._names.runs,
            first=position.sequence + 1,
            created=position.created,
            live=_heard(self._names),
            gather=_REST,
        )
        self._behind.clear()
        self._has_room.clear()
        if self.traced < self.listed:
            self._behind.set()
        self._held.clear()
        works = (self._trace(), self._list(self._follower), self._release())
        try:
            await until_one_ends(works)
        finally:
            self._follower.close()

    async def _list(self, follower: Follower) -> None:
        async for page in follower.pages():
            self._created = follower.created
            waiting = int(page[-1].headers.get("Nats-Num-Pending", 0))
            async with self._turn:
                await self._take(page, together=self.traced >= self.listed and waiting < _MUCH)
            self._waiting = waiting
            if waiting < _PAGE:
                self._has_room.set()
            else:
                self._has_room.clear()
            if len(page) < _PAGE:
                await asyncio.sleep(min(max(_GATHER, _EACH * len(page)), _LONGEST))

    async def _take(self, page: Sequence[Stored], *, together: bool) -> None:
        """Make lists of a page, and traces where they are not far behind."""
        bodies = await self._bodies(page) if together else {}
        self.listed, self.latest = page[-1].sequence, micros_of(page[-1])
        if together:
            self.traced = self.listed
        else:
            self._behind.set()
        told, missing = await self._desk.write(self._take_in, page, bodies, together)
        self._overlay.confirm(told)
        if len(self._held):
            self._holds.set()
        await self._mend(missing)

    def _take_in(
        self,
        page: Sequence[Stored],
        bodies: Mapping[int, bytes],
        together: bool,  # noqa: FBT001 - called by the desk
    ) -> tuple[list[str], list[str]]:
        """Write a page, in the desk's thread; return whose lists and which journals to mend."""
        messages = self._messages(page, bodies)
        traced = self._held.take(messages) if together else []
        missing = self._apply(messages, traced)
        return [one.run_id for one in messages if one.__class__ is not Batch], missing

    async def _release(self) -> None:
        """Make the traces of runs that go on, a little later."""
        while True:
            await self._holds.wait()
            await asyncio.sleep(_RELEASE)
            async with self._turn:
                missing = await self._desk.write(self._let_go)
                if not len(self._held):
                    self._holds.clear()
            await self._mend(missing)

    def _let_go(self) -> list[str]:
        ready = self._held.due()
        return self._apply((), ready) if ready else []

    async def _trace(self) -> None:
        """Make the traces of what is listed already; pages are read while those before are made."""
        ahead: asyncio.Task[list[Stored]] | None = None
        try:
            while True:
                await self._behind.wait()
                await self._lists_are_made()
                try:
                    page = await (ahead or self._scan(self.traced + 1))
                    ahead = None
                    if len(page) == _TRACES and page[-1].sequence < self.listed:
                        ahead = asyncio.create_task(self._scan(page[-1].sequence + 1))
                    await self._trace_page([one for one in page if one.sequence <= self.listed])
                except TransportError:
                    ahead = None
                    await asyncio.sleep(_TROUBLE)
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _scan(self, first: int) -> list[Stored]:
        return await self._link.scan(self._names.runs, first, limit=_TRACES)

    async def _lists_are_made(self) -> None:
        while not self.is_complete:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER):
                    await self._has_room.wait()
                    return

    async def _trace_page(self, page: Sequence[Stored]) -> None:
        async with self._turn:
            bodies = await self._bodies(page)
            self.traced = page[-1].sequence if page else self.listed
            missing = await self._desk.write(self._trace_in, page, bodies)
            if self.traced >= self.listed:
                self._behind.clear()
        await self._mend(missing)

    def _trace_in(self, page: Sequence[Stored], bodies: Mapping[int, bytes]) -> list[str]:
        messages = self._messages(page, bodies)
        return self._apply((), [*self._held.due(), *messages])

    def _apply(self, listed: Sequence[Message], traced: Sequence[Message]) -> list[str]:
        """Write what messages tell; in the desk's thread."""
        position = Position(self._created, self.listed, self._held.before(self.traced))
        missing = self._desk.writer.apply(listed, traced, self._names.runs, position)
        self._written = position.traced
        return missing

    def _messages(self, page: Iterable[Stored], bodies: Mapping[int, bytes]) -> list[Message]:
        """Return what a page tells; in the desk's thread."""
        found: list[Message] = []
        for stored in page:
            message = message_of(self._names, stored, bodies.get(stored.sequence, stored.body))
            if message is not None:
                found.append(message)
        return found

    async def _bodies(self, page: Iterable[Stored]) -> dict[int, bytes]:
        """Read the batches that are kept apart from their messages, by sequence."""
        apart = [stored for stored in page if REFERENCE in stored.headers]
        return {stored.sequence: await self._body(stored) for stored in apart}

    async def _body(self, stored: Stored) -> bytes:
        while True:
            try:
                return await self._states.objects.body_of(stored)
            except NotFound:
                return b""
            except TransportError:
                await asyncio.sleep(_TROUBLE)

    async def _mend(self, run_ids: Sequence[str]) -> None:
        """Read journals as a whole of which batches are missing in between."""
        pieces = [await self._whole(run_id) for run_id in run_ids]
        if pieces:
            await self._desk.write(self._desk.writer.mend, pieces)

    async def _whole(self, run_id: str) -> Piece:
        piece = Piece(run_id, is_whole=True)
        while True:
            try:
                piece.batches.update(await self._states.journal(run_id))
                found = await self._states.read(run_id)
            except NotFound:
                return piece
            except TransportError:
                await asyncio.sleep(_TROUBLE)
                continue
            if found is not None:
                piece.take(found[0], int(found[0].updated_at * 1e6))
            return piece


def _heard(names: Names) -> tuple[str, ...]:
    """Return under what the stream's messages are heard of: states as stored, all else as sent."""
    return (
        names.live(names.state(">")),
        names.queues("*", "*"),
        names.delayed("*"),
        names.cancel_flag("*"),
        names.batches("*"),
    )
