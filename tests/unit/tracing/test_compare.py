"""Two runs, told apart node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import Flow, Policy, Retry, foreach, repeat, subflow, switch, task
from tailrace.model import RunId, RunStatus, RunSummary, SpanStatus, SpanType
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.fingerprint import static_path
from tailrace.runtime.resuming import OnChange, ResumeFrom
from tailrace.testing import MemoryStore
from tailrace.tracing.account import Account, account, origins_of, tally, trace_back
from tailrace.tracing.compare import Aspect, Change, Comparison, Difference, compare
from tailrace.tracing.state import Shape, SpanState

TIMES = (Aspect.DURATION,)
MS = 1_000_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def run(flow: Flow, store: MemoryStore, **options: Any) -> RunResult:
    return execute(flow, RunOptions(store=store, **options))


def resume(flow: Flow, store: MemoryStore, failed: RunResult) -> RunResult:
    wanted = ResumeFrom(run_id=failed.run_id, on_change=OnChange.KEEP)
    return run(flow, store, resume=wanted, lineage=failed.run_id)


def account_of(store: MemoryStore, run_id: str) -> Account:
    return account(store.run(run_id), store.states(run_id), store.fingerprints(run_id))


def differ(store: MemoryStore, before: RunResult, after: RunResult) -> Comparison:
    accounts = [account_of(store, one.run_id) for one in (before, after)]
    for own in accounts:
        for run_id in origins_of(own):
            trace_back(own, account_of(store, run_id))
    return compare(*accounts, ignore=TIMES)


def at(found: Comparison, path: str) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {
        (one.aspect.value, one.name): (one.before, one.after)
        for change in found.nodes
        if change.path == path
        for one in change.differences
    }


@task
def numbers(count: int = 3) -> list[int]:
    return list(range(count))


@task
def double(number: int, plus: int = 0) -> int:
    return 2 * number + plus


@task
def big() -> str:
    return "big"


@task
def small() -> str:
    return "small"


each = foreach("{{ results.numbers }}", item="number", name="each")
LOOP = Flow("loop", numbers >> each(double))
FORK = Flow("fork", switch("{{ params.size }}", {"big": big, "small": small}, name="pick"))


def test_two_runs_that_did_the_same_are_equal(store: MemoryStore) -> None:
    found = differ(store, run(LOOP, store), run(LOOP, store))
    assert found.is_equal
    assert found.equal == 4
    [loop] = found.loops
    assert (loop.path, loop.equal, loop.different) == ("each", 3, 0)


def test_what_a_node_was_given_and_gave_is_compared_by_path(store: MemoryStore) -> None:
    found = differ(store, run(LOOP, store), run(LOOP, store, params={"plus": 1}))
    assert at(found, "each[2].double") == {
        ("input", "plus"): (None, 1),
        ("output", ""): (4, 5),
    }
    assert Difference(Aspect.PARAM, "plus", None, 1) in found.run
    [loop] = found.loops
    assert (loop.equal, loop.different) == (0, 3)


def test_iterations_that_only_one_run_came_to_are_told_with_what_is_in_them(
    store: MemoryStore,
) -> None:
    found = differ(store, run(LOOP, store), run(LOOP, store, params={"count": 5}))
    extra = [change for change in found.nodes if change.kind is SpanType.ITERATION]
    assert [(one.path, one.below, one.loop) for one in extra] == [
        ("each[3]", 1, "each"),
        ("each[4]", 1, "each"),
    ]
    assert at(found, "each[3]") == {("presence", ""): (None, "SUCCEEDED")}
    assert at(found, "each[3].double") == {}
    assert at(found, "each") == {("iterations", ""): (3, 5)}
    [loop] = found.loops
    assert (loop.equal, loop.only_before, loop.only_after) == (3, 0, 2)


def test_the_branch_that_a_switch_took_is_told_and_the_nodes_on_it(store: MemoryStore) -> None:
    runs = [run(FORK, store, params={"size": size}) for size in ("big", "small")]
    found = differ(store, *runs)
    assert at(found, "pick") == {("branch", ""): ("big", "small")}
    assert at(found, "big") == {("presence", ""): ("SUCCEEDED", None)}
    assert at(found, "small") == {("presence", ""): (None, "SUCCEEDED")}
    assert [change.path for change in found.nodes] == ["pick", "big", "small"]


def test_attempts_states_and_errors_are_compared(store: MemoryStore) -> None:
    tries: list[int] = []

    @task
    def fetch() -> str:
        tries.append(1)
        if len(tries) <= 3:
            raise ConnectionError(f"refused {len(tries)}")
        return "page"

    flow = Flow("flaky", fetch >> big, policy=Policy(retry=Retry(max_attempts=1)))
    failed, healed = run(flow, store), run(flow, store)
    found = differ(store, failed, healed)
    assert at(found, "fetch") == {
        ("state", ""): ("FAILED", "SUCCEEDED"),
        ("error", ""): ("ConnectionError: refused 2", None),
    }
    assert at(found, "big") == {("state", ""): ("SKIPPED", "SUCCEEDED")}
    assert at(differ(store, healed, run(flow, store)), "fetch") == {("attempts", ""): (2, 1)}


def test_policies_and_code_are_told_once_for_a_node_and_not_for_each_iteration(
    store: MemoryStore,
) -> None:
    def other(number: int, plus: int = 0) -> int:
        return number + number + plus

    other.__name__ = other.__qualname__ = "double"
    patient = Policy(retry=Retry(max_attempts=2))
    changed = Flow("loop", numbers >> each(task(other)), policy=patient)
    found = differ(store, run(LOOP, store), run(changed, store))
    by_path = {change.path: change.differences for change in found.definitions}
    retries = Difference(Aspect.POLICY, "retry.max_attempts", 0, 2)
    assert by_path["numbers"] == (retries,)
    assert retries in by_path["each.double"]
    assert Aspect.CODE in {one.aspect for one in by_path["each.double"]}
    assert found.nodes == ()
    assert found.code_known


def test_a_node_that_only_one_flow_has_is_told_once(store: MemoryStore) -> None:
    longer = Flow("loop", numbers >> each(double) >> big)
    found = differ(store, run(LOOP, store), run(longer, store))
    assert at(found, "big") == {("presence", ""): (None, "SUCCEEDED")}
    assert "big" not in {change.path for change in found.definitions}


def test_reused_nodes_are_named_and_are_no_difference(store: MemoryStore) -> None:
    broken = {2}

    @task
    def check(number: int) -> int:
        if number in broken:
            raise ValueError(f"bad {number}")
        return number

    flow = Flow("mended", numbers >> each(check))
    failed = run(flow, store)
    broken.clear()
    resumed = resume(flow, store, failed)
    found = differ(store, failed, resumed)
    assert {change.path for change in found.nodes} == {"each", "each[2].check"}
    assert [(one.path, one.count, one.run_id, one.by_after) for one in found.reused] == [
        ("numbers", 1, failed.run_id, True),
        ("each.check", 2, failed.run_id, True),
    ]
    counts = tally(store.states(resumed.run_id))
    assert (counts.reused, counts.ran, counts.failed) == (3, 1, 0)
    assert tally(store.states(failed.run_id)).failed == 1


def test_what_a_reused_node_gave_is_read_in_the_run_in_which_it_ran(store: MemoryStore) -> None:
    is_broken = [True]

    @task
    def last(each: list[int]) -> int:
        if is_broken[0]:
            raise ValueError("broken")
        return len(each)

    flow = Flow("chain", numbers >> each(double) >> last)
    failed = run(flow, store)
    is_broken.clear()
    is_broken.append(False)
    resumed = resume(flow, store, failed)
    found = differ(store, resumed, run(flow, store, params={"plus": 5}))
    assert at(found, "each[1].double") == {
        ("input", "plus"): (None, 5),
        ("output", ""): (2, 7),
    }


def test_a_node_whose_code_is_not_on_record_is_not_called_changed(store: MemoryStore) -> None:
    first, second = run(LOOP, store), run(LOOP, store)
    old = account(store.run(first.run_id), store.states(first.run_id), {})
    found = compare(old, account_of(store, second.run_id), ignore=TIMES)
    assert found.is_equal
    assert not found.code_known


@pytest.mark.parametrize("aspect", list(Aspect))
def test_an_aspect_that_is_ignored_is_nowhere_in_the_comparison(
    store: MemoryStore, aspect: Aspect
) -> None:
    before = run(FORK, store, params={"size": "big"})
    after = run(LOOP, store, params={"count": 1})
    accounts = [account_of(store, one.run_id) for one in (before, after)]
    found = compare(*accounts, ignore=[aspect])
    everything = [*found.run, *differences(found.definitions), *differences(found.nodes)]
    assert everything
    assert aspect not in {one.aspect for one in everything}


def differences(changes: tuple[Change, ...]) -> Iterator[Difference]:
    for change in changes:
        yield from change.differences


def test_paths_without_indices_are_those_of_the_fingerprints(store: MemoryStore) -> None:
    inner = Flow("inner", double, defaults={"number": 1})
    pick = switch("{{ params.size }}", {"big": big, "small": small}, name="pick")
    body = pick >> subflow(inner, name="sub")
    flow = Flow("deep", numbers >> each(repeat(2, name="twice")(body)))
    done = run(flow, store, params={"size": "big"})
    found = account_of(store, done.run_id)
    nodes = {path: one for path, one in found.places.items() if one.kind is SpanType.NODE}
    assert len(nodes) == 1 + 3 * 2 * 2
    assert {path: one.static for path, one in nodes.items()} == {
        path: static_path(path) for path in nodes
    }
    assert set(found.tasks) <= set(found.fingerprints)


# Spans made by hand.

NODE = Shape(SpanType.NODE, task="t:work", attributes={"tailrace.state": "SUCCEEDED"})
CONTAINER = Shape(SpanType.CONTAINER, "foreach", attributes={"tailrace.state": "SUCCEEDED"})
ITERATION = Shape(SpanType.ITERATION, attributes={"tailrace.state": "SUCCEEDED"})


def summary() -> RunSummary:
    return RunSummary(
        run_id=RunId("0" * 32),
        flow="made",
        status=RunStatus.COMPLETED,
        start_ns=0,
        end_ns=0,
        spans=0,
    )


def made(*spans: SpanState) -> Account:
    return account(summary(), spans, {})


def node(number: int, name: str, *, took: int = 0, parent: int = 1, output: Any = 1) -> SpanState:
    path = name if parent == 1 else f"each[{name}].work"
    attributes = {"tailrace.output": output}
    return SpanState(number, parent, NODE, "work", path, 0, attributes, took, SpanStatus.UNSET)


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        (20, 31, True),
        (31, 20, True),
        (20, 30, False),
        (1, 10, False),
        (0, 11, True),
        (500, 700, False),
    ],
)
def test_times_differ_by_more_than_half_and_more_than_ten_milliseconds(
    before: int, after: int, is_told: bool
) -> None:
    found = compare(made(node(2, "a", took=before * MS)), made(node(2, "a", took=after * MS)))
    expected = {("duration", ""): (before * MS, after * MS)} if is_told else {}
    assert at(found, "a") == expected


trees = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), max_size=6)


def tree(outputs: dict[str, int]) -> Account:
    return made(*(node(2 + n, name, output=out) for n, (name, out) in enumerate(outputs.items())))


@given(trees, trees)
def test_a_comparison_turned_around_tells_the_same(
    one: dict[str, int], other: dict[str, int]
) -> None:
    there = compare(tree(one), tree(other))
    back = compare(tree(other), tree(one))
    assert there.equal == back.equal
    assert there.is_equal == (one == other)
    assert set(told(there)) == {(path, new, old) for path, old, new in told(back)}


def told(found: Comparison) -> Iterator[tuple[str, Any, Any]]:
    for change in found.nodes:
        for one in change.differences:
            yield f"{change.path} {one.aspect}", one.before, one.after


def loop(iterations: int, output: int) -> Iterator[SpanState]:
    yield SpanState(2, 1, CONTAINER, "each", "", 0, {}, 0)
    for index in range(iterations):
        number = 3 + 2 * index
        yield SpanState(number, 2, ITERATION, f"each[{index}]", "", 0, {}, 0)
        yield node(number + 1, str(index), parent=number, output=output if index == 7 else 0)


@pytest.mark.no_cover
def test_fifty_thousand_spans_are_compared() -> None:
    found = compare(made(*loop(25_000, 1)), made(*loop(25_000, 2)))
    assert [change.path for change in found.nodes] == ["each[7].work"]
    [counts] = found.loops
    assert (counts.equal, counts.different) == (24_999, 1)
