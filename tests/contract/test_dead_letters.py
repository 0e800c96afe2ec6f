"""What every keeper of dead letters promises about their life, whatever it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream_room import room_on
from jetstream_server import NatsServer
from tailrace.errors import NotFound, StoreError
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter, Redrive
from tailrace.model.remote import StoredLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteStore
from tailrace.testing.memory import MemoryStore

ANY = FailureFilter()
MINUTE = 60_000_000_000


class Local:
    """A keeper whose methods do not have to be awaited, and may be."""

    def __init__(self, log: Any, letters: Any) -> None:
        self._log = log
        self._letters = letters

    async def put(self, letter: DeadLetter) -> None:
        self._log.record([], [letter])

    def __getattr__(self, name: str) -> Any:
        async def call(*given: Any, **more: Any) -> Any:
            return getattr(self._letters, name)(*given, **more)

        return call


class Distributed:
    """Letters in a stream."""

    def __init__(self, letters: JetStreamLetters) -> None:
        self._letters = letters

    async def put(self, letter: DeadLetter) -> None:
        stored = StoredLetter(
            letter_id=letter.dl_id,
            timestamp=letter.created_ns / 1e9,
            reason="execution_error",
            error=letter.message,
            letter=msgspec.msgpack.encode(letter),
        )
        await self._letters.put(stored)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._letters, name)


Run = Callable[[Callable[[Any], Awaitable[None]]], None]


@pytest.fixture(params=["memory", "sqlite", "jetstream"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    if request.param == "jetstream":
        server: NatsServer = request.getfixturevalue("nats_server")
        prefix = request.getfixturevalue("nats_prefix")

        async def main(body: Callable[[Any], Awaitable[None]]) -> None:
            async with room_on(server, prefix) as room:
                await body(Distributed(room.letters))

        yield lambda body: asyncio.run(main(body))
        return
    if request.param == "memory":
        memory = MemoryStore()
        yield lambda body: asyncio.run(_awaited(body(Local(memory, memory))))
        return
    store = SqliteStore(tmp_path / "runs.db")
    log, letters = SqliteFailureLog(store.path), SqliteDeadLetters(store.path)
    yield lambda body: asyncio.run(_awaited(body(Local(log, letters))))
    log.close()
    letters.close()
    store.close()


async def _awaited(body: Awaitable[None]) -> None:
    await body


def letter(number: int) -> DeadLetter:
    return DeadLetter(
        dl_id=f"DL-{new_sortable()}",
        task_key=f"event-{number}",
        kind="event",
        flow="orders",
        message=f"number {number}",
        payload_ref="inline",
        payload={"n": number},
        created_ns=number * MINUTE,
        updated_ns=number * MINUTE,
    )


def order(batch_id: str = "B-1") -> Redrive:
    return Redrive(dl_id="", generation=0, batch_id=batch_id, actor="me")


def ids(letters: list[DeadLetter]) -> list[str]:
    return [one.dl_id for one in letters]


def test_letters_come_back_as_they_were_newest_first(run: Run) -> None:
    async def body(keeper: Any) -> None:
        given = [letter(number) for number in range(1, 4)]
        for one in given:
            await keeper.put(one)
        found = await keeper.letters(ANY)
        assert ids(found) == ids(given[::-1])
        assert found[0].payload == {"n": 3}
        assert ids(await keeper.letters(ANY, limit=2)) == ids(given[:0:-1])
        assert ids(await keeper.letters(FailureFilter(since_ns=2 * MINUTE))) == ids(given[:0:-1])
        assert await keeper.letters(FailureFilter(flow="others")) == []
        assert (await keeper.letter(given[1].dl_id)).message == "number 2"
        with pytest.raises(NotFound):
            await keeper.letter("DL-")

    run(body)


def test_the_oldest_open_letters_are_claimed_first_each_once(run: Run) -> None:
    async def body(keeper: Any) -> None:
        given = [letter(number) for number in range(1, 5)]
        for one in given:
            await keeper.put(one)
        first = await keeper.claim(ANY, order(), limit=3)
        assert ids(first) == ids(given[:3])
        assert {(one.state, one.generation) for one in first} == {("redriving", 1)}
        assert ids(await keeper.claim(ANY, order("B-2"), limit=3)) == ids(given[3:])
        assert await keeper.claim(ANY, order("B-3"), limit=3) == []
        assert await keeper.letters(ANY) == []
        assert len(await keeper.letters(FailureFilter(state="redriving"))) == 4

    run(body)


def test_a_redrive_ends_once_and_a_failed_one_opens_the_letter_for_another_batch(run: Run) -> None:
    async def body(keeper: Any) -> None:
        await keeper.put(letter(1))
        [claimed] = await keeper.claim(ANY, order(), limit=1)
        await keeper.settle(claimed, "failed", failure=None)
        [opened] = await keeper.letters(ANY)
        assert (opened.state, opened.generation) == ("open", 1)
        assert await keeper.claim(ANY, order(), limit=1) == []
        [again] = await keeper.claim(ANY, order("B-2"), limit=1)
        assert again.generation == 2
        await keeper.settle(claimed, "resolved", failure=None)
        assert (await keeper.letter(again.dl_id)).state == "redriving"
        await keeper.settle(again, "resolved", failure=None)
        assert (await keeper.letter(again.dl_id)).state == "resolved"
        with pytest.raises(StoreError):
            await keeper.settle(again, "somehow", failure=None)

    run(body)


def test_letters_are_parked_opened_again_and_discarded_with_a_reason(run: Run) -> None:
    async def body(keeper: Any) -> None:
        given = [letter(number) for number in range(1, 3)]
        for one in given:
            await keeper.put(one)
        first = FailureFilter(ids=(given[0].dl_id,))
        [parked] = await keeper.change(first, "park", actor="me", reason="later")
        assert (parked.dl_id, parked.state) == (given[0].dl_id, "parked")
        assert ids(await keeper.claim(ANY, order(), limit=9)) == ids(given[1:])
        [opened] = await keeper.change(first, "reopen", actor="me", reason="now")
        assert opened.state == "open"
        for action, reason in (("discard", " "), ("burn", "x")):
            with pytest.raises(StoreError):
                await keeper.change(first, action, actor="me", reason=reason)
        [gone] = await keeper.change(first, "discard", actor="me", reason="no use")
        assert gone.state == "discarded"
        assert await keeper.letters(ANY) == []
        assert ids(await keeper.letters(first)) == [given[0].dl_id]

    run(body)
