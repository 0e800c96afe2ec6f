"""A replay shows what went into each node and what came out, and calls no task."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tailrace import (
    Context,
    Flow,
    OnError,
    Policy,
    Retry,
    foreach,
    repeat,
    route,
    subflow,
    switch,
    task,
    until,
)
from tailrace.errors import DefinitionError, NotFound
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.replay import Missing, Replay, ReplayedRun
from tailrace.runtime.resuming import ResumeFrom


class World:
    """What tasks do outside."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "runs.db"
        self.calls: list[str] = []
        self.is_mended = False

    def run(self, flow: Flow, **options: Any) -> RunResult:
        return execute(flow, RunOptions(db=self.db, diary=False, **options))

    def replay(self, flow: Flow, run_id: str = "@last") -> ReplayedRun:
        """Replay a run; fails when a task is called."""
        before = list(self.calls)
        replayed = Replay(self.db, flow=flow).run(run_id)
        assert self.calls == before
        return replayed


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def shape(replayed: ReplayedRun) -> dict[str, tuple[dict[str, Any], Any]]:
    """Return (inputs, output) by path."""
    return {node.path: (dict(node.inputs), node.output) for node in replayed.nodes}


def test_nodes_stand_with_their_real_inputs_and_outputs_in_the_order_of_the_flow(
    world: World,
) -> None:
    @task
    def fetch(n: int) -> list[dict[str, Any]]:
        world.calls.append("fetch")
        return [{"id": index, "deep": {"list": (index,)}} for index in range(n)]

    @task
    def count(fetch: list[Any], factor: int = 3) -> int:
        world.calls.append("count")
        return len(fetch) * factor

    flow = Flow("plain", fetch >> count, defaults={"n": 2})
    world.run(flow)
    replayed = world.replay(flow)

    rows = [{"id": 0, "deep": {"list": (0,)}}, {"id": 1, "deep": {"list": (1,)}}]
    assert shape(replayed)["fetch"] == ({"n": 2}, rows)
    assert replayed["count"].inputs["fetch"] == rows
    assert replayed["count"].output == 6
    assert [node.path for node in replayed.nodes] == ["fetch", "count"]
    assert [node.has_changed for node in replayed.nodes] == [False, False]
    assert replayed["count"].function(fetch=[1], factor=2) == 2


def test_a_failed_node_shows_its_failure_and_what_it_kept_others_from(world: World) -> None:
    @task
    def first() -> int:
        return 1

    @task
    def broken(first: int) -> int:
        raise ValueError(f"no {first}")

    @task
    def last(broken: int) -> int:
        return broken

    flow = Flow("fails", first >> broken >> last)
    world.run(flow)
    replayed = world.replay(flow)

    node = replayed["broken"]
    assert node.inputs == {"first": 1}
    assert not node.has_output
    assert node.failure is not None
    assert (node.failure.type, node.failure.message) == ("ValueError", "no 1")
    assert "test_walk.py:" in node.failure.location
    assert replayed.skipped == {"last": "needs broken"}


def test_iterations_of_loops_are_told_apart_by_their_path(world: World) -> None:
    @task
    def add(item: int, ctx: Context) -> int:
        assert ctx.loop is not None
        ctx.scratch["sum"] = ctx.scratch.get("sum", 0) + item
        return int(ctx.scratch["sum"]) + ctx.loop.index

    @task
    def again(ctx: Context) -> int:
        assert ctx.loop is not None
        return ctx.loop.iteration

    inner = foreach("params.items", item="item", name="each")(add)
    flow = Flow("loops", repeat(2, name="twice")(inner >> again), defaults={"items": [5, 7]})
    done = world.run(flow)
    replayed = world.replay(flow)

    assert shape(replayed) == {
        "twice[0].each[0].add": ({"item": 5}, 5),
        "twice[0].each[1].add": ({"item": 7}, 13),
        "twice[0].again": ({}, 1),
        "twice[1].each[0].add": ({"item": 5}, 17),
        "twice[1].each[1].add": ({"item": 7}, 25),
        "twice[1].again": ({}, 2),
    }
    assert done.output == [1, 2]


