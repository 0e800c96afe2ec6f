from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from jetstream_room import Room, in_room, job, until
from jetstream_server import NatsServer, free_port, running_server
from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.address import Address
from tailrace.jetstream.answers import Denied, Refused, Rejected, Unreachable
from tailrace.jetstream.link import Fence, Link


def test_who_finds_no_server_is_told_where_and_what_to_do() -> None:
    url = f"nats://me:secret@127.0.0.1:{free_port()}"

    async def main() -> None:
        with pytest.raises(Unreachable) as caught:
            await Link(Address(urls=(url,))).open(wait=0.3)
        assert "secret" not in caught.value.message
        assert "127.0.0.1" in caught.value.message
        assert "tailrace up" in (caught.value.hint or "")

    asyncio.run(main())


def test_who_is_refused_is_told_at_once_that_it_is_the_credentials(tmp_path: Path) -> None:
    async def attempt(server: NatsServer, password: str) -> None:
        link = Link(Address(urls=(server.url,), user="ann", password=password))
        await link.open(wait=20)
        await link.api("INFO")
        await link.close()

    config = 'authorization { user: "ann", password: "right" }'
    with running_server(tmp_path, config=config) as server:
        asyncio.run(attempt(server, "right"))
        with pytest.raises(Rejected, match="refused who we are") as caught:
            asyncio.run(asyncio.wait_for(attempt(server, "wrong"), 10))
        assert caught.value.code == "TR411"


def test_a_permission_that_is_missing_is_named(tmp_path: Path) -> None:
    config = (
        'authorization { users: [{ user: "ann", password: "right",'
        ' permissions: { publish: "nothing.>" } }] }'
    )

    async def main(server: NatsServer) -> None:
        link = Link(Address(urls=(server.url.replace("//", "//ann:right@"),)), timeout=0.5)
        await link.open()
        with pytest.raises(Denied, match=r"publishing to \$js\.api\.info") as caught:
            await link.api("INFO")
        assert caught.value.code == "TR413"
        await link.close()

    with running_server(tmp_path, config=config) as server:
        asyncio.run(main(server))


def test_a_fence_holds_against_any_subject(nats_server: NatsServer, nats_prefix: str) -> None:
    async def body(room: Room) -> None:
        state, other = room.names.state("r1"), room.names.batch("r1", 1)
        first, _ = await room.link.store(state, b"1", fence=Fence(state, 0))
        await room.link.store(other, b"x", fence=Fence(state, first))
        await room.link.store(state, b"2", fence=Fence(state, first))
        with pytest.raises(Conflict):
            await room.link.store(other, b"y", fence=Fence(state, first))
        stored = await room.link.last(room.names.runs, other)
        assert stored is not None
        assert stored.body == b"x"

    in_room(nats_server, nats_prefix, body)


def test_a_message_that_is_too_large_is_refused_before_it_is_sent(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        with pytest.raises(TransportError) as caught:
            await room.link.store(room.names.state("r1"), b"x" * 2_000_000)
        assert caught.value.code == "TR403"

    in_room(nats_server, nats_prefix, body)


def test_what_jetstream_refuses_says_why(nats_server: NatsServer, nats_prefix: str) -> None:
    async def body(room: Room) -> None:
        with pytest.raises(Refused, match="stream not found") as caught:
            await room.link.info("nowhere")
        assert caught.value.number == 10059

    in_room(nats_server, nats_prefix, body)


def test_calls_end_within_their_time_while_the_server_is_frozen_or_away(
    own_nats_server: NatsServer,
) -> None:
    async def body(room: Room) -> None:
        room.link.timeout = 0.5
        with own_nats_server.frozen():
            for call in (
                partial(room.queue.submit, job("r1")),
                partial(room.states.read, "r1"),
                partial(room.queue.find, "r1"),
            ):
                async with asyncio.timeout(5):
                    with pytest.raises(Unreachable):
                        await call()
        own_nats_server.kill()
        await until(lambda: not room.link.is_up, "the loss is noticed")
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable):
                await room.queue.submit(job("r2"))
        own_nats_server.start()
        await until(lambda: room.link.is_up, "it is connected again")
        room.link.timeout = 10
        await room.queue.submit(job("r2"))
        assert await room.queue.find("r2") is not None

    in_room(own_nats_server, "tailrace", body)


def test_requests_under_way_fail_when_the_connection_is_lost(own_nats_server: NatsServer) -> None:
    async def body(room: Room) -> None:
        room.link.timeout = 60
        with own_nats_server.frozen():
            asking = asyncio.ensure_future(room.states.read("r1"))
            await asyncio.sleep(0)
            own_nats_server.kill()
        async with asyncio.timeout(20):
            with pytest.raises(Unreachable):
                await asking

    in_room(own_nats_server, "tailrace", body)
