"""Going on with runs: which one, what of it, and by whom."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace import Context, Flow, Task, foreach, switch, task
from tailrace.errors import NotFound, StoreError, TailraceError
from tailrace.model import Checkpoint, RunStatus
from tailrace.runtime import RunResult, start
from tailrace.runtime.exclusive import NotResumable, exclusive
from tailrace.runtime.going_on import Resume, resume
from tailrace.runtime.inputs import RunInputs, decode_inputs, encode_inputs
from tailrace.runtime.options import RunOptions
from tailrace.runtime.resume import load_inputs, load_reuse
from tailrace.store import SqliteTraceReader
from tailrace.store.liveness import remove_stale


class World:
    """What tasks have done, and which of them are broken."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.done: list[str] = []
        self.broken: set[str] = set()

    def node(self, name: str) -> Task[..., Any]:
        """Return a task that notes that it ran, and fails while it is broken."""

        def work(extra: int = 0) -> str:
            self.done.append(name)
            if name in self.broken:
                raise ValueError(name)
            return f"{name}{extra}"

        return task(work, name=name)

    def run(self, flow: Flow) -> RunResult:
        """Run a flow; forget what was done before."""
        self.done.clear()
        return flow.run(db=self.db, raise_on_failure=False)

    def resume(self, flow: Flow, run_id: str, **wanted: Any) -> RunResult:
        """Go on with a run; forget what was done before."""
        self.done.clear()
        options = RunOptions(db=self.db)
        result = resume(Resume(run_id=run_id, **wanted), options, flow=flow)
        assert result is not None
        return result

    def reader(self) -> SqliteTraceReader:
        """Return the read side of the store."""
        return SqliteTraceReader(self.db)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "t.db")


def chain(world: World) -> Flow:
    return Flow("chain", world.node("a") >> world.node("b") >> world.node("c"))


def test_what_was_not_wanted_any_more_is_not_reused_by_later_resumes(world: World) -> None:
    flow = chain(world)
    world.broken = {"c"}
    first = world.run(flow)
    world.broken = {"b"}
    second = world.resume(flow, first.run_id, nodes=("b",))
    assert world.done == ["b"]
    world.broken = set()
    with closing(world.reader()) as reader:
        assert set(load_reuse(reader, second.run_id).stored) == {"a"}
    world.resume(flow, second.run_id)
    assert world.done == ["b", "c"]


def test_a_changed_input_holds_in_all_later_resumes(world: World) -> None:
    flow = chain(world)
    world.broken = {"b"}
    first = world.run(flow)
    second = world.resume(flow, first.run_id, changes={"b": {"extra": 7}})
    world.broken = set()
    third = world.resume(flow, second.run_id)
    assert third.outputs["b"] == "b7"
    assert world.done == ["b", "c"]


def test_a_changed_input_of_a_node_that_is_no_more_is_forgotten(world: World) -> None:
    world.broken = {"c"}
    first = world.run(chain(world))
    second = world.resume(chain(world), first.run_id, changes={"b": {"extra": 7}})
    world.broken = set()
    shorter = Flow("chain", world.node("a") >> world.node("c"))
    third = world.resume(shorter, second.run_id, on_change="rerun")
    assert third.ok
    assert world.done == ["c"]


def test_the_newest_run_of_a_chain_is_gone_on_with(world: World) -> None:
    flow = chain(world)
    world.broken = {"b"}
    first = world.run(flow)
    world.broken = {"c"}
    second = world.resume(flow, first.run_id)
    world.broken = set()
    third = world.resume(flow, first.run_id)
    assert world.done == ["c"]
    trace_of = {}
    with closing(world.reader()) as reader:
        for run in (second, third):
            trace_of[run.run_id] = reader.turning_points(run.run_id).spans[0].attributes
    assert trace_of[third.run_id]["tailrace.resumed_from"] == second.run_id
    assert {one["tailrace.lineage"] for one in trace_of.values()} == {first.run_id}
    assert resume(Resume(run_id=first.run_id), RunOptions(db=world.db), flow=flow) is None


def test_a_completed_run_can_be_done_again_from_a_node_on_however_often(world: World) -> None:
    flow = chain(world)
    first = world.run(flow)
    for _ in range(2):
        again = world.resume(flow, first.run_id, nodes=("b",))
        assert world.done == ["b", "c"]
        with closing(world.reader()) as reader:
            root = reader.turning_points(again.run_id).spans[0]
        assert root.attributes["tailrace.resumed_from"] == first.run_id


