"""A cached task runs once for the same code and the same inputs, whichever run comes first."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace import Context, Flow, Secret, foreach, route, task
from tailrace.engine.code import captured
from tailrace.model import NodeFinished, Recalled, RunStatus, Span
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.resuming import ResumeFrom
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.testing.memory import MemoryStore

DONE: list[str] = []
"""What tasks did; a global, which is no part of what makes a result."""


class LocalStore(SqliteStore):
    """A database with its own read side, as a run is given one."""

    def reader(self) -> SqliteTraceReader:
        return SqliteTraceReader(self.path)


Store = MemoryStore | LocalStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    DONE.clear()
    made = MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "runs.db")
    yield made
    made.close()


def run(flow: Flow, store: Store | bool, **options: Any) -> RunResult:
    return execute(flow, RunOptions(store=store, **options))


def node(store: Store, result: RunResult, name: str) -> Span:
    with closing(store.reader()) as reader:
        spans = reader.trace(result.run_id).spans
    return next(span for span in spans if span.name == f"node {name}")


@task(cache="inputs")
def double(n: int) -> dict[str, int]:
    DONE.append(f"double {n}")
    return {"n": n * 2}


@task
def plain(n: int) -> int:
    DONE.append(f"plain {n}")
    return n


doubling = Flow("doubling", double)


def test_the_output_of_an_earlier_run_is_reused_and_the_trace_says_from_where(store: Store) -> None:
    first = run(doubling, store, params={"n": 4})
    second = run(doubling, store, params={"n": 4})

    assert first.output == second.output == {"n": 8}
    assert DONE == ["double 4"]
    ran, cached = node(store, first, "double"), node(store, second, "double")
    assert "tailrace.cached_from" not in ran.attributes
    assert cached.attributes["tailrace.cached_from"] == first.run_id
    assert cached.attributes["tailrace.cached_at_ns"] == ran.end_ns
    assert cached.attributes["tailrace.state"] == "SUCCEEDED"
    assert "tailrace.reused_from" not in cached.attributes


def test_other_inputs_and_other_code_run(store: Store) -> None:
    def changed(n: int) -> dict[str, int]:
        DONE.append(f"changed {n}")
        return {"n": n * 3}

    reference = double.spec.reference
    other = task(changed, name="double", cache="inputs")
    msgspec.structs.force_setattr(other.spec, "reference", reference)
    run(doubling, store, params={"n": 1})
    run(doubling, store, params={"n": 1.0})
    assert run(Flow("doubling", other), store, params={"n": 1}).output == {"n": 3}
    assert DONE == ["double 1", "double 1.0", "changed 1"]


def test_the_same_inputs_within_one_run_run_once(store: Store) -> None:
    loop = foreach([3, 5, 3, 3], item="n", name="each")(double)
    result = run(Flow("loop", loop), store)

    assert [one["n"] for one in result.output] == [6, 10, 6, 6]
    assert DONE == ["double 3", "double 5"]


def test_an_expired_output_is_not_reused(store: Store) -> None:
    @task(cache="inputs", expires=0.000001)
    def quick() -> int:
        DONE.append("quick")
        return 1

    flow = Flow("quick", quick)
    assert run(flow, store).output == run(flow, store).output == 1
    assert DONE == ["quick", "quick"]


def test_the_newest_output_counts_and_none_from_before_the_bound(store: Store) -> None:
    run(doubling, store, params={"n": 7}, cache=False)
    newest = run(doubling, store, params={"n": 7}, cache=False)
    assert DONE == ["double 7", "double 7"]
    ended = node(store, newest, "double").end_ns
    assert ended is not None

    asked: list[str] = []

    class Asking:
        def recall(self, key: str, *, since_ns: int) -> Recalled | None:
            asked.append(key)
            return store.recall(key, since_ns=since_ns)

    cached = run(doubling, store, params={"n": 7})
    assert node(store, cached, "double").attributes["tailrace.cached_from"] == newest.run_id
    key = _keys(store)[-1]
    found = Asking().recall(key, since_ns=ended)
    assert found is not None
    assert (found.run_id, found.time_ns) == (newest.run_id, ended)
    assert store.recall(key, since_ns=ended + 1) is None
    assert store.recall("0" * 32, since_ns=0) is None


def _keys(store: Store) -> list[str]:
    if isinstance(store, MemoryStore):
        every = [one for run_id in store._runs for one in store.records(run_id)]
        return [one.key for one in every if isinstance(one, NodeFinished) and one.key]
    with closing(sqlite3.connect(store.path)) as db:
        return [key for (key,) in db.execute("SELECT key FROM recall ORDER BY at")]


def test_nothing_is_looked_up_for_a_task_that_is_not_cached() -> None:
    class Asked(MemoryStore):
        asked = 0

        def recall(self, key: str, *, since_ns: int) -> Recalled | None:
            self.asked += 1
            return super().recall(key, since_ns=since_ns)

    store = Asked()
    run(Flow("plain", plain), store, params={"n": 1})
    assert store.asked == 0
    assert _keys(store) == []
    run(doubling, store, params={"n": 1})
    assert store.asked == 1


def test_without_a_store_a_cached_task_just_runs() -> None:
    DONE.clear()
    assert run(doubling, store=False, params={"n": 2}).output == {"n": 4}
    assert run(doubling, store=False, params={"n": 2}).output == {"n": 4}
    assert DONE == ["double 2", "double 2"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Secret("hush"), "n is a tailrace.model.secret.Secret, which no codec knows"),
        ({"deep": [iter(())]}, "n.deep[0] is a tuple_iterator, which no codec knows"),
    ],
)
def test_inputs_that_cannot_be_told_apart_run_the_task_and_the_trace_says_so(
    store: Store, given: Any, why: str
) -> None:
    @task(cache="inputs")
    def use(n: Any) -> str:
        DONE.append("use")
        return "used"

    flow = Flow("use", use)
    assert run(flow, store, params={"n": given}).output == "used"
    again = run(flow, store, params={"n": given})
    assert DONE == ["use", "use"]
    said = node(store, again, "use").attributes["tailrace.not_reused"]
    assert said == f"not cached: input {why}"
    assert "hush" not in said


def test_what_a_function_carries_with_it_tells_results_apart(store: Store) -> None:
    def times(factor: int) -> Flow:
        @task(cache="inputs", name="times")
        def body(n: int, plus: int = factor) -> int:
            DONE.append(f"{n} times {factor}")
            return n * factor + plus

        return Flow("times", body)

    assert run(times(2), store, params={"n": 5}).output == 12
    assert run(times(3), store, params={"n": 5}).output == 18
    assert run(times(2), store, params={"n": 5}).output == 12
    assert DONE == ["5 times 2", "5 times 3"]


def test_scratch_outputs_and_the_payload_behind_a_route_are_as_after_a_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @task(cache="inputs", outputs=["scratch.twice"])
    def first(ctx: Context, n: int) -> int:
        DONE.append("first")
        ctx.scratch["note"] = ["kept"]
        return n * 2

    def choose(payload: int) -> str:
        DONE.append("choose")
        return "left"

    @task
    def left(ctx: Context, payload: int) -> dict[str, Any]:
        return {"payload": payload, **ctx.scratch}

    @task
    def right() -> str:
        return "R"

    chosen = route(task(choose, cache="inputs"))
    flow = Flow("rich", first >> chosen >> (left & right))
    ran, cached = (run(flow, store, params={"n": 2}) for _ in range(2))

    assert ran.output == cached.output == {"payload": 4, "note": ["kept"], "twice": 4}
    assert DONE == ["first", "choose"]


def test_a_run_that_goes_on_keeps_what_the_cache_gave(store: Store) -> None:
    broken = [True]

    @task
    def last(payload: dict[str, int]) -> int:
        if broken[0]:
            raise ValueError("broken")
        return payload["n"]

    flow = Flow("later", double >> last)
    run(doubling, store, params={"n": 6})
    failed = run(flow, store, params={"n": 6})
    assert failed.status is RunStatus.FAILED
    broken.clear()
    broken.append(False)
    resumed = run(flow, store, params={"n": 6}, resume=ResumeFrom(run_id=failed.run_id))

    assert resumed.output == 12
    assert DONE == ["double 6"]
    kept = node(store, resumed, "double").attributes
    assert kept["tailrace.reused_from"] == failed.run_id


def test_a_node_that_is_asked_to_run_again_runs(store: Store) -> None:
    first = run(doubling, store, params={"n": 1})
    again = ResumeFrom(run_id=first.run_id, nodes=("double",))
    run(doubling, store, params={"n": 1}, resume=again)
    assert DONE == ["double 1", "double 1"]


def test_what_was_recorded_goes_with_its_run(tmp_path: Path) -> None:
    DONE.clear()
    store = LocalStore(tmp_path / "runs.db")
    first = run(doubling, store, params={"n": 1})
    with closing(sqlite3.connect(store.path)) as db:
        db.execute("DELETE FROM run WHERE run_id = ?", (first.run_id,))
        db.commit()
        assert db.execute("SELECT count(*) FROM recall").fetchone() == (0,)
    run(doubling, store, params={"n": 1})
    store.close()
    assert DONE == ["double 1", "double 1"]


def test_what_a_killed_process_has_recorded_is_found(tmp_path: Path) -> None:
    DONE.clear()
    store = LocalStore(tmp_path / "runs.db")
    journal = store.open_journal

    def cut_off(run_id: Any) -> Any:
        opened = journal(run_id)
        append = opened.append

        def until_the_end(records: Any) -> Any:
            append(records)
            if any(getattr(one, "key", "") for one in records):  # in the node's own commit
                shutil.copytree(store.path.parent, tmp_path / "copy", dirs_exist_ok=True)

        opened.append = until_the_end  # type: ignore[method-assign]
        return opened

    store.open_journal = cut_off  # type: ignore[method-assign]
    run(Flow("two", double >> plain), store, params={"n": 9})
    store.close()
    assert DONE == ["double 9", "plain 9"]

    left = LocalStore(tmp_path / "copy" / "runs.db")
    assert run(doubling, left, params={"n": 9}).output == {"n": 18}
    left.close()
    assert DONE == ["double 9", "plain 9"]


def test_a_cached_output_that_cannot_be_read_is_computed_again(tmp_path: Path) -> None:
    DONE.clear()
    store = LocalStore(tmp_path / "runs.db")
    run(doubling, store, params={"n": 3})
    with closing(sqlite3.connect(store.path)) as db:
        db.execute("UPDATE checkpoint SET body = x'7b' WHERE id IN (SELECT checkpoint FROM recall)")
        db.commit()
    again = run(doubling, store, params={"n": 3})
    said = node(store, again, "double").attributes["tailrace.not_reused"]
    third = run(doubling, store, params={"n": 3})
    store.close()

    assert said.startswith("the cached output cannot be read: a checkpoint cannot be read as json")
    assert third.output == {"n": 6}
    assert DONE == ["double 3", "double 3"]


@dataclass
class Scale:
    by: int

    def apply(self, n: int) -> int:
        return n * self.by


def outer(factor: int) -> Callable[[int], int]:
    def inner(n: int, plus: int = 1, *, minus: int = 2) -> int:
        return n * factor + plus - minus

    return inner


def around(function: Callable[[int], int]) -> Callable[[int], int]:
    def calling(n: int) -> int:
        return function(n)

    return calling


def test_a_function_carries_closures_defaults_and_what_it_is_bound_to() -> None:
    assert captured(outer(3), ["n"]) == {"factor": 3, "plus=": 1, "minus=": 2}
    assert captured(outer(3), ["n", "plus", "minus"]) == {"factor": 3}
    assert captured(partial(outer(3), 4), ["plus", "minus"]) == {
        "partial 0": [[4], {}],
        "factor": 3,
    }
    assert captured(Scale(2).apply, ["n"]) == {"self 0": Scale(2)}
    assert captured(around(outer(1)), ["n"]) != captured(around(outer(2)), ["n"])
    assert captured(around(outer(1)), ["n"]) == captured(around(outer(1)), ["n"])
    assert captured(around(len), ["n"]) == {"function": ["name", "builtins", "len"]}  # type: ignore[arg-type]


def test_a_function_that_knows_itself_is_described_without_end() -> None:
    def countdown(n: int) -> int:
        return n and countdown(n - 1)

    assert captured(countdown, ["n"]) == {"countdown": ["itself"]}
