"""A connection to a real server with everything of ours on it, for tests in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from jetstream_server import NatsServer
from tailrace.jetstream.address import Address
from tailrace.jetstream.answers import Refused
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import Limits, ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.remote import Job


@dataclass
class Room:
    """What belongs to one prefix on one server, over one connection."""

    link: Link
    names: Names
    limits: Limits
    queue: JetStreamQueue
    states: JetStreamStates
    letters: JetStreamLetters
    registry: JetStreamRegistry


@asynccontextmanager
async def room_on(
    server: NatsServer,
    prefix: str = "tailrace",
    *,
    ack_wait: float = 30.0,
    timeout: float = 10.0,
) -> AsyncIterator[Room]:
    """Open a room; its streams are made if they are not there."""
    names, limits = Names(prefix), Limits(ack_wait=ack_wait)
    link = Link(Address(urls=(server.url,)), timeout=timeout)
    await link.open(wait=30)
    await ensure(link, names, limits)
    queue = JetStreamQueue(link, names, limits)
    states = JetStreamStates(link, names, limits)
    try:
        yield Room(
            link,
            names,
            limits,
            queue,
            states,
            JetStreamLetters(link, names),
            JetStreamRegistry(link, names),
        )
    finally:
        await queue.close()
        await link.close()


def in_room(
    server: NatsServer, prefix: str, body: Callable[[Room], Awaitable[None]], **options: Any
) -> None:
    """Run a test's body in a room, on an event loop of its own."""

    async def main() -> None:
        async with room_on(server, prefix, **options) as room:
            await body(room)

    asyncio.run(main())


async def until(condition: Callable[[], Any], what: str, *, seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"waited in vain until {what}"
        await asyncio.sleep(0.005)


async def until_gone(
    read: Callable[[], Awaitable[Any]], what: str, *, seconds: float = 60.0
) -> None:
    """Read until nothing comes back."""
    end = asyncio.get_running_loop().time() + seconds
    while await read():
        assert asyncio.get_running_loop().time() < end, f"waited in vain until {what} was gone"
        await asyncio.sleep(0.02)


async def until_taking(room: Room) -> None:
    """Wait until the server knows of somebody who waits for a run of the default tag."""
    consumer = room.names.consumer("default", "normal")

    async def nobody() -> bool:
        try:
            info = await room.link.api(f"CONSUMER.INFO.{room.names.runs}.{consumer}")
        except Refused:  # it is not made yet
            return True
        return not info["num_waiting"]

    await until_gone(nobody, "nobody")


def job(run_id: str, **more: Any) -> Job:
    """Return a job of a flow called ``flow``."""
    return Job(run_id=run_id, flow_name="flow", **more)
