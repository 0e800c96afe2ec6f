"""What a writer does while NATS is away for long, and with what it will never take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from tailrace.errors import StoreError, TransportError
from tailrace.jetstream.answers import Denied, NotReady, Refused, Unreachable, is_final
from tailrace.model.journal import EventsDropped, Logged
from tailrace.model.remote import RunState
from tailrace.testing import MemoryStates
from tailrace.tracing.wire import decode
from tailrace.worker.journal import Entry, RemoteJournal
from tailrace.worker.lineage import read_journal
from tailrace.worker.mailbox import Mailbox
from writer_bench import RUN, Bench, ended, finished, started, through


class Moody(MemoryStates):
    """States that are away, or refuse, when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: TransportError | None = None
        self.states: TransportError | None = None

    async def append(self, run_id: str, number: int, batch: bytes, *, claim: int) -> None:
        if self.batches is not None:
            raise self.batches
        await super().append(run_id, number, batch, claim=claim)

    async def write(self, state: RunState, *, expected: int) -> int:
        if self.states is not None:
            raise self.states
        return await super().write(state, expected=expected)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - no event of its own
            await asyncio.sleep(0)


@through
async def test_what_waits_behind_a_write_that_hangs_is_on_disk_as_the_batch_it_will_be() -> None:
    states = Moody()
    bench = Bench(states)
    await bench.write(started())
    states.batches = Unreachable("away")
    first = asyncio.create_task(bench.write(finished(2)))
    await until(lambda: 2 in bench.spool.kept)
    others = [asyncio.create_task(bench.write(finished(number))) for number in (4, 6)]
    await until(lambda: 4 in bench.spool.kept)
    assert sorted(bench.spool.kept) == [1, 2, 3, 4]
    assert not any(task.done() for task in (first, *others))
    states.batches = None
    await asyncio.gather(first, *others)
    await bench.writer.settled()
    assert dict(await states.journal(RUN)) == bench.spool.kept
    assert bench.spool.dropped == 1
    await bench.write(ended())
    assert len(await read_journal(states, RUN)) == 5
    assert len(bench.spool.kept) == 4  # nothing more, once it is back


@through
async def test_the_end_that_waits_behind_a_write_is_on_disk_too() -> None:
    states = Moody()
    bench = Bench(states)
    await bench.write(started())
    states.batches = NotReady("no leader")
    first = asyncio.create_task(bench.write(finished(2)))
    await until(lambda: 2 in bench.spool.kept)
    last = asyncio.create_task(bench.write(ended()))
    await until(lambda: 3 in bench.spool.kept)
    assert [type(one).__name__ for one in decode(bench.spool.kept[3])] == ["RunFinished"]
    states.batches = None
    await asyncio.gather(first, last)
    assert (await bench.stored()).status == "COMPLETED"


@through
async def test_what_will_never_be_taken_ends_the_run_by_that() -> None:
    states = Moody()
    bench = Bench(states)
    await bench.write(started())
    states.batches = Denied("NATS does not allow publishing to j")
    with pytest.raises(StoreError, match="does not allow") as caught:
        await bench.write(finished(2))
    assert caught.value.code == "TR413"
    await bench.writer.settled()
    state = await bench.stored()
    assert (state.status, state.tasks) == ("FAILED", {"n2": "FAILED"})
    assert [len(await read_journal(states, RUN)), state.batches] == [2, 2]
    assert not bench.watch.is_given_up
    assert bench.patience.waits == 0


@through
async def test_an_end_that_will_never_be_taken_becomes_another_one() -> None:
    states = Moody()
    bench = Bench(states)
    await bench.write(started())
    states.states = TransportError("too large", code="TR403")
    bench.writer.take(Entry([finished(2), ended()]))
    await bench.writer.settled()
    assert bench.watch.is_given_up
    assert len(bench.watch.refusals) == 2
    assert bench.writer.is_over


@through
async def test_a_claim_that_will_never_be_taken_is_given_up() -> None:
    states = Moody()
    states.states = Refused(10059, "stream not found")
    bench = Bench(states)
    with pytest.raises(StoreError, match="stream not found"):
        await bench.write(started())
    await bench.writer.settled()
    assert bench.watch.is_given_up
    assert not bench.writer.is_claimed


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (Unreachable("away"), False),
        (NotReady("no leader"), False),
        (Refused(10023, "insufficient resources"), False),
        (Refused(10047, "insufficient storage resources available"), False),
        (Refused(10077, "sequence not known"), False),
        (Refused(10077, "maximum bytes exceeded"), True),
        (Refused(10054, "message size exceeds maximum allowed"), True),
        (Refused(10059, "stream not found"), True),
        (Denied("no"), True),
        (TransportError("too large", code="TR403"), True),
        (TransportError("newer", code="TR405"), True),
    ],
)
def test_only_what_asking_again_does_not_change_is_final(
    error: TransportError, is_told: bool
) -> None:
    assert is_final(error) == is_told


@through
async def test_a_state_that_takes_long_to_store_is_shown_less_often() -> None:
    class Slow(MemoryStates):
        async def write(self, state: RunState, *, expected: int) -> int:
            await asyncio.sleep(0.02)
            return await super().write(state, expected=expected)

    bench = Bench(Slow())
    await bench.write(started())
    assert bench.writer._pause >= 0.2


def test_notes_of_a_long_outage_are_bounded_and_what_is_lost_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[Entry] = []

    async def main() -> None:
        mailbox = Mailbox(asyncio.get_running_loop())
        journal = RemoteJournal(mailbox, taken.append, run_id="r-1")
        journal.append([started()])
        for _ in range(5):
            for number in range(10_000):
                journal.note(Logged(1, number, "log", {"message": "hi"}))
            journal._flush()
        await until(lambda: len(taken) > 1)
        assert sum(len(entry.records) for entry in taken) <= 10_001
        assert len(journal._notes) == 10_000
        for entry in taken:
            entry.settle()
        journal._flush()
        await until(lambda: len(taken) > 2)
        assert not journal._notes
        assert taken[-1].records[-1] == EventsDropped(1, 30_000)

    with caplog.at_level(logging.WARNING, "tailrace.worker"):
        asyncio.run(main())
    assert caplog.messages == [
        "run r-1 has lost 30000 events and spans: NATS was away for too long"
    ]


def test_a_task_that_notes_faster_than_is_stored_waits_and_loses_nothing() -> None:
    stored: list[int] = []

    async def main() -> None:
        def take(entry: Entry) -> None:
            stored.append(len(entry.records))
            asyncio.get_running_loop().call_later(0.01, entry.settle)

        journal = RemoteJournal(Mailbox(asyncio.get_running_loop()), take)
        journal.append([started()])

        def work() -> None:
            for number in range(45_000):
                journal.note(Logged(1, number, "log", {}))

        await asyncio.to_thread(work)
        journal._flush()
        await until(lambda: sum(stored) == 45_001)

    asyncio.run(main())
