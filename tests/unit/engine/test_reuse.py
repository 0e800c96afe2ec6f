"""A run that goes on with another one does nothing twice."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace import Context, Flow, Policy, Retry, foreach, route, subflow, switch, task, until
from tailrace.engine import Reuse, Run, RunRequest
from tailrace.engine.reuse import Pending, Stored
from tailrace.errors import DefinitionError
from tailrace.flows.compile import compile_flow
from tailrace.model import (
    AttemptFailed,
    AttemptStarted,
    FailureRecord,
    NodeStarted,
    RunFinished,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    SpanType,
    new_run_id,
)
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.resume import load_reuse
from tailrace.runtime.resuming import OnChange, ResumeFrom, ResumeRefused
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.testing.memory import MemoryStore


class World:
    """What tasks do outside, and whether the one that is broken has been mended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.is_mended = False

    def fails_until_mended(self, name: str) -> None:
        self.done.append(name)
        if not self.is_mended:
            raise ValueError(f"{name} is broken")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def run(flow: Flow, store: MemoryStore, **options: Any) -> RunResult:
    return execute(flow, RunOptions(store=store, **options))


def resume(flow: Flow, store: MemoryStore, world: World, failed: RunResult) -> RunResult:
    world.is_mended = True
    world.done.append("--")
    return run(flow, store, resume=ResumeFrom(run_id=failed.run_id), lineage=failed.run_id)


