"""Claims and ends of runs that are sent without a task of their own, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tailrace.errors import Conflict, StoreError
from tailrace.model.journal import NodeFinished, RunFinished, RunStarted
from tailrace.model.remote import Job, RunState
from tailrace.testing import MemoryStates
from tailrace.worker.journal import Entry
from tailrace.worker.lineage import read_journal
from writer_bench import RUN, Bench, ended, finished, started, through


class Brisk(MemoryStates):
    """Stores at once; the answers come later, or are lost."""

    def __init__(self, *, loses: bool = False) -> None:
        super().__init__()
        self.asked = self.repeated = 0
        self._loses = loses

    def write_soon(
        self, state: RunState, *, expected: int, told: Callable[[int | None], None]
    ) -> bool:
        self.asked += 1
        sequence = self.put(state, expected)
        asyncio.get_running_loop().call_soon(told, None if self._loses else sequence)
        return True

    def put(self, state: RunState, expected: int) -> int | None:
        writing = super().write(state, expected=expected)
        try:
            writing.send(None)
        except StopIteration as end:
            return int(end.value)
        except Conflict:
            return None
        raise AssertionError("it waits for nothing")

    async def write(self, state: RunState, *, expected: int) -> int:
        self.repeated += 1
        return await super().write(state, expected=expected)


@pytest.mark.parametrize("loses", [False, True])
def test_claim_and_end_are_sent_at_once_and_repeated_where_no_answer_comes(*, loses: bool) -> None:
    async def test() -> None:
        states = Brisk(loses=loses)
        bench = Bench(states)
        await bench.write(started())
        assert bench.writer.is_claimed
        await bench.write(finished(2), ended())
        await bench.writer.settled()
        state = await bench.stored()
        assert (state.status, state.batches, len(state.journal)) == ("COMPLETED", 2, 2)
        assert (states.asked, states.repeated) == (2, 2 if loses else 0)
        assert bench.watch.has_ended

    asyncio.run(test())


@through
async def test_a_claim_that_was_sent_at_once_and_refused_is_lost() -> None:
    states = Brisk()
    other = RunState(job=Job(run_id=RUN, flow_name="f"), status="RUNNING", worker_id="w2")
    await states.write(other, expected=0)
    bench = Bench(states)
    with pytest.raises(StoreError, match="taken over"):
        await bench.write(started())
    assert bench.watch.error is not None
    assert (await bench.stored()).worker_id == "w2"


@through
async def test_what_waits_for_the_answer_to_a_claim_is_written_after_it() -> None:
    bench = Bench(Brisk())
    entries = [Entry([started()]), Entry([finished(2)]), Entry([finished(4), ended()])]
    waiting = [entry.prepare_to_await() for entry in entries]
    for entry in entries:
        bench.writer.take(entry)
    await asyncio.gather(*waiting)
    kinds = [type(one) for one in await read_journal(bench.states, RUN)]
    assert kinds == [RunStarted, NodeFinished, NodeFinished, RunFinished]
    assert (await bench.stored()).status == "COMPLETED"