def test_a_loop_over_a_mapping_goes_by_its_keys(world: World) -> None:
    @task
    def price(key: tuple[str, int]) -> int:
        return key[1] * 2

    loop = foreach("params.prices", item="key", name="each")(price)
    flow = Flow("mapping", loop, defaults={"prices": {"a]b": 1, 'q"x': 2}})
    world.run(flow)
    replayed = world.replay(flow)

    assert [(node.inputs, node.output) for node in replayed.nodes] == [
        ({"key": ("a]b", 1)}, 2),
        ({"key": ('q"x', 2)}, 4),
    ]


def test_an_until_ends_where_it_ended(world: World) -> None:
    @task
    def poll(ctx: Context) -> dict[str, int]:
        assert ctx.loop is not None
        world.calls.append("poll")
        return {"done": ctx.loop.iteration * 10}

    @task
    def report(poll: dict[str, int]) -> int:
        return poll["done"]

    flow = Flow("until", until("$node.poll.output.done == 30", name="wait")(poll) >> report)
    world.run(flow)
    replayed = world.replay(flow)

    assert [node.path for node in replayed.nodes] == [
        "wait[0].poll",
        "wait[1].poll",
        "wait[2].poll",
        "report",
    ]
    assert replayed["report"].inputs == {"poll": {"done": 30}}


def test_a_switch_takes_the_branch_it_took_and_a_route_goes_where_it_went(world: World) -> None:
    @task(checkpoint="none")
    def ask() -> str:
        return "right"

    @task
    def left() -> str:
        return "L"

    @task
    def right() -> str:
        return "R"

    @task
    def near() -> str:
        return "N"

    @task
    def far() -> str:
        return "F"

    choose = route(lambda: "far", name="choose")
    chosen = switch("payload", {"left": left, "right": right}, name="which")
    flow = Flow("branches", ask >> chosen >> choose >> (near & far))
    world.run(flow)
    replayed = world.replay(flow)

    assert [node.path for node in replayed.nodes] == ["ask", "right", "choose", "far"]
    assert replayed["ask"].why == "what ask gave was not kept"
    assert replayed["choose"].output == "far"


def test_a_sub_flow_is_walked_with_its_own_params(world: World) -> None:
    @task
    def inner(n: int) -> int:
        return n + 1

    @task
    def outer(child: int) -> int:
        return child * 2

    child = Flow("child", foreach("params.ns", item="n", name="each")(inner))
    flow = Flow("parent", subflow(child, name="child", inputs={"ns": "$params.numbers"}) >> outer,
                defaults={"numbers": [1, 2]})  # fmt: skip
    world.run(flow)
    replayed = world.replay(flow)

    assert shape(replayed)["child.each[1].inner"] == ({"n": 2}, 3)
    assert replayed["outer"].inputs == {"child": [2, 3]}


def test_what_on_error_did_is_done_again(world: World) -> None:
    @task(policy=Policy(on_error=OnError("fallback", target="spare")))
    def first() -> int:
        raise ValueError("first is broken")

    @task
    def spare() -> int:
        return 7

    @task(policy=Policy(on_error=OnError("continue", value={"empty": True})))
    def second(first: int) -> dict[str, bool]:
        raise ValueError("second is broken")

    @task
    def third(second: dict[str, bool]) -> bool:
        return second["empty"]

    flow = Flow("handled", first >> second >> third, handlers=[spare])
    assert world.run(flow).output is True
    replayed = world.replay(flow)

    assert replayed["spare"].output == 7
    assert replayed["second"].inputs == {"first": 7}
    assert replayed["second"].output == {"empty": True}
    assert replayed["second"].failure is not None
    assert replayed["third"].inputs == {"second": {"empty": True}}


