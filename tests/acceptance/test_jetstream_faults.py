"""The queue under faults of its server: nothing that was acknowledged gets lost or done twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jetstream_room import Room, in_room, job, room_on, until, until_gone, until_taking
from jetstream_server import NatsServer
from tailrace.errors import Conflict, TransportError
from tailrace.jetstream.again import persist
from tailrace.jetstream.answers import Unreachable
from tailrace.model.remote import RunState, decode_job
from tailrace.ports import Delivery

RUNS = 150


class Worker:
    """Takes runs, claims them, writes a batch and the end of each, and settles."""

    def __init__(self, room: Room, name: str) -> None:
        self.room = room
        self.name = name
        self.done: list[str] = []
        self.executed: Counter[str] = Counter()
        self.stop = False

    async def run(self) -> None:
        while not self.stop:
            try:
                deliveries = await self.room.queue.take(["default"], most=8, wait=0.5)
            except TransportError:
                await asyncio.sleep(0.01)
                continue
            await asyncio.gather(*map(self.work, deliveries))

    async def work(self, delivery: Delivery) -> None:
        run = decode_job(delivery.body)
        states = self.room.states
        try:
            found = await persist(partial(states.read, run.run_id), seconds=60)
            if found is None or found[0].status == "RUNNING":
                claims = 1 if found is None else found[0].claims + 1
                state = RunState(job=run, status="RUNNING", claims=claims, worker_id=self.name)
                expected = 0 if found is None else found[1]
                claim = await persist(partial(states.write, state, expected=expected), seconds=60)
                self.executed[run.run_id] += 1
                batch = b"%d" % claims
                append = partial(states.append, run.run_id, claims, batch, claim=claim)
                await persist(append, seconds=60)
                state.status = "COMPLETED"
                await persist(partial(states.write, state, expected=claim), seconds=60)
            await persist(delivery.done, seconds=60)
        except Conflict:
            return  # somebody else has it
        self.done.append(run.run_id)


def _have_done(workers: list[Worker], count: int) -> bool:
    return sum(len(worker.done) for worker in workers) >= count


async def _all_over(room: Room, count: int) -> None:
    """Wait until every run is over and its message is gone."""
    subject = room.names.queues("default", "*")

    async def left() -> bool:
        states = await room.link.scan(room.names.runs, 1, subject=room.names.state("*"))
        waiting = await room.link.scan(room.names.runs, 1, subject=subject)
        return len(states) != count or bool(waiting)

    await until_gone(left, "what is left to do", seconds=100)


async def _check(room: Room, names: list[str]) -> None:
    for name in names:
        found = await room.states.read(name)
        assert found is not None, f"{name} is lost"
        assert found[0].status == "COMPLETED"
        journal = await room.states.journal(name)
        assert journal[-1] == (found[0].claims, b"%d" % found[0].claims)


def test_nothing_is_lost_while_the_server_is_killed_under_load(
    own_nats_server: NatsServer,
) -> None:
    names = [f"r{number}" for number in range(RUNS)]

    async def body(room: Room) -> None:
        async with (
            room_on(own_nats_server, ack_wait=2, timeout=2) as second,
            room_on(own_nats_server, ack_wait=2, timeout=2) as sender,
        ):
            workers = [Worker(room, "w1"), Worker(second, "w2")]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]

            async def submit() -> None:
                for name in names:
                    await persist(partial(sender.queue.submit, job(name)), seconds=60)
                    await asyncio.sleep(0.002)

            submitting = asyncio.create_task(submit())
            for count in (20, 60, 100):
                await until(partial(_have_done, workers, count), "there is load")
                await asyncio.to_thread(own_nats_server.restart)
            await submitting
            async with asyncio.timeout(60):
                await persist(partial(_all_over, sender, RUNS), seconds=60)
            for worker in workers:
                worker.stop = True
            await asyncio.gather(*tasks)
            await _check(sender, names)

    in_room(own_nats_server, "tailrace", body, ack_wait=2, timeout=2)


def test_a_frozen_server_delays_runs_and_loses_none(own_nats_server: NatsServer) -> None:
    names = [f"r{number}" for number in range(20)]

    async def body(room: Room) -> None:
        worker = Worker(room, "w1")
        working = asyncio.create_task(worker.run())
        for name in names[:10]:
            await room.queue.submit(job(name))
        await until(lambda: worker.done, "it works")
        timer = own_nats_server.stop_for(1.5)
        room.link.timeout = 0.3
        try:
            for name in names[10:]:
                await room.queue.submit(job(name))
        except Unreachable:
            await asyncio.to_thread(timer.join)
        for name in names:
            await persist(partial(room.queue.submit, job(name)), seconds=30)
        async with asyncio.timeout(60):
            await persist(partial(_all_over, room, 20), seconds=60)
        worker.stop = True
        await working
        await _check(room, names)

    in_room(own_nats_server, "tailrace", body, ack_wait=2, timeout=2)


def test_a_zombie_changes_nothing_after_another_has_claimed_its_run(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        rng = random.Random(7)
        for number in range(20):
            run = job(f"r{number}")
            await room.queue.submit(run)
            [delivery] = await room.queue.take(["default"], most=1, wait=10)
            mine = RunState(job=run, status="RUNNING", claims=1, instance_id="zombie")
            claim = await room.states.write(mine, expected=0)
            mine.claims, mine.instance_id = 2, "successor"
            theirs = await room.states.write(mine, expected=claim)
            writes = [
                room.states.append(run.run_id, 1, b"zombie", claim=claim),
                room.states.write(
                    RunState(job=run, status="COMPLETED", instance_id="zombie"), expected=claim
                ),
            ]
            rng.shuffle(writes)
            results = await asyncio.gather(*writes, return_exceptions=True)
            assert all(isinstance(one, Conflict) for one in results)
            assert await room.states.read(run.run_id) == (mine, theirs)
            assert await room.states.journal(run.run_id) == []
            await delivery.done()

    in_room(nats_server, nats_prefix, body)


def test_garbage_on_the_subjects_of_the_queue_is_handed_over_as_it_is(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        garbage = [b"", b"\xff\xfe", b"{}", b"[1]", b"x" * 500_000]
        for number, one in enumerate(garbage):
            await room.link.store(room.names.queue("default", "normal", f"g{number}"), one)
        await room.link.store(room.names.queue("default", "normal", "a.b"), b"deeper")
        await room.queue.submit(job("r1"))
        seen: list[bytes] = []
        while len(seen) < len(garbage) + 1:
            for delivery in await room.queue.take(["default"], most=10, wait=10):
                seen.append(delivery.body)
                await delivery.drop("is no job")
        assert set(garbage) < set(seen)

    in_room(nats_server, nats_prefix, body)


def test_a_consumer_that_somebody_deletes_is_made_again_under_a_waiting_worker(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        taking = asyncio.create_task(room.queue.take(["default"], most=1, wait=30))
        async with room_on(nats_server, nats_prefix) as other:
            name = room.names.consumer("default", "normal")
            call = f"{room.names.runs}.{name}"
            while True:
                try:
                    info = await other.link.api(f"CONSUMER.INFO.{call}")
                except TransportError:
                    continue
                if info["num_waiting"]:
                    break
            await other.link.api(f"CONSUMER.DELETE.{call}")
            await other.queue.submit(job("r1"))
            async with asyncio.timeout(20):
                [delivery] = await taking
        await delivery.done()

    in_room(nats_server, nats_prefix, body)


def test_a_worker_that_waits_gets_runs_after_the_server_was_restarted(
    own_nats_server: NatsServer,
) -> None:
    async def body(room: Room) -> None:
        for number in range(3):
            taking = asyncio.create_task(room.queue.take(["default"], most=1, wait=60))
            await until_taking(room)
            await asyncio.to_thread(own_nats_server.restart)
            await persist(partial(room.queue.submit, job(f"r{number}")), seconds=30)
            async with asyncio.timeout(30):
                try:
                    [delivery] = await taking
                except TransportError:
                    take = partial(room.queue.take, ["default"], most=1, wait=30)
                    [delivery] = await persist(take, seconds=30)
            assert decode_job(delivery.body).run_id == f"r{number}"
            await persist(delivery.done, seconds=10)
            await room.link.flush()

    in_room(own_nats_server, "tailrace", body, timeout=2)


def test_runs_that_were_acknowledged_outlive_a_full_disk(make_disk: Callable[[int], Path]) -> None:
    server = NatsServer(make_disk(24) / "nats")
    ballast = server.folder / "ballast"

    async def body(room: Room) -> None:
        ballast.write_bytes(b"x" * 8_000_000)
        accepted: list[str] = []

        async def fill() -> None:
            for number in range(1000):
                await room.queue.submit(job(f"r{number}", params={"text": "x" * 120_000}))
                accepted.append(f"r{number}")

        with pytest.raises(TransportError):
            await fill()
        assert accepted
        for name in accepted:
            assert await room.queue.find(name) is not None
        ballast.unlink()
        await asyncio.to_thread(server.restart)
        await persist(partial(room.queue.submit, job("after")), seconds=30)
        for name in (*accepted, "after"):
            assert await room.queue.find(name) is not None

    server.start()
    try:
        in_room(server, "tailrace", body, timeout=2)
    finally:
        server.kill()
