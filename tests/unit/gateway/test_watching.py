"""Events of a run: made once, written to all, and nobody who is slow misses the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, cast

import pytest

from tailrace.errors import TransportError
from tailrace.gateway.known import KnownRun, RunLookup
from tailrace.gateway.seat import Seat
from tailrace.gateway.watching import Shows, Wish, event_id
from tailrace.jetstream.live import LiveStates, Watcher
from tailrace.model.remote import CancelRequest, Job, RunState

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in a loop of its own."""

    @wraps(test)
    def run(*args: P.args, **more: P.kwargs) -> None:
        asyncio.run(test(*args, **more))

    return run


JOB = Job(run_id="r1", flow_name="f")


def state(status: str) -> RunState:
    return RunState(job=JOB, status=status)


RUNNING = KnownRun(job=JOB, state=state("RUNNING"), sequence=5, stored_at=1.0)
ENDED = KnownRun(job=JOB, state=state("COMPLETED"), sequence=9, stored_at=2.0)


class Live:
    """Watchers, told by the test."""

    def __init__(self) -> None:
        self.watchers: list[Watcher] = []
        self.begun = asyncio.Event()

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncIterator[Watcher]:
        assert run_id == "r1"
        self.watchers.append(watcher := Watcher())
        self.begun.set()
        yield watcher

    def tell(self, status: str, sequence: int) -> None:
        for watcher in self.watchers:
            watcher.offer(state(status), sequence, 2.0)


class Line:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.seat: Seat | None = None
        self.is_full = False
        self.written: list[bytes] = []

    def write_now(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        raise AssertionError

    def kinds(self) -> list[str]:
        """Return the kinds of events and the states in them."""
        found = []
        for chunk in self.written:
            size, _, rest = chunk.partition(b"\r\n")
            assert int(size, 16) == len(rest) - 2
            name = rest.split(b"\n")[0].removeprefix(b"event: ").decode()
            status = [one for one in ("RUNNING", "COMPLETED", "CANCELLING") if one in str(rest)]
            found.append(" ".join([name, *status[-1:]]))
        return found


def shows(live: Live) -> Shows:
    return Shows(cast("LiveStates", live), cast("RunLookup", None))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@in_loop
async def test_all_are_told_of_a_change_and_the_end_with_the_same_bytes() -> None:
    live, lines = Live(), [Line() for _ in range(3)]
    theatre, wish = shows(live), Wish()
    seats = [Seat(line) for line in lines]
    async with (
        theatre.seated(seats[0], RUNNING, wish),
        theatre.seated(seats[1], RUNNING, wish),
        theatre.seated(seats[2], RUNNING, Wish(full_states=True)),
    ):
        await turns()
        live.tell("COMPLETED", 9)
        await turns()
        assert all(seat.over.done() and seat.over.result() for seat in seats)
    assert [line.kinds() for line in lines] == [["snapshot RUNNING", "snapshot COMPLETED"]] * 3
    assert lines[0].written[-1] is not lines[1].written[-1]
    assert lines[0].written[-1] == lines[1].written[-1]
    assert len(live.watchers) == 2  # one for each form


@in_loop
async def test_who_is_slow_is_told_the_newest_when_there_is_room() -> None:
    live, line = Live(), Line()
    async with shows(live).seated(seat := Seat(line), RUNNING, Wish()):
        await turns()
        line.is_full = True
        live.tell("RUNNING", 7)
        await turns()
        live.tell("COMPLETED", 9)
        await turns()
        assert seat.over.done()
        assert line.kinds() == ["snapshot RUNNING"]
        line.is_full = False
        seat.has_room()
        seat.has_room()
    assert line.kinds() == ["snapshot RUNNING", "snapshot COMPLETED"]


@in_loop
async def test_who_has_seen_the_last_event_gets_a_sign_of_life() -> None:
    live, line = Live(), Line()
    wish = Wish(last_event=event_id(RUNNING))
    async with shows(live).seated(Seat(line), RUNNING, wish):
        assert line.kinds() == ["heartbeat"]
        await turns()
        live.watchers[0].offer_cancel(CancelRequest(at=1.0))
        await turns()
    assert line.kinds() == ["heartbeat", "snapshot CANCELLING"]


@in_loop
async def test_who_comes_with_news_brings_them_to_the_others() -> None:
    live, first, second = Live(), Line(), Line()
    theatre = shows(live)
    async with (
        theatre.seated(Seat(first), RUNNING, Wish()),
        theatre.seated(late := Seat(second), ENDED, Wish()),
    ):
        assert late.over.done()
    assert first.kinds() == ["snapshot RUNNING", "snapshot COMPLETED"]
    assert second.kinds() == ["snapshot COMPLETED"]


@in_loop
async def test_what_is_pumped_is_sent_before_the_end() -> None:
    sent: list[bytes] = []

    async def send(message: dict[str, bytes]) -> None:
        await asyncio.sleep(0)
        sent.append(message["body"])

    seat = Seat(None)
    seat.put(b"one")
    seat.put(b"two")
    seat.end()
    await seat.pump(send)
    assert sent == [b"one", b"two"]


@in_loop
async def test_trouble_with_nats_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.gateway.watching.HEARTBEAT", 0.001)
    live, line = Live(), Line()
    watch, tries = live.watch, iter([True, True])

    @asynccontextmanager
    async def away(run_id: str) -> AsyncIterator[Watcher]:
        if next(tries, False):
            raise TransportError("away", code="TR400")
        async with watch(run_id) as watcher:
            yield watcher

    monkeypatch.setattr(live, "watch", away)
    async with shows(live).seated(seat := Seat(line), RUNNING, Wish()):
        async with asyncio.timeout(10):
            await live.begun.wait()
            live.tell("COMPLETED", 9)
            assert await seat.over
    assert line.kinds()[0] == "snapshot RUNNING"
    assert line.kinds()[-1] == "snapshot COMPLETED"
    assert "heartbeat" in line.kinds()