def test_what_was_not_recorded_is_named_where_it_is_needed(world: World) -> None:
    class Handle:
        pass

    @task
    def connect() -> Handle:
        return Handle()

    @task
    def query(connect: Handle, limit: int = 5) -> int:
        return limit

    @task
    def numbers() -> Iterator[int]:
        yield from (4, 5)

    @task
    def double(item: int) -> int:
        return item * 2

    loop = foreach("payload", item="item", name="each")(double)
    flow = Flow("lost", connect >> query >> numbers >> loop)
    world.run(flow)
    replayed = world.replay(flow)

    query_node = replayed["query"]
    assert isinstance(query_node.inputs["connect"], Missing)
    assert "what connect gave could not be kept" in query_node.missing["connect"]
    assert query_node.output == 5
    assert replayed["numbers"].why == "what numbers gave was not kept"
    second = replayed["each[1].double"]
    assert second.missing == {"item": "item 1 of each is not known"}
    assert second.record is not None
    assert second.record.inputs == {"item": 5}
    assert second.output == 10


def test_an_output_that_is_damaged_in_the_store_is_named(world: World) -> None:
    @task
    def first() -> list[int]:
        return [1, 2]

    @task
    def second(first: list[int]) -> int:
        return len(first)

    flow = Flow("damaged", first >> second)
    world.run(flow)
    with closing(sqlite3.connect(world.db)) as db:
        db.execute("UPDATE checkpoint SET body = x'ff' WHERE body = CAST('[1,2]' AS BLOB)")
        assert db.total_changes == 1
        db.commit()
    replayed = world.replay(flow)

    assert replayed["first"].why.startswith(
        "what first gave cannot be read from the store any more: "
    )
    assert replayed["second"].missing == {"first": replayed["first"].why}
    assert replayed["second"].output == 2


def test_an_expression_over_what_is_not_known_says_which(world: World) -> None:
    @task(checkpoint="none")
    def ask() -> dict[str, int]:
        return {"n": 3}

    @task(inputs={"text": "n is {{ node.ask.output.n }}"})
    def tell(text: str) -> str:
        return text

    flow = Flow("text", ask >> tell)
    world.run(flow)

    assert world.replay(flow)["tell"].missing == {"text": "what ask gave was not kept"}


def test_scratch_and_artifacts_are_as_each_node_saw_them(world: World) -> None:
    @task(outputs=["scratch.twice"])
    def first(ctx: Context) -> int:
        ctx.scratch["note"] = ["kept"]
        ctx.save_artifact("a.txt", "text")
        return 4

    @task
    def second(ctx: Context, first: int) -> int:
        ctx.scratch["note"] = ["written again"]
        return first

    flow = Flow("context", first >> second)
    done = world.run(flow)
    (context,) = (
        value
        for value in world.replay(flow)["second"].arguments[1].values()
        if isinstance(value, Context)
    )

    assert dict(context.scratch) == {"note": ["kept"], "twice": 4}
    assert list(context.artifacts) == ["a.txt"]
    assert context.run_id == done.run_id
    assert context.idempotency_key == f"{done.run_id}:second"
    assert not context.is_cancelled


def test_a_resumed_run_shows_what_it_reused_of_the_run_before(world: World) -> None:
    @task
    def first() -> list[int]:
        return [1, 2]

    @task
    def second(item: int) -> int:
        if item == 2 and not world.is_mended:
            raise ValueError("broken")
        return item * 10

    flow = Flow("two", first >> foreach("payload", item="item", name="each")(second))
    failed = world.run(flow)
    world.is_mended = True
    done = world.run(flow, resume=ResumeFrom(run_id=failed.run_id), lineage=failed.run_id)

    old, new = world.replay(flow, failed.run_id), world.replay(flow, done.run_id)
    assert old["each[1].second"].failure is not None
    assert shape(new)["each[1].second"] == ({"item": 2}, 20)
    assert {node.path: node.run_id for node in new.nodes} == {
        "first": failed.run_id,
        "each[0].second": failed.run_id,
        "each[1].second": done.run_id,
    }
    assert {node.path: node.reused_from for node in new.nodes} == {
        "first": failed.run_id,
        "each[0].second": failed.run_id,
        "each[1].second": "",
    }
    assert new["each[0].second"].span is not None
    assert new["each[0].second"].span.attributes["tailrace.input.item"] == 1


