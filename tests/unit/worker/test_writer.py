"""The write side of a run: claims, fences, batches, and what travels inside a state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tailrace.errors import StoreError, TransportError
from tailrace.model import RunStatus
from tailrace.model.journal import Logged, NodeFinished, RunFinished, RunStarted
from tailrace.model.remote import CancelRequest
from tailrace.testing import MemoryStates
from tailrace.tracing.wire import decode
from tailrace.worker.journal import Entry
from tailrace.worker.lineage import read_journal
from writer_bench import RUN, Bench, ended, finished, started, through


@through
async def test_a_short_run_is_two_states_and_no_batch_of_its_own() -> None:
    bench = Bench()
    await bench.write(started())
    assert (await bench.stored()).status == "RUNNING"
    await bench.write(finished(2), ended())
    state = await bench.stored()
    assert (state.status, state.batches, len(state.journal)) == ("COMPLETED", 2, 2)
    assert await bench.numbers() == []
    assert bench.watch.has_ended
    assert [type(one) for one in await read_journal(bench.states, RUN)] == [
        RunStarted, NodeFinished, RunFinished,
    ]  # fmt: skip


@through
async def test_batches_between_are_messages_and_those_inside_a_state_are_stored_before() -> None:
    bench = Bench()
    await bench.write(started())
    for number in (2, 4, 6):
        await bench.write(finished(number))
    assert await bench.numbers() == [1, 2, 3, 4]
    await bench.write(ended())
    state = await bench.stored()
    assert (state.batches, len(state.journal)) == (5, 1)
    assert len(await read_journal(bench.states, RUN)) == 5


@through
async def test_what_is_handed_over_while_a_write_is_under_way_goes_together() -> None:
    bench = Bench()
    await bench.write(started())
    await asyncio.gather(*(bench.write(finished(number)) for number in range(2, 20, 2)))
    assert len(await bench.numbers()) <= 3
    assert len(await read_journal(bench.states, RUN)) == 10


@through
async def test_a_large_batch_is_never_inside_a_state() -> None:
    bench = Bench()
    await bench.write(started(), finished(2, b"x" * 200_000))
    await bench.write(finished(4, b"y" * 200_000), ended())
    state = await bench.stored()
    assert state.journal == ()
    assert await bench.numbers() == [1, 2]
    assert len(await read_journal(bench.states, RUN)) == 4


@through
async def test_a_writer_whose_claim_is_lost_changes_nothing_and_says_so() -> None:
    bench = Bench()
    await bench.write(started())
    found = await bench.states.read(RUN)
    assert found is not None
    other, sequence = found
    other.worker_id = "w2"
    await bench.states.write(other, expected=sequence)
    with pytest.raises(StoreError, match="taken over"):
        await bench.write(finished(2))
    assert bench.watch.error is not None
    assert (await bench.stored()).worker_id == "w2"
    assert await bench.numbers() == []
    with pytest.raises(StoreError):
        await bench.write(ended())


@through
async def test_while_nats_is_away_the_run_waits_and_its_batches_are_spooled() -> None:
    class Away(MemoryStates):
        tries = 0

        async def append(self, run_id: str, number: int, batch: bytes, *, claim: int) -> None:
            self.tries += 1
            if self.tries < 5:
                raise TransportError("away")
            await super().append(run_id, number, batch, claim=claim)

    bench = Bench(Away())
    await bench.write(started())
    await bench.write(finished(2))
    assert bench.patience.waits == 2
    assert set(bench.spool.kept) == {1, 2}
    assert bench.spool.dropped == 1
    assert await bench.numbers() == [1, 2]


@through
async def test_a_wish_to_cancel_is_shown_at_once_and_the_end_wins() -> None:
    bench = Bench()
    await bench.write(started())
    bench.writer.wish_cancelled(CancelRequest(at=5.0, by="me", reason="enough"))
    await bench.writer.settled()
    state = await bench.stored()
    assert (state.status, state.cancel_requested_by) == ("CANCELLING", "me")
    await bench.write(ended(RunStatus.CANCELLED))
    assert (await bench.stored()).status == "CANCELLED"


@through
async def test_a_run_that_must_not_begin_is_cancelled_without_a_node() -> None:
    bench = Bench()

    class Closed:
        def is_open(self) -> bool:
            return False

        def tell(self, known: Callable[[], None]) -> bool:
            del known
            return False

        def __await__(self) -> Generator[Any, None, bool]:
            bench.writer.wish_cancelled(CancelRequest(at=5.0, reason="not wanted"))
            return False
            yield  # type: ignore[unreachable]  # makes it a generator

    bench.writer.gate = Closed()
    with pytest.raises(StoreError, match="before it started"):
        await bench.write(started(), finished(2))
    await bench.writer.settled()
    assert (await bench.stored()).status == "CANCELLED"
    records = await read_journal(bench.states, RUN)
    assert [type(one) for one in records] == [RunStarted, RunFinished]


@through
async def test_a_run_that_is_handed_back_belongs_to_nobody() -> None:
    bench = Bench()
    await bench.write(started())
    assert await bench.writer.hand_back()
    state = await bench.stored()
    assert (state.status, state.worker_id, state.instance_id) == ("RUNNING", None, None)
    assert [type(one) for batch in state.journal for one in decode(batch)] == [RunStarted]


@through
async def test_a_writer_that_goes_on_numbers_from_where_the_journal_ends() -> None:
    before = Bench()
    await before.write(started())
    await before.write(finished(2))
    found = await before.states.read(RUN)
    assert found is not None
    state, sequence = found
    state.batches = 2
    after = Bench(before.states, state=state, expected=sequence)
    await after.write(finished(4))
    await after.write(ended())
    assert len(await read_journal(after.states, RUN)) == 4


@through
async def test_notes_alone_are_written_too() -> None:
    bench = Bench()
    await bench.write(started())
    bench.writer.take(Entry([Logged(1, time.time_ns(), "log", {"message": "hi"})]))
    await bench.writer.settled()
    assert len(await read_journal(bench.states, RUN)) == 2