def test_what_has_finished_is_not_run_again_and_gives_what_it_gave(
    world: World, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @task(outputs=["scratch.twice"])
    def first(ctx: Context) -> int:
        world.done.append("first")
        ctx.scratch["note"] = ["kept"]
        ctx.save_artifact("a.txt", "text")
        return 4

    @task
    def second(ctx: Context, first: int) -> dict[str, Any]:
        world.fails_until_mended("second")
        return {"payload": first, **ctx.scratch, "artifacts": sorted(ctx.artifacts)}

    flow = Flow("two", first >> second)
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.status is RunStatus.COMPLETED
    assert resumed.output == {"payload": 4, "note": ["kept"], "twice": 4, "artifacts": ["a.txt"]}
    assert world.done == ["first", "second", "--", "second"]
    spans = {span.name: span for span in store.trace(resumed.run_id).spans}
    assert "tailrace.reused_from" in spans["node first"].attributes
    [link] = spans["run two"].links
    [old, *_] = store.trace(link.trace_id).spans
    assert (old.name, old.span_id) == ("run two", link.span_id)
    assert "tailrace.reused_from" not in spans["node second"].attributes


@pytest.mark.parametrize("concurrency", [1, 3])
def test_finished_iterations_of_a_loop_are_kept(
    world: World, store: MemoryStore, concurrency: int
) -> None:
    @task
    def each(item: int) -> int:
        if item == 5:
            world.fails_until_mended(f"{item}")
        else:
            world.done.append(f"{item}")
        return item * 10

    loop = foreach(list(range(8)), item="item", name="loop", concurrency=concurrency)(each)
    flow = Flow("loop", loop, policy=Policy(fail_fast=False))
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.output == [item * 10 for item in range(8)]
    assert sorted(world.done[: world.done.index("--")]) == sorted(map(str, range(8)))
    assert world.done[world.done.index("--") + 1 :] == ["5"]


def test_an_until_goes_on_with_its_count_of_iterations(world: World, store: MemoryStore) -> None:
    @task
    def step(ctx: Context) -> int:
        assert ctx.loop is not None
        world.done.append(f"{ctx.loop.iteration}")
        if ctx.loop.iteration == 3:
            world.fails_until_mended("3rd")
        return int(ctx.loop.iteration)

    flow = Flow("until", until("$node.step.output == 4", name="poll")(step))
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.status is RunStatus.COMPLETED
    assert world.done == ["1", "2", "3", "3rd", "--", "3", "3rd", "4"]


def test_the_branch_that_a_switch_took_is_kept(world: World, store: MemoryStore) -> None:
    @task(checkpoint="none")
    def ask() -> str:
        return "right" if world.is_mended else "left"

    @task
    def left() -> str:
        world.fails_until_mended("left")
        return "L"

    @task
    def right() -> str:
        world.done.append("right")
        return "R"

    flow = Flow("switch", ask >> switch("payload", {"left": left, "right": right}, name="which"))
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.output == "L"
    assert world.done == ["left", "--", "left"]


def test_routes_that_were_chosen_are_kept(world: World, store: MemoryStore) -> None:
    @task
    def left() -> str:
        world.fails_until_mended("left")
        return "L"

    @task
    def right() -> str:
        world.done.append("right")
        return "R"

    def choose() -> str:
        world.done.append("choose")
        return "left"

    flow = Flow("routes", route(choose) >> (left & right))
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.status is RunStatus.COMPLETED
    assert world.done == ["choose", "left", "--", "left"]


def test_the_losers_of_a_race_are_not_started_again(world: World, store: MemoryStore) -> None:
    @task
    async def quick() -> str:
        world.done.append("quick")
        return "quick"

    @task
    async def slow(ctx: Context) -> str:
        import asyncio

        world.done.append("slow")
        await asyncio.Event().wait()
        return "slow"

    @task
    def last() -> str:
        world.fails_until_mended("last")
        return "done"

    flow = Flow("race", (quick | slow) >> last)
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.status is RunStatus.COMPLETED
    assert world.done[world.done.index("--") + 1 :] == ["last"]


def test_a_flow_inside_a_flow_goes_on_inside(world: World, store: MemoryStore) -> None:
    @task
    def one() -> int:
        world.done.append("one")
        return 1

    @task
    def two(one: int) -> int:
        world.fails_until_mended("two")
        return one + 1

    flow = Flow("outer", subflow(Flow("inner", one >> two), name="sub"))
    resumed = resume(flow, store, world, run(flow, store))

    assert resumed.status is RunStatus.COMPLETED
    assert world.done == ["one", "two", "--", "two"]


def test_what_cannot_be_read_back_is_run_again(world: World, store: MemoryStore) -> None:
    @task
    def first() -> int:
        world.done.append("first")
        return 1

    flow = Flow("torn", first)
    stored = Stored("0" * 32, "json", b"{torn")
    assert Reuse("0" * 32, {"first": stored}).value("first") is None
    assert run(flow, store).output == 1


def test_a_resumed_run_can_be_resumed_again(world: World, store: MemoryStore) -> None:
    broken = {"second", "third"}

    def body(name: str) -> Any:
        def work() -> str:
            world.done.append(name)
            if name in broken:
                raise ValueError(name)
            return name

        return task(name=name)(work)

    flow = Flow("chain", body("first") >> body("second") >> body("third"))
    one = run(flow, store)
    broken.remove("second")
    two = run(flow, store, resume=ResumeFrom(run_id=one.run_id), lineage=one.run_id)
    broken.remove("third")
    three = run(flow, store, resume=ResumeFrom(run_id=two.run_id), lineage=one.run_id)

    assert three.status is RunStatus.COMPLETED
    assert world.done == ["first", "second", "second", "third", "third"]
    assert set(load_reuse(store, three.run_id).stored) == {"first", "second", "third"}


def test_attempts_go_on_counting_and_wait_for_the_stored_instant(store: MemoryStore) -> None:
    @task(policy=Policy(retry=Retry(max_attempts=3, delay=600)))
    def flaky(ctx: Context) -> int:
        return int(ctx.attempt)

    now = time.time_ns()
    failure = FailureRecord("OSError", "gone", "transient")
    killed = new_run_id()
    store.open_journal(killed).append(
        [
            RunStarted(killed, "flaky", "", "", now, {}, "test", 1),
            ShapeDeclared(1, "m:flaky", {}),
            NodeStarted(2, 3, 1, 1, "flaky", "", now, {}, 4),
            AttemptFailed(3, now, failure, 1, 0.0),
            AttemptStarted(4, 2, 2, now, 0.0, 4),
            AttemptFailed(4, now, failure, 2, 1.0),
            RunFinished(now, RunStatus.INTERRUPTED),
        ]
    )
    result = run(Flow("flaky", flaky), store, resume=ResumeFrom(run_id=killed))

    assert result.output == 3
    assert time.time_ns() >= now + 1_000_000_000
    [node] = [span for span in store.trace(result.run_id).spans if span.type is SpanType.NODE]
    [attempt] = [span for span in store.trace(result.run_id).spans if span.type is SpanType.ATTEMPT]
    assert attempt.attributes["tailrace.attempt"] == 3
    assert node.start_ns < now + 1_000_000_000 <= attempt.start_ns


def test_who_is_killed_while_it_waits_has_used_up_no_attempt(store: MemoryStore) -> None:
    now = time.time_ns()
    again = now + 3_600_000_000_000
    killed = new_run_id()
    store.open_journal(killed).append(
        [
            RunStarted(killed, "flaky", "", "", now, {}, "test", 1),
            ShapeDeclared(1, "m:flaky", {}),
            NodeStarted(2, 3, 1, 1, "flaky", "", now, {}, 4, attempt=3, waits_until=again),
            RunFinished(now, RunStatus.INTERRUPTED),
        ]
    )
    assert load_reuse(store, killed).pending == {"flaky": Pending(2, again)}


def test_who_is_cancelled_while_it_waits_has_made_no_attempt(tmp_path: Path) -> None:
    @task(policy=Policy(retry=Retry(max_attempts=3)))
    def flaky() -> None:
        raise AssertionError

    with closing(SqliteStore(tmp_path / "t.db")) as store:
        run_id = new_run_id()
        run = Run(
            RunRequest(
                plan=compile_flow(Flow("flaky", flaky)),
                run_id=run_id,
                reuse=Reuse(run_id, pending={"flaky": Pending(1, time.time_ns() + 10**13)}),
                timeout=0.05,
            ),
            store.open_journal(run_id),
        )
        assert asyncio.run(run.execute()).status is RunStatus.CANCELLED
        with closing(SqliteTraceReader(tmp_path / "t.db")) as reader:
            spans = reader.trace(run_id).spans
    assert [span.type for span in spans] == [SpanType.RUN, SpanType.NODE]
    assert spans[1].attributes["tailrace.state"] == "CANCELLED"
    assert [event.name for event in spans[1].events] == ["backoff"]


def test_one_node_alone_runs_with_what_is_there_and_nothing_after_it(
    world: World, store: MemoryStore
) -> None:
    def body(name: str) -> Any:
        def work(payload: Any = None) -> str:
            world.fails_until_mended(name) if name == "b" else world.done.append(name)
            return name

        return task(name=name)(work)

    flow = Flow("one", body("a") >> body("b") >> body("c"))
    failed = run(flow, store)
    world.is_mended = True
    again = run(
        flow, store, resume=ResumeFrom(run_id=failed.run_id), lineage=failed.run_id, only="b"
    )

    assert again.status is RunStatus.COMPLETED
    assert world.done == ["a", "b", "b"]


def test_changed_code_of_a_finished_node_is_refused_named_and_run_again_when_asked(
    world: World, store: MemoryStore
) -> None:
    def flow(change: int) -> Flow:
        def first() -> int:
            world.done.append("first")
            return 1

        def changed() -> int:
            world.done.append("changed")
            return 2

        def beside() -> int:
            world.done.append("beside")
            return 5

        def last(payload: dict[str, int]) -> int:
            world.fails_until_mended("last")
            return payload["first"] + payload["beside"]

        head = task(changed if change else first, name="first")
        return Flow("versions", (head & task(beside)) >> task(last))

    failed = run(flow(0), store)
    world.is_mended = True
    world.done.clear()
    with pytest.raises(ResumeRefused, match=r"first \(changed\)") as refused:
        run(flow(1), store, resume=ResumeFrom(run_id=failed.run_id))
    assert refused.value.details["changed"] == {"first": "changed"}
    assert world.done == []

    kept = ResumeFrom(run_id=failed.run_id, on_change=OnChange.KEEP)
    assert run(flow(1), store, resume=kept).output == 6
    assert world.done == ["last"]
    again = ResumeFrom(run_id=failed.run_id, on_change=OnChange.RERUN)
    assert run(flow(1), store, resume=again).output == 7
    assert world.done == ["last", "changed", "last"]


def test_a_run_can_go_on_from_an_earlier_node(world: World, store: MemoryStore) -> None:
    def body(name: str) -> Any:
        def work() -> str:
            world.done.append(name)
            return name

        return task(name=name)(work)

    flow = Flow("chain", body("a") >> body("b") >> body("c"))
    first = run(flow, store)
    world.done.clear()
    again = run(flow, store, resume=ResumeFrom(run_id=first.run_id, nodes=("b",)))
    assert again.output == "c"
    assert world.done == ["b", "c"]

    with pytest.raises(DefinitionError, match="did you mean 'b'"):
        run(flow, store, resume=ResumeFrom(run_id=first.run_id, nodes=("bb",)))
