"""The smaller parts of a worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from contextvars import Context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import Flow, task
from tailrace.errors import DefinitionError
from tailrace.model.journal import AnyRecord, Logged
from tailrace.model.remote import Job, RunState
from tailrace.testing import MemoryStates
from tailrace.tracing.wire import decode, encode, join
from tailrace.worker.catalogue import Catalogue, FlowNotFound, Served, collect
from tailrace.worker.engines import EnginePool, EngineThread
from tailrace.worker.intake import Intake, Taken
from tailrace.worker.spool import DiskSpool


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_joined_batches_hold_the_records_of_each_in_order(sizes: list[int]) -> None:
    records: list[list[AnyRecord]] = [
        [Logged(group, index, "log", {"message": "x" * index}) for index in range(size)]
        for group, size in enumerate(sizes)
    ]
    joined = decode(join([encode(batch) for batch in records]))
    assert joined == [record for batch in records for record in batch]


def test_the_spool_ships_what_a_killed_worker_has_left(tmp_path: Path) -> None:
    async def ship() -> None:
        states = MemoryStates()
        claim = await states.write(RunState(job=Job(run_id="r", flow_name="f")), expected=0)
        first = DiskSpool(tmp_path, most=1000)
        first.keep("r", 1, b"one", claim)
        first.keep("r", 1, b"again", claim)
        first.keep("r", 2, b"two", claim)
        first.keep("other", 1, b"lost", claim + 7)
        first.keep("r", 3, b"x" * 2000, claim)
        assert first.count == 3
        file = tmp_path / "r.batches"
        file.write_bytes(file.read_bytes() + b"\x00\x00\x01\x00cut off")
        assert await DiskSpool(tmp_path, most=1000).ship(states) == 2
        assert await states.journal("r") == [(1, b"one"), (2, b"two")]

    asyncio.run(ship())
    assert list(tmp_path.iterdir()) == []


@task
def step() -> int:
    return 1


def test_flows_are_found_by_name_and_two_of_one_name_are_refused() -> None:
    flow = Flow("f", step)
    catalogue = Catalogue([Served(flow, "here"), Served(flow, "there")])
    assert catalogue.find("f") is flow
    with pytest.raises(FlowNotFound, match="flow_not_found: 'g'"):
        catalogue.find("g")
    with pytest.raises(DefinitionError, match="two flows are called 'f': a and b"):
        Catalogue([Served(flow, "a"), Served(Flow("f", step), "b")])


def test_a_folder_of_flows_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    tasks = "tasks: {{a: {{callable: 'math:floor', inputs: {{x: 1}}}}}}"
    text = f"name: {{}}\n{tasks}\nflow: {{{{graph: a}}}}\n"
    (tmp_path / "one.yaml").write_text(text.format("one"))
    (tmp_path / "deep" / "flow.yaml").write_text(text.format("two"))
    names = [served.flow.name for served in collect([], [tmp_path])]
    assert sorted(names) == ["one", "two"]
    (tmp_path / "bad.yaml").write_text("tasks: 1\n")
    with pytest.raises(DefinitionError, match=r"bad\.yaml"):
        collect([], [tmp_path])


def test_a_workflow_sent_with_a_run_is_parsed_once_and_kept_to_allowed_modules() -> None:
    text = "tasks: {a: {callable: 'math:pi'}}\nflow: {graph: a}\n"
    with pytest.raises(DefinitionError, match="may not import"):
        Catalogue([]).sent(text, "mine")
    text = "tasks: {a: {callable: 'math:floor', inputs: {x: 1}}}\nflow: {graph: a}\n"
    catalogue = Catalogue([], allow_modules=["math"])
    assert catalogue.sent(text, "mine").name == "mine"
    assert catalogue.sent(text, "mine") is catalogue.sent(text, "mine")
    assert catalogue.allows("math.inner")
    assert not catalogue.allows("mathematics")


class _Nothing:
    pass


def _taken(run_id: str, at: float) -> Taken:
    return Taken(_Nothing(), Job(run_id=run_id, flow_name="f"), _Nothing(), at)  # type: ignore[arg-type]


def test_runs_are_taken_ahead_only_while_runs_are_short() -> None:
    intake = Intake(4)
    assert intake.wanted(4) == 4
    assert intake.wanted(0) == 0
    for _ in range(50):
        intake.saw(0.001)
    assert intake.wanted(4) == 68
    now = time.monotonic()
    for number in range(40):
        intake.put(_taken(str(number), now))
    assert intake.wanted(0) == 0
    assert intake.wanted(1) == 25
    assert intake.overdue() == []
    first = intake.next()
    assert first is not None
    assert first.job.run_id == "0"


def test_what_waits_for_too_long_is_returned_and_nothing_is_taken_ahead_then() -> None:
    intake = Intake(1)
    for _ in range(50):
        intake.saw(0.001)
    intake.put(_taken("a", time.monotonic() - 5))
    intake.put(_taken("b", time.monotonic()))
    assert [taken.job.run_id for taken in intake.overdue()] == ["a", "b"]
    assert intake.wanted(0) == 0
    assert len(intake) == 0


def test_an_engine_that_is_left_behind_is_replaced() -> None:
    pool = EnginePool(1)
    hangs, goes_on, done = threading.Event(), threading.Event(), threading.Event()
    held: list[EngineThread] = []

    def hang(engine: EngineThread) -> None:
        held.append(engine)
        hangs.set()
        goes_on.wait(30)

    pool.give(hang)
    assert hangs.wait(30)
    pool.give(lambda _: done.set())
    assert not done.is_set()
    pool.abandon(held[0])
    assert done.wait(30)
    assert pool.has_abandoned
    goes_on.set()
    pool.close()


def test_work_that_waits_behind_a_long_task_gets_a_thread_of_its_own() -> None:
    pool = EnginePool(1)
    goes_on, done = threading.Event(), threading.Event()
    pool.give(lambda _: [goes_on.wait(30)].clear())
    pool.give(lambda _: done.set())
    pool.hasten()
    pool.hasten()
    assert done.wait(30)
    goes_on.set()
    pool.close()


def test_work_can_be_taken_back_until_a_thread_has_begun_it() -> None:
    pool = EnginePool(1)
    begun, goes_on = threading.Event(), threading.Event()
    done: list[str] = []

    def hold(_: EngineThread) -> None:
        begun.set()
        goes_on.wait(30)

    def never(_: EngineThread) -> None:
        done.append("never")

    last = threading.Event()
    pool.give(hold)
    assert begun.wait(30)
    pool.give(never)
    pool.give(lambda _: last.set())
    assert not pool.withdraw(hold)
    assert pool.withdraw(never)
    assert not pool.withdraw(never)
    goes_on.set()
    assert last.wait(30)
    assert done == []
    pool.close()


def test_one_thread_does_short_work_and_others_join_it_where_it_does_not_get_on() -> None:
    pool = EnginePool(2)
    for _ in range(100):
        pool.saw(0.0001)
    assert pool.is_brisk
    begun, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def hold(_: EngineThread) -> None:
        begun.set()
        goes_on.wait()

    assert not pool.give(hold)
    assert begun.wait(30)
    assert pool.give(lambda _: done.set())
    assert pool.join()
    assert done.wait(30)
    assert not pool.join()
    goes_on.set()
    pool.close()


def test_a_coroutine_is_started_on_one_thread_and_finished_on_another() -> None:
    pool = EnginePool(2)
    steps: list[str] = []
    over = threading.Event()

    class Wait:
        def __await__(self) -> Generator[Wait, None, None]:
            yield self

    async def work() -> None:
        steps.append(threading.current_thread().name)
        await Wait()
        await asyncio.sleep(0.001)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        steps.append(threading.current_thread().name)

    coroutine, context = work(), Context()

    def finish(engine: EngineThread) -> None:
        engine.finish(coroutine, context)
        over.set()

    def start(engine: EngineThread) -> None:
        assert isinstance(engine.start(coroutine, context), Wait)
        pool.give(finish)
        over.wait(30)

    pool.give(start)
    assert over.wait(30)
    assert len(set(steps)) == 2
    pool.close()
