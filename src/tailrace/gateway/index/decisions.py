"""Follows what people decide about groups of failures, on whichever gateway."""

from __future__ import annotations

from tailrace.gateway.index.desk import Desk
from tailrace.jetstream.decisions import JetStreamDecisions, decisions_of
from tailrace.jetstream.follow import Follower
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.model.decision import GroupDecision
from tailrace.store.remote import Position


class DecisionsFollower:
    """Keeps the decisions of all gateways in the index."""

    def __init__(self, link: Link, names: Names, desk: Desk) -> None:
        self._link = link
        self._names = names
        self._desk = desk
        self._decisions = JetStreamDecisions(link, names)

    async def decide(self, decision: GroupDecision) -> None:
        """Store a decision for all gateways; this one knows of it when this returns.

        Raises:
            TransportError: NATS does not answer; it may be stored all the same.
            StoreError: the index cannot be written; the stream tells it again.
        """
        sequence = await self._decisions.put(decision)
        await self._desk.write(self._desk.writer.take_decisions, [(sequence, decision)])

    async def follow(self) -> None:
        """Follow for ever.

        Raises:
            StreamReplaced: the stream is another one: begin anew with an empty index.
            StoreError: the index cannot be written.
        """
        stream, writer = self._names.decisions, self._desk.writer
        position = await self._desk.write(writer.position, stream)
        follower = Follower(
            self._link,
            stream,
            first=position.sequence + 1,
            created=position.created,
            pause=0.2,
            live=(self._names.decision("*", "*"),),
        )
        try:
            async for page in follower.pages():
                await self._desk.write(writer.take_decisions, decisions_of(page))
                taken = Position(follower.created, page[-1].sequence)
                await self._desk.write(writer.move, stream, taken)
        finally:
            follower.close()
