"""Of which runs a worker knows without asking that nobody wants them cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tailrace.errors import TransportError
from tailrace.model.remote import CancelRequest, Job
from tailrace.ports import Delivery
from tailrace.worker import wishes as module
from tailrace.worker.transport import Reachability, Transport
from tailrace.worker.wishes import Wishes

WISH = CancelRequest(at=1.0)


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]  # a coroutine

    return run


class Nats:
    """A stream of which the newest sequence can be asked for, and where wishes are heard."""

    def __init__(self) -> None:
        self.last = 100
        self.looks = 0
        self.is_away = False
        self.handler: Callable[[str, CancelRequest], None] = lambda *_: None
        self.flags: dict[str, CancelRequest] = {}

    async def on_cancel(self, handler: Callable[[str, CancelRequest], None]) -> None:
        self.handler = handler

    async def newest(self) -> int:
        self.looks += 1
        if self.is_away:
            raise TransportError("away")
        return self.last

    async def wishes(self, run_ids: Sequence[str]) -> dict[str, CancelRequest]:
        return {run_id: self.flags[run_id] for run_id in run_ids if run_id in self.flags}


@dataclass
class Delivered:
    sequence: int
    number: int = 1


class Room:
    def __init__(self) -> None:
        self.nats = Nats()
        self.here: set[str] = set()
        self.tasks: list[asyncio.Task[Any]] = []
        self.reachability = Reachability()
        transport = SimpleNamespace(
            states=self.nats,
            reachability=self.reachability,
            newest=self.nats.newest,
            wishes=self.nats.wishes,
        )
        self.wishes = Wishes(
            cast("Transport", transport), lambda run_id, _: run_id in self.here, self.tasks.append
        )

    def rules_out(self, sequence: int, *, number: int = 1, **job: Any) -> bool:
        given = {"run_id": "r1", "flow_name": "f"} | job
        delivery = cast("Delivery", Delivered(sequence, number))
        return self.wishes.rules_out(delivery, Job(**given))


@in_loop
async def test_only_runs_queued_since_wishes_are_heard_need_not_be_asked_about() -> None:
    room = Room()
    assert not room.rules_out(101)
    await room.wishes.listen()
    assert not room.rules_out(100)
    assert room.rules_out(101)
    assert not room.rules_out(101, number=2)
    assert not room.rules_out(101, run_at=5.0)


@in_loop
async def test_a_run_of_which_a_wish_was_heard_before_it_came_is_asked_about() -> None:
    room = Room()
    await room.wishes.listen()
    room.nats.handler("r1", WISH)
    room.here.add("r2")
    room.nats.handler("r2", WISH)
    assert not room.rules_out(101)
    assert room.rules_out(102, run_id="r2")  # whoever has it was told
    room.nats.flags["r1"] = WISH
    assert await room.wishes.ask(["r1", "r3"]) == {"r1": WISH}


@in_loop
async def test_after_a_lost_connection_it_is_found_out_anew_how_far_the_stream_goes() -> None:
    room = Room()
    await room.wishes.listen()
    room.reachability.changed(up=False)
    room.reachability.changed(up=True)
    room.nats.last = 200
    assert not room.rules_out(201)
    await asyncio.gather(*room.tasks)
    assert not room.rules_out(150)
    assert room.rules_out(201)
    assert room.nats.looks == 2


@in_loop
async def test_a_connection_lost_while_it_is_found_out_counts() -> None:
    room = Room()
    listening = asyncio.create_task(room.wishes.listen())
    room.nats.is_away = True
    await listening
    room.nats.is_away = False
    assert not room.rules_out(101)
    room.reachability.changed(up=False)
    await asyncio.gather(*room.tasks)
    assert room.rules_out(101)
    room.reachability.changed(up=True)
    assert not room.rules_out(101)


def test_more_wishes_than_can_be_remembered_make_it_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_HEARD", 2)

    async def test() -> None:
        room = Room()
        await room.wishes.listen()
        for number in range(3):
            room.nats.handler(f"other{number}", WISH)
        room.nats.last = 110
        assert not room.rules_out(105)
        await asyncio.gather(*room.tasks)
        assert not room.rules_out(105)
        assert room.rules_out(111)

    asyncio.run(test())