def test_retries_and_policies_do_not_slow_a_replay_down(world: World) -> None:
    quick = Policy(retry=Retry(max_attempts=3, delay="0s"))
    slow = Policy(timeout="60s", retry=Retry(max_attempts=3, delay="60s"))

    def old() -> int:
        raise ConnectionError("never")

    def new() -> int:
        raise ConnectionError("never again")

    world.run(Flow("patient", task(old, name="gives_up", policy=quick)))
    flow = Flow("patient", task(new, name="gives_up", policy=slow, isolation="thread"))
    node = world.replay(flow)["gives_up"]

    assert node.record is not None
    assert node.record.attempt == 4
    assert node.has_changed is True


def test_a_cached_node_stands_with_the_output_it_was_given(world: World) -> None:
    @task(cache="inputs")
    def work(n: int) -> list[int]:
        return [n]

    flow = Flow("cached", work, defaults={"n": 3})
    first = world.run(flow)
    world.run(flow)
    node = world.replay(flow)["work"]

    assert (node.inputs, node.output) == ({"n": 3}, [3])
    assert node.reused_from == first.run_id


def test_a_race_is_won_by_the_branch_that_won(world: World) -> None:
    @task
    def fails() -> str:
        raise ValueError("no")

    @task
    def wins() -> str:
        return "first"

    @task
    def last(wins: str) -> str:
        return wins

    flow = Flow("race", (fails | wins) >> last)
    world.run(flow)
    replayed = world.replay(flow)

    assert replayed["last"].inputs == {"wins": "first"}
    assert [node.path for node in replayed.nodes] == ["wins", "last"]


def test_loops_whose_bounds_are_not_known_go_as_far_as_they_went(world: World) -> None:
    @task(checkpoint="none")
    def ask() -> dict[str, Any]:
        return {"n": 2, "names": {"a": 1, "b": 2}}

    @task
    def twice(ask: dict[str, Any]) -> int:
        return 1

    @task(checkpoint="none")
    def poll(ctx: Context) -> int:
        assert ctx.loop is not None
        return ctx.loop.iteration

    @task
    def named(item: tuple[str, int]) -> str:
        return item[0]

    body = (
        ask
        >> repeat("$node.ask.output.n", name="again")(twice)
        >> until("$node.poll.output == 3", name="wait")(poll)
        >> foreach("$node.ask.output.names", item="item", name="each")(named)
    )
    child = Flow("child", body)
    flow = Flow("unknown", foreach([1, 2], name="outer")(subflow(child, name="child")))
    done = world.run(flow)
    replayed = world.replay(flow)

    assert done.output == [["a", "b"], ["a", "b"]]
    expected = ["again[0].twice", "again[1].twice", "wait[0].poll", "wait[1].poll", "wait[2].poll"]
    expected += ['each["a"].named', 'each["b"].named']
    assert [node.path for node in replayed.nodes if node.path.startswith("outer[1]")] == [
        f"outer[1].child.{path}" for path in ["ask", *expected]
    ]
    assert replayed['outer[0].child.each["b"].named'].output == "b"


def test_inputs_that_look_otherwise_than_recorded_are_named(world: World) -> None:
    @task
    def make() -> list[int]:
        return [1]

    @task
    def spoil(make: list[int]) -> int:
        make.append(2)
        return 0

    @task(inputs={"rows": "$node.make.output"})
    def use(rows: list[int]) -> int:
        return len(rows)

    flow = Flow("spoilt", make >> spoil >> use)
    world.run(flow)

    assert world.replay(flow)["use"].drift == {"rows": "list[2] [1, 2]"}