def test_runs_of_the_chain_that_were_deleted_are_run_again_as_far_as_needed(world: World) -> None:
    import sqlite3

    flow = chain(world)
    world.broken = {"b"}
    first = world.run(flow)
    world.broken = {"c"}
    second = world.resume(flow, first.run_id)
    with closing(sqlite3.connect(world.db)) as db, db:
        db.execute("DELETE FROM run WHERE run_id = ?", (first.run_id,))
    world.broken = set()
    world.resume(flow, second.run_id)
    assert world.done == ["a", "c"]


def test_a_cancelled_run_is_gone_on_with_by_one_at_a_time(world: World) -> None:
    started, go_on = threading.Event(), threading.Event()

    @task
    def wait(ctx: Context) -> str:
        started.set()
        while not (go_on.is_set() or ctx.is_cancelled):
            go_on.wait(0.01)
        ctx.check_cancelled()
        return "over"

    flow = Flow("waits", wait)
    handle = start(flow, RunOptions(db=world.db))
    assert started.wait(60)
    with pytest.raises(NotResumable, match="RUNNING"):
        world.resume(flow, handle.run_id)
    handle.cancel()
    assert handle.result(60).status is RunStatus.CANCELLED

    started.clear()
    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(world.resume(flow, handle.run_id)))
    thread.start()
    assert started.wait(60)
    with pytest.raises(NotResumable) as refused:
        world.resume(flow, handle.run_id)
    assert refused.value.code == "TR312"
    go_on.set()
    thread.join(60)
    assert [result.output for result in results] == ["over"]


def test_a_lineage_is_held_until_it_is_let_go_whoever_cleans_up(tmp_path: Path) -> None:
    db = tmp_path / "t.db"
    with exclusive(db, "one"):
        remove_stale(tmp_path / "t.db-live")
        with pytest.raises(NotResumable), exclusive(db, "one"):
            pass
        with exclusive(db, "other"):
            pass
    with exclusive(db, "one"):
        pass


def test_a_folder_that_cannot_be_used_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "t.db-live").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"), exclusive(tmp_path / "t.db", "one"):
        pass


def test_turning_points_say_the_same_as_the_whole_trace(world: World) -> None:
    cases = {1: world.node("left"), 2: world.node("right")}
    body = world.node("each") >> switch("item % 3", cases, name="which")
    loop = foreach([1, 2, 1], item="item", name="loop")(body)
    world.broken = {"last"}
    failed = world.run(Flow("turns", world.node("first") >> loop >> world.node("last")))
    with closing(world.reader()) as reader:
        whole = {span.span_id: span for span in reader.trace(failed.run_id, events=False).spans}
        found = reader.turning_points(failed.run_id)
        reuse = load_reuse(reader, failed.run_id)
    assert all(whole[span.span_id] == span for span in found.spans)
    kept = {span.span_id for span in found.spans}
    assert {whole[one].name for one in whole.keys() - kept} >= {"node first", "node each"}
    assert reuse.decisions == {f"loop[{n}].which": case for n, case in enumerate("121")}


def test_unknown_runs_are_not_found(world: World) -> None:
    world.run(chain(world))
    with closing(world.reader()) as reader, pytest.raises(NotFound):
        load_inputs(reader, "0" * 32)
    with pytest.raises(NotFound):
        world.resume(chain(world), "0" * 32)


def test_inputs_come_back_as_they_were_given() -> None:
    given = encode_inputs(
        {"a": 1, "pair": (1, 2)},
        {"p"},
        {"s": 2},
        policy=None,
        target="m:f",
        changes={"each.load": {"rows": (3,)}},
        taken_back={"b", "a"},
    )
    checkpoint = Checkpoint(path="", codec=given.codec, body=given.body, time_ns=0)
    assert decode_inputs(checkpoint) == RunInputs(
        params={"a": 1, "pair": (1, 2)},
        payload={"p"},
        scratch={"s": 2},
        target="m:f",
        changes={"each.load": {"rows": (3,)}},
        taken_back=["a", "b"],
    )


@pytest.mark.parametrize(
    ("codec", "body", "message"),
    [
        ("json", b"{torn", "cannot be read"),
        ("json", b"[1]", "cannot be read"),
        ("json", b'{"params": 3}', "cannot be read"),
        ("strange", b"{}", "unknown codec"),
        ("none", b"a lock", "could not be kept: a lock"),
    ],
)
def test_damaged_inputs_are_a_clear_error(codec: str, body: bytes, message: str) -> None:
    checkpoint = Checkpoint(path="", codec=codec, body=body, time_ns=0)
    with pytest.raises(TailraceError, match=message):
        decode_inputs(checkpoint)
