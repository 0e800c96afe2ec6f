from __future__ import annotations

import asyncio
from functools import partial

import pytest

from jetstream_room import Room, in_room, job, room_on, until
from jetstream_server import NatsServer
from tailrace.jetstream.again import persist
from tailrace.jetstream.live import LiveStates
from tailrace.model.remote import CancelRequest, RunState


def test_who_watches_sees_the_present_state_then_each_newest_one(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)
        state = RunState(job=job("r1"), status="RUNNING", claims=1)
        sequence = await room.states.write(state, expected=0)
        async with live.watch("r1") as watcher, live.watch("r2") as other:
            assert await watcher.changed(10)
            assert watcher.state == state
            assert not await watcher.changed(0.01)
            for number in range(2, 5):
                state.claims = number
                sequence = await room.states.write(state, expected=sequence)
            await until(lambda: watcher.sequence == sequence, "the newest state")
            assert watcher.state is not None
            assert watcher.state.claims == 4
            assert await watcher.changed(10)
            assert other.state is None

    in_room(nats_server, nats_prefix, body)


def test_a_wish_to_cancel_reaches_who_watches_and_who_comes_later(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)
        async with live.watch("r1") as watcher:
            await room.link.flush()
            await room.states.request_cancel("r1", CancelRequest(at=1.0, by="me"))
            assert await watcher.changed(10)
            assert watcher.cancel == CancelRequest(at=1.0, by="me")
            async with live.watch("r1") as later:
                assert later.cancel == watcher.cancel

    in_room(nats_server, nats_prefix, body)


def test_many_watch_one_run_and_leave_nothing_behind(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)

        async def watch() -> int:
            async with live.watch("r1") as watcher:
                while watcher.sequence == 0:
                    await watcher.changed(10)
                return watcher.sequence

        watching = [asyncio.create_task(watch()) for _ in range(200)]
        await asyncio.sleep(0)
        sequence = await room.states.write(RunState(job=job("r1")), expected=0)
        async with asyncio.timeout(20):
            assert set(await asyncio.gather(*watching)) == {sequence}
        assert len(room.link._client._subs) == 1

    in_room(nats_server, nats_prefix, body)


def test_the_last_state_is_not_missed_when_it_is_written_while_the_connection_is_lost(
    own_nats_server: NatsServer,
) -> None:
    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)
        state = RunState(job=job("r1"), status="RUNNING")
        sequence = await room.states.write(state, expected=0)
        async with live.watch("r1") as watcher, room_on(own_nats_server) as other:
            own_nats_server.restart()
            state.status = "COMPLETED"
            write = partial(other.states.write, state, expected=sequence)
            await persist(write, seconds=60)
            await until(
                lambda: watcher.state is not None and watcher.state.status == "COMPLETED",
                "the last state",
            )

    in_room(own_nats_server, "tailrace", body)


def test_who_watches_what_was_read_while_it_was_listened_to_reads_nothing_more(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)
        state = RunState(job=job("r1"), status="RUNNING", claims=1)
        sequence = await room.states.write(state, expected=0)
        async with live.ahead("r1"):
            live.tell("r1", state, sequence, stored_at=1.0, cancel=None)
        newer = await room.states.write(RunState(job=job("r1"), claims=2), expected=sequence)
        asked = room.link._next
        async with live.watch("r1") as watcher:
            assert room.link._next == asked
            await until(lambda: watcher.sequence == newer, "the newest state")
        assert len(room.link._client._subs) == 1

    in_room(nats_server, nats_prefix, body)


def test_what_was_listened_to_in_vain_is_left(
    nats_server: NatsServer, nats_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.jetstream.live._AHEAD", 0.01)

    async def body(room: Room) -> None:
        live = LiveStates(room.link, room.names, room.states)

        async def fail() -> None:
            async with live.ahead("r1"):
                assert len(room.link._client._subs) == 3
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert len(room.link._client._subs) == 1
        async with live.ahead("r2"):
            live.tell("r2", None, 0, stored_at=0.0, cancel=CancelRequest(at=1.0))
        await until(lambda: len(room.link._client._subs) == 1, "it is left")
        live.tell("r2", None, 0, stored_at=0.0, cancel=None)  # nobody listens: nothing happens

    in_room(nats_server, nats_prefix, body)
