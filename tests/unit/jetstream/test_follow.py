from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from functools import partial

import pytest

from jetstream_room import Room, in_room, job, room_on, until
from jetstream_server import NatsServer
from tailrace.jetstream.again import persist
from tailrace.jetstream.follow import Follower, StreamReplaced, identity
from tailrace.model.remote import RunState


class Seen:
    """What a follower has brought so far."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.subjects: list[str] = []
        self.sequences: list[int] = []

    async def run(self) -> None:
        async for page in self.follower.pages():
            self.subjects += [one.subject.split(".", 1)[1] for one in page]
            self.sequences += [one.sequence for one in page]


@contextlib.asynccontextmanager
async def following(follower: Follower) -> AsyncIterator[Seen]:
    seen = Seen(follower)
    task = asyncio.create_task(seen.run())
    yield seen
    follower.close()
    await task


def test_what_is_there_comes_first_then_what_is_stored(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        for number in range(3):
            await room.queue.submit(job(f"r{number}"))
        async with following(Follower(room.link, room.names.runs, pause=0.01)) as seen:
            await until(lambda: len(seen.subjects) == 3 and not seen.follower.is_behind, "all")
            await room.states.write(RunState(job=job("r0")), expected=0)
            await until(lambda: "s.r0" in seen.subjects, "the state is seen")
            following_next = seen.follower.next
        assert seen.sequences == sorted(seen.sequences)
        again = Follower(room.link, room.names.runs, first=following_next, pause=0.01)
        async with following(again) as later:
            await room.queue.submit(job("r9"))
            await until(lambda: later.subjects, "what was stored later")
        assert later.subjects == ["q.default.normal.r9"]

    in_room(nats_server, nats_prefix, body)


def test_what_is_sent_under_any_of_its_subjects_wakes_a_follower_that_looks_rarely(
    nats_server: NatsServer, nats_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.jetstream.follow._IDLE", 600.0)
    monkeypatch.setattr("tailrace.jetstream.follow._STIR", 0.1)

    async def body(room: Room) -> None:
        names = room.names
        live = (names.live(names.state(">")), names.queues("*", "*"))
        follower = Follower(room.link, names.runs, live=live, pause=0.02, gather=0.01)
        async with following(follower) as seen, asyncio.timeout(30):
            for number in range(3):
                await until(lambda: follower.patience > 1, "it looks rarely")
                await room.queue.submit(job(f"r{number}"))
                await until(lambda: len(seen.subjects) == 2 * number + 1, "a job woke it")  # noqa: B023
                await until(lambda: follower.patience > 1, "it looks rarely")
                await room.states.write(RunState(job=job(f"r{number}")), expected=0)
                await until(lambda: len(seen.subjects) == 2 * number + 2, "a state woke it")  # noqa: B023

    in_room(nats_server, nats_prefix, body)


def test_a_follower_that_sleeps_is_woken_by_what_is_stored_or_by_who_knows(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        live = room.names.live(room.names.state(">"))
        follower = Follower(room.link, room.names.runs, live=(live,), pause=600)
        async with following(follower) as seen, asyncio.timeout(30):
            for number in range(3):
                await until(lambda: not follower.is_behind, "it sleeps")
                await room.states.write(RunState(job=job(f"r{number}")), expected=0)
                await until(lambda: len(seen.subjects) == number + 1, "it was woken")  # noqa: B023
            await until(lambda: not follower.is_behind, "it sleeps")
            await room.queue.submit(job("r9"))
            follower.wake()
            await until(lambda: "q.default.normal.r9" in seen.subjects, "it looked")

    in_room(nats_server, nats_prefix, body)


def test_nothing_is_missed_or_repeated_over_restarts_of_the_server(
    own_nats_server: NatsServer,
) -> None:
    async def body(room: Room) -> None:
        live = room.names.live(room.names.state(">"))
        follower = Follower(room.link, room.names.runs, live=(live,), pause=0.02)
        async with following(follower) as seen:
            for turn in range(3):
                for number in range(5):
                    run = job(f"r{turn}-{number}")
                    await persist(partial(room.queue.submit, run), seconds=60)
                own_nats_server.restart()
            await until(lambda: len(seen.subjects) >= 15, "all is seen")
        assert len(seen.subjects) == len(set(seen.subjects)) == 15

    in_room(own_nats_server, "tailrace", body)


def test_a_stream_that_was_made_again_is_noticed(nats_server: NatsServer, nats_prefix: str) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        known = await identity(room.link, room.names.runs)
        assert known.last == 1
        await room.link.api(f"STREAM.DELETE.{room.names.runs}")
        async with room_on(nats_server, nats_prefix):
            for first, created in ((1, known.created), (2, "")):
                follower = Follower(room.link, room.names.runs, first=first, created=created)
                with pytest.raises(StreamReplaced):
                    await anext(follower.pages())
        await room.link.api(f"STREAM.DELETE.{room.names.runs}")
        with pytest.raises(StreamReplaced):
            await anext(Follower(room.link, room.names.runs).pages())

    in_room(nats_server, nats_prefix, body)


def test_a_follower_that_is_closed_is_forgotten_by_its_connection(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        async def follow() -> weakref.ref[Follower]:
            follower = Follower(room.link, room.names.runs, pause=0.01)
            async with following(follower) as seen:
                await room.queue.submit(job("r1"))
                await until(lambda: seen.subjects, "the job is seen")
            return weakref.ref(follower)

        gone = await follow()
        gc.collect()
        assert gone() is None

    in_room(nats_server, nats_prefix, body)


def test_pages_that_are_full_follow_one_another_without_a_gap(
    nats_server: NatsServer, nats_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.jetstream.follow._PAGE", 3)

    async def body(room: Room) -> None:
        names = [f"r{number}" for number in range(10)]
        for name in names:
            await room.queue.submit(job(name))
        async with following(Follower(room.link, room.names.runs, pause=0.01)) as seen:
            await until(lambda: len(seen.subjects) >= 10 and not seen.follower.is_behind, "all")
        assert [subject.rpartition(".")[2] for subject in seen.subjects] == names

    in_room(nats_server, nats_prefix, body)
