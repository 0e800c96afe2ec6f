"""Follows the stream of dead letters."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from tailrace.errors import TransportError
from tailrace.gateway.index.desk import Desk
from tailrace.gateway.index.reading import letters_of
from tailrace.jetstream.follow import Follower
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.store.remote import Position

_SETTLE, _GLANCE = 0.5, 0.005
"""Seconds for which a list waits for what is stored already, and between looks meanwhile."""
_LOOK = 5.0
"""Seconds between looks for letters that are gone: their removal sends no message."""


class LettersFollower:
    """Takes in dead letters as they change, and lets go of those that have expired."""

    def __init__(self, link: Link, names: Names, desk: Desk) -> None:
        self._link = link
        self._names = names
        self._desk = desk
        self._taken = 0
        self._follower: Follower | None = None

    async def follow(self) -> None:
        """Follow for ever.

        Raises:
            StreamReplaced: the stream is another one: begin anew with an empty index.
            StoreError: the index cannot be written.
        """
        writer, stream = self._desk.writer, self._names.letters
        position = await self._desk.write(writer.position, stream)
        self._taken = position.sequence
        follower = self._follower = Follower(
            self._link,
            stream,
            first=position.sequence + 1,
            created=position.created,
            pause=0.2,
            live=(self._names.letters_named("*"),),
        )
        try:
            async for page in follower.pages():
                taken = Position(follower.created, page[-1].sequence)
                await self._desk.write(writer.take_letters, letters_of(page), stream, taken)
                self._taken = taken.sequence
        finally:
            follower.close()

    async def catch_up(self) -> None:
        """Wait until all letters that are stored now are in the file, for a moment at most."""
        end = time.monotonic() + _SETTLE
        with suppress(TransportError):
            stored = (await self._link.info(self._names.letters))["state"]["last_seq"]
            while self._taken < stored and time.monotonic() < end:
                if self._follower is not None:
                    self._follower.wake()
                await asyncio.sleep(_GLANCE)

    async def sweep(self) -> None:
        """Let go, for ever, of letters that are no longer in the stream.

        Raises:
            StoreError: the index cannot be written.
        """
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self.sweep_once()
            except TransportError:
                continue

    async def sweep_once(self) -> int:
        """Let go of letters that are no longer in the stream, and return how many those were.

        Raises:
            TransportError: NATS does not answer.
        """
        writer, stream = self._desk.writer, self._names.letters
        state = (await self._link.info(stream))["state"]
        here = await self._desk.write(writer.letter_sequences)
        if not here or (state["messages"] >= len(here) and here[0] >= state["first_seq"]):
            return 0
        there: set[int] = set()
        first = 1
        while page := await self._link.scan(stream, first):
            there.update(one.sequence for one in page)
            first = page[-1].sequence + 1
        gone = [sequence for sequence in here if sequence not in there]
        await self._desk.write(writer.remove_letters, gone)
        return len(gone)