def test_nodes_that_have_left_the_flow_and_new_ones_are_said(world: World) -> None:
    @task
    def stays() -> int:
        return 1

    @task
    def leaves(stays: int) -> int:
        return stays

    @task
    def comes(stays: int) -> int:
        world.calls.append("comes")
        return stays

    world.run(Flow("moves", stays >> leaves))
    replayed = world.replay(Flow("moves", stays >> comes))

    assert replayed.gone == ("leaves",)
    assert replayed["comes"].why == "comes did not run"
    assert replayed["comes"].inputs == {"stays": 1}
    assert replayed["comes"].state == ""


def test_until_ends_the_walk_at_its_node(world: World) -> None:
    @task
    def each(item: int) -> int:
        return item

    @task
    def last() -> int:
        return 0

    loop = foreach("params.items", item="item", name="loop", concurrency=3)(each)
    flow = Flow("long", loop >> last, defaults={"items": list(range(9))})
    world.run(flow)
    replay = Replay(world.db, flow=flow)

    beginning = replay.until("@last", "loop[4].each")
    assert beginning.nodes[-1].path == "loop[4].each"
    assert replay.node("@last", "loop[4].each").inputs == {"item": 4}
    assert replay.node("@last", "last").path == "last"


def test_a_node_that_is_not_there_is_refused_with_the_nearest_name(world: World) -> None:
    @task
    def clean(item: int) -> int:
        if item == 1:
            raise ValueError("one")
        return item

    flow = Flow("names", foreach("params.items", item="item", name="each")(clean),
                defaults={"items": [0, 1, 2]})  # fmt: skip
    world.run(flow)
    replay = Replay(world.db, flow=flow)

    with pytest.raises(NotFound, match=r"did you mean 'each\.clean'") as unknown:
        replay.node("@last", "each.claen")
    assert unknown.value.code == "TR319"
    with pytest.raises(NotFound, match="ran 2 times") as several:
        replay.node("@last", "each.clean")
    assert "each[1].clean" in several.value.hint
    with pytest.raises(NotFound, match="ran in 2 iterations, not in this one"):
        replay.node("@last", "each[7].clean")
    with pytest.raises(NotFound, match="no run id begins with 'abc'"):
        replay.run("abc")


def test_a_flow_without_a_home_has_to_be_given(world: World) -> None:
    @task
    def one() -> int:
        return 1

    world.run(Flow("homeless", one))
    with pytest.raises(DefinitionError) as error:
        Replay(world.db).run()
    assert error.value.code == "TR350"


SCRIPT = """
import os, pathlib, signal
from tailrace import Flow, task

HERE = pathlib.Path(__file__).parent

def note(text):
    with open(HERE / "world.txt", "a") as file:
        file.write(text)

@task
def first():
    note("first ")
    return [1, 2]

@task
def second(first):
    note("second ")
    os.kill(os.getpid(), signal.SIGKILL)

flow = Flow("killed", first >> second)
"""


def picture(folder: Path) -> dict[str, tuple[str, int]]:
    """Return digest and time of each file, SQLite's shared memory of readers left out."""
    return {
        str(file.relative_to(folder)): (
            sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith("-shm")
    }


def test_the_replay_of_a_killed_run_changes_no_file_and_touches_nothing_outside(
    tmp_path: Path,
) -> None:
    (tmp_path / "killed.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tailrace"]
    died = subprocess.run(
        [*command, "run", "killed.py"], cwd=tmp_path, env=environment, capture_output=True,
        check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    before = picture(tmp_path)
    assert (tmp_path / "world.txt").read_text() == "first second "

    environment.pop("PYTHONDONTWRITEBYTECODE")
    shown = subprocess.run(
        [*command, "replay"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "(second was running when its process died)" in shown.stdout
    assert picture(tmp_path) == before
