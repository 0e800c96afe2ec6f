"""What every queue of runs, with its states and objects, promises, whatever it is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from jetstream_server import NatsServer
from tailrace.errors import Conflict, NotFound
from tailrace.jetstream.address import Address
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.resources import Limits, ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.remote import CancelRequest, Job, RunState, decode_job
from tailrace.ports import CancelRequests, Delivery, Objects, RunStates, WorkQueue
from tailrace.testing import MemoryObjects, MemoryQueue, MemoryStates


class States(RunStates, CancelRequests, Protocol):
    """States with the wishes to cancel."""


@dataclass
class Room:
    """One queue, and what belongs to its runs."""

    queue: WorkQueue
    states: States
    objects: Objects
    ack_wait: float


Opened = Callable[[], AbstractAsyncContextManager[Room]]


@pytest.fixture(params=["memory", "jetstream"])
def opened(request: pytest.FixtureRequest) -> Opened:
    return _memory if request.param == "memory" else _jetstream(request)


@asynccontextmanager
async def _memory() -> AsyncIterator[Room]:
    states = MemoryStates()
    yield Room(MemoryQueue(states, ack_wait=0.3), states, MemoryObjects(), 0.3)


def _jetstream(request: pytest.FixtureRequest) -> Opened:
    server: NatsServer = request.getfixturevalue("nats_server")
    names = Names(request.getfixturevalue("nats_prefix"))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Room]:
        limits = Limits(ack_wait=1.0)
        link = Link(Address(urls=(server.url,)), timeout=10)
        await link.open(wait=10)
        await ensure(link, names, limits)
        queue = JetStreamQueue(link, names, limits)
        states = JetStreamStates(link, names, limits)
        yield Room(queue, states, states.objects, 1.0)
        await queue.close()
        await link.close()

    return opened


def run(opened: Opened, body: Callable[[Room], Awaitable[None]]) -> None:
    async def main() -> None:
        async with opened() as room:
            await body(room)

    asyncio.run(main())


def job(run_id: str, **more: Any) -> Job:
    return Job(run_id=run_id, flow_name="flow", **more)


async def take_one(room: Room, *tags: str, wait: float = 10) -> Delivery:
    [delivery] = await room.queue.take(tags or ("default",), most=1, wait=wait)
    return delivery


def run_id_of(delivery: Delivery) -> str:
    return decode_job(delivery.body).run_id


def test_a_submitted_run_is_handed_over_with_all_it_says(opened: Opened) -> None:
    async def body(room: Room) -> None:
        given = job("r1", params={"n": 1, "s": "ü"}, tags=("a",), tenant_id="t", policy={"x": 1})
        assert await room.queue.submit(given)
        delivery = await take_one(room)
        assert decode_job(delivery.body) == given
        assert delivery.number == 1
        assert await room.queue.load(decode_job(delivery.body)) == given

    run(opened, body)


def test_the_same_run_is_queued_once_whether_it_waits_runs_or_is_over(opened: Opened) -> None:
    async def body(room: Room) -> None:
        assert await room.queue.submit(job("r1"))
        assert not await room.queue.submit(job("r1"))
        delivery = await take_one(room)
        state = RunState(job=job("r1"), status="RUNNING", claims=1)
        sequence = await room.states.write(state, expected=0)
        assert not await room.queue.submit(job("r1"))
        state.status = "COMPLETED"
        await room.states.write(state, expected=sequence)
        await delivery.done()
        assert not await room.queue.submit(job("r1"))
        assert await room.queue.take(["default"], most=1, wait=0.05) == []

    run(opened, body)


def test_a_run_with_a_state_is_never_queued(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.states.write(RunState(job=job("r1"), status="CANCELLED"), expected=0)
        assert not await room.queue.submit(job("r1"))
        assert await room.queue.find("r1") is None

    run(opened, body)


def test_high_priorities_come_first_and_tags_in_turn(opened: Opened) -> None:
    async def body(room: Room) -> None:
        for tag in ("a", "b"):
            for priority in ("low", "normal", "high"):
                for number in range(2):
                    name = f"{priority}-{tag}-{number}"
                    await room.queue.submit(job(name, tag=tag, priority=priority))
        taken = []
        while deliveries := await room.queue.take(["a", "b"], most=1, wait=0.05):
            taken += [run_id_of(one) for one in deliveries]
        levels = [name.partition("-")[0] for name in taken]
        assert levels == ["high"] * 4 + ["normal"] * 4 + ["low"] * 4
        for level in range(0, 12, 4):
            tags = [name.split("-")[1] for name in taken[level : level + 4]]
            assert tags[0] != tags[1]

    run(opened, body)


def test_only_runs_of_the_tags_asked_for_are_handed_over(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1", tag="gpu"))
        await room.queue.submit(job("r2", tag="cpu"))
        assert run_id_of(await take_one(room, "cpu")) == "r2"
        assert await room.queue.take(["cpu"], most=1, wait=0.05) == []
        assert run_id_of(await take_one(room, "cpu", "gpu")) == "r1"

    run(opened, body)


def test_no_more_is_handed_over_than_was_asked_for_and_nothing_is_lost(opened: Opened) -> None:
    async def body(room: Room) -> None:
        for number in range(10):
            await room.queue.submit(job(f"r{number}"))
        seen: list[str] = []
        while len(seen) < 10:
            deliveries = await room.queue.take(["default"], most=4, wait=10)
            assert 0 < len(deliveries) <= 4
            seen += [run_id_of(one) for one in deliveries]
            for one in deliveries:
                await one.done()
        assert sorted(seen) == [f"r{number}" for number in range(10)]
        assert await room.queue.take(["default"], most=4, wait=0) == []

    run(opened, body)


def test_who_waits_is_handed_a_run_as_soon_as_it_is_submitted(opened: Opened) -> None:
    async def body(room: Room) -> None:
        waiting = asyncio.create_task(room.queue.take(["default"], most=5, wait=30))
        await asyncio.sleep(0.05)  # either order must do; this lets it wait
        await room.queue.submit(job("r1"))
        async with asyncio.timeout(10):
            [delivery] = await waiting
        assert run_id_of(delivery) == "r1"

    run(opened, body)


def test_a_take_that_is_cancelled_loses_nothing(opened: Opened) -> None:
    async def body(room: Room) -> None:
        for number in range(20):
            taking = asyncio.create_task(room.queue.take(["default"], most=3, wait=10))
            await asyncio.sleep(0.001 * (number % 4))
            submitting = asyncio.create_task(room.queue.submit(job(f"r{number}")))
            await asyncio.sleep(0.001 * (number % 3))
            taking.cancel()
            await submitting
            done, _ = await asyncio.wait({taking})
            for task in done:
                if not task.cancelled():
                    for delivery in task.result():
                        await delivery.give_back()
        seen: set[str] = set()
        while len(seen) < 20:
            for delivery in await room.queue.take(["default"], most=20, wait=10):
                seen.add(run_id_of(delivery))
                await delivery.done()

    run(opened, body)


def test_a_delivery_nobody_settles_is_made_again(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        assert (await take_one(room)).number == 1
        again = await take_one(room)
        assert (run_id_of(again), again.number) == ("r1", 2)
        await again.done()
        assert await room.queue.take(["default"], most=1, wait=room.ack_wait * 1.5) == []

    run(opened, body)


def test_a_delivery_that_is_extended_is_not_made_again(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        delivery = await take_one(room)
        for _ in range(5):
            assert await room.queue.take(["default"], most=1, wait=room.ack_wait / 3) == []
            await delivery.extend()

    run(opened, body)


def test_what_is_given_back_comes_again_at_once_or_after_its_delay(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        await (await take_one(room)).give_back()
        again = await take_one(room, wait=room.ack_wait / 2)
        assert again.number == 2
        await again.give_back(0.4)
        assert await room.queue.take(["default"], most=1, wait=0.05) == []
        assert (await take_one(room)).number == 3

    run(opened, body)


def test_what_is_dropped_never_comes_again(opened: Opened) -> None:
    async def body(room: Room) -> None:
        await room.queue.submit(job("r1"))
        await (await take_one(room)).drop("is no\njob")
        assert await room.queue.take(["default"], most=1, wait=room.ack_wait * 1.5) == []
        assert await room.queue.find("r1") is None

    run(opened, body)


def test_a_run_for_later_waits_until_then_and_can_be_found(opened: Opened) -> None:
    async def body(room: Room) -> None:
        start = time.time()
        given = job("r1", run_at=start + 0.6, priority="high", tag="gpu")
        assert await room.queue.submit(given)
        assert not await room.queue.submit(given)
        assert await room.queue.find("r1") == given
        assert run_id_of(await take_one(room, "gpu")) == "r1"
        assert time.time() >= start + 0.55
        assert not await room.queue.submit(given)

    run(opened, body)


def test_a_run_for_an_instant_that_has_passed_is_queued_at_once(opened: Opened) -> None:
    async def body(room: Room) -> None:
        assert await room.queue.submit(job("r1", run_at=time.time() - 100))
        assert run_id_of(await take_one(room)) == "r1"

    run(opened, body)


def test_a_run_that_waits_can_be_found_and_withdrawn_once(opened: Opened) -> None:
    async def body(room: Room) -> None:
        later = time.time() + 0.5
        for given in (job("r1"), job("r2", run_at=later), job("r3", tag="gpu", priority="low")):
            await room.queue.submit(given)
            assert await room.queue.find(given.run_id) == given
            assert await room.queue.withdraw(given.run_id)
            assert not await room.queue.withdraw(given.run_id)
            assert await room.queue.find(given.run_id) is None
        assert await room.queue.take(["default", "gpu"], most=3, wait=0.8) == []

    run(opened, body)


def test_a_state_is_written_over_the_one_that_was_read_only(opened: Opened) -> None:
    async def body(room: Room) -> None:
        states = room.states
        assert await states.read("r1") is None
        first = await states.write(RunState(job=job("r1"), claims=1), expected=0)
        with pytest.raises(Conflict):
            await states.write(RunState(job=job("r1"), claims=9), expected=0)
        second = await states.write(RunState(job=job("r1"), claims=2), expected=first)
        assert second > first
        with pytest.raises(Conflict):
            await states.write(RunState(job=job("r1"), claims=9), expected=first)
        found = await states.read("r1")
        assert found is not None
        assert (found[0].claims, found[1]) == (2, second)

    run(opened, body)


def test_a_write_can_be_repeated_when_its_answer_was_lost(opened: Opened) -> None:
    async def body(room: Room) -> None:
        state = RunState(job=job("r1"), claims=1, worker_id="w1")
        first = await room.states.write(state, expected=0)
        assert await room.states.write(state, expected=0) == first

    run(opened, body)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
def test_a_state_that_is_terminal_is_final(opened: Opened, status: str) -> None:
    async def body(room: Room) -> None:
        sequence = await room.states.write(RunState(job=job("r1"), status=status), expected=0)
        with pytest.raises(Conflict):
            await room.states.write(RunState(job=job("r1"), status="RUNNING"), expected=sequence)
        found = await room.states.read("r1")
        assert found is not None
        assert found[0].status == status

    run(opened, body)


def test_of_many_claims_one_succeeds(opened: Opened) -> None:
    async def body(room: Room) -> None:
        async def claim(number: int) -> bool:
            state = RunState(job=job("r1"), status="RUNNING", instance_id=str(number))
            try:
                await room.states.write(state, expected=0)
            except Conflict:
                return False
            return True

        assert sum(await asyncio.gather(*map(claim, range(20)))) == 1

    run(opened, body)


def test_a_journal_is_written_by_who_holds_the_claim_only(opened: Opened) -> None:
    async def body(room: Room) -> None:
        states = room.states
        mine = await states.write(RunState(job=job("r1"), instance_id="1"), expected=0)
        await states.append("r1", 1, b"one", claim=mine)
        await states.append("r1", 1, b"one", claim=mine)
        theirs = await states.write(RunState(job=job("r1"), instance_id="2"), expected=mine)
        with pytest.raises(Conflict):
            await states.append("r1", 2, b"of a zombie", claim=mine)
        await states.append("r1", 2, b"two", claim=theirs)
        assert await states.journal("r1") == [(1, b"one"), (2, b"two")]
        assert await states.journal("r2") == []

    run(opened, body)


def test_a_journal_of_any_length_is_read_in_order_whole(opened: Opened) -> None:
    async def body(room: Room) -> None:
        claim = await room.states.write(RunState(job=job("r1")), expected=0)
        await room.states.write(RunState(job=job("r10")), expected=0)
        numbers = range(1, 1201)
        for start in range(0, 1200, 100):
            await asyncio.gather(
                *(
                    room.states.append("r1", number, b"%d" % number, claim=claim)
                    for number in numbers[start : start + 100]
                )
            )
        large = b"x" * 3_000_000
        await room.states.append("r1", 1201, large, claim=claim)
        found = await room.states.journal("r1")
        assert found == [(number, b"%d" % number) for number in numbers] + [(1201, large)]

    run(opened, body)


def test_large_batches_are_read_whole(opened: Opened) -> None:
    async def body(room: Room) -> None:
        claim = await room.states.write(RunState(job=job("r1")), expected=0)
        batches = [(number, bytes([number]) * 400_000) for number in range(1, 41)]
        for number, batch in batches:
            await room.states.append("r1", number, batch, claim=claim)
        assert await room.states.journal("r1") == batches

    run(opened, body)


def test_the_first_wish_to_cancel_stays_and_workers_hear_of_it(opened: Opened) -> None:
    async def body(room: Room) -> None:
        heard: list[tuple[str, CancelRequest]] = []
        told = asyncio.Event()

        def hear(run_id: str, request: CancelRequest) -> None:
            heard.append((run_id, request))
            told.set()

        await room.states.on_cancel(hear)
        assert await room.states.cancel_request("r1") is None
        first = CancelRequest(at=1.0, by="me", reason="no longer wanted")
        assert await room.states.request_cancel("r1", first) == first
        async with asyncio.timeout(10):
            await told.wait()
        assert await room.states.request_cancel("r1", CancelRequest(at=2.0)) == first
        assert await room.states.cancel_request("r1") == first
        assert heard[0] == ("r1", first)

    run(opened, body)


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 3_000_001])
def test_an_object_is_found_under_the_name_of_what_it_holds(opened: Opened, size: int) -> None:
    async def body(room: Room) -> None:
        data = bytes(number % 251 for number in range(size))
        name = await room.objects.put(data)
        assert await room.objects.put(data) == name
        assert await room.objects.get(name) == data
        with pytest.raises(NotFound):
            await room.objects.get("0" * 64)

    run(opened, body)


def test_params_of_any_size_travel_with_a_run(opened: Opened) -> None:
    async def body(room: Room) -> None:
        given = job("r1", params={"text": "x" * 5_000_000}, workflow_yaml="tasks: {}")
        assert await room.queue.submit(given)
        delivery = await take_one(room)
        assert await room.queue.load(decode_job(delivery.body)) == given
        found = await room.queue.find("r1")
        assert found is not None
        assert await room.queue.load(found) == given

    run(opened, body)
