"""The present code of one node, run with the inputs it had and compared with its record."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailrace import Context, Flow, Routing, route, task
from tailrace.runtime import RunOptions, execute
from tailrace.runtime.replay import InputsMissing, Replay, Trial, Verdict, run_again
from tailrace.runtime.replay.difference import Difference, differences


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs.db"


def trial(db: Path, before: Flow, after: Flow | None = None, node: str = "work") -> Trial:
    """Run a flow, and then a node of its newer version."""
    execute(before, RunOptions(db=db, diary=False))
    return run_again(Replay(db, flow=after or before).node("@last", node))


def work(function: Any, **options: Any) -> Any:
    return task(function, name="work", **options)


def test_code_that_gives_the_same_is_equal_and_other_code_is_different(db: Path) -> None:
    def old(n: int) -> dict[str, Any]:
        return {"rows": [n, n + 1], "name": "x"}

    def new(n: int) -> dict[str, Any]:
        return {"rows": [n, n + 2, 9], "other": 1}

    before = Flow("f", work(old), defaults={"n": 1})
    after = Flow("f", work(new), defaults={"n": 1})

    assert trial(db, before).verdict is Verdict.EQUAL
    changed = trial(db, before, after)
    assert changed.verdict is Verdict.DIFFERENT
    assert changed.output == {"rows": [1, 3, 9], "other": 1}
    assert [(d.place, d.kind) for d in changed.differences] == [
        (".rows[1]", "changed"),
        (".rows[2]", "added"),
        (".name", "removed"),
        (".other", "added"),
    ]


def test_failures_are_compared_by_their_fingerprint(db: Path) -> None:
    world = {"number": 1, "mended": False}

    def old() -> int:
        if world["mended"]:
            return 3
        raise ValueError(f"attempt {world['number']}")

    flow = Flow("f", work(old))
    world["number"] = 1
    execute(flow, RunOptions(db=db, diary=False))
    node = Replay(db, flow=flow).node("@last", "work")
    same = run_again(node)
    assert (same.verdict, same.note) == (Verdict.EQUAL, "the same failure")

    world["number"] = 2
    other_words = run_again(node)
    assert other_words.verdict is Verdict.EQUAL
    assert other_words.note == "the same failure with another message"

    def other() -> int:
        raise KeyError("x")

    other_kind = run_again(Replay(db, flow=Flow("f", work(other))).node("@last", "work"))
    assert other_kind.verdict is Verdict.DIFFERENT
    assert other_kind.failure is not None
    assert other_kind.failure.type == "KeyError"

    world["mended"] = True
    mended = run_again(node)
    assert (mended.verdict, mended.output) == (Verdict.DIFFERENT, 3)


def test_asynchronous_tasks_generators_and_routes_are_run_to_their_end(db: Path) -> None:
    async def waits(n: int) -> int:
        return n

    async def streams(n: int) -> AsyncIterator[int]:
        for index in range(n):
            yield index

    def yields(n: int) -> Iterator[int]:
        yield from range(n)

    for function in (waits, streams, yields):
        result = trial(db, Flow("f", work(function), defaults={"n": 2}))
        assert result.verdict is Verdict.EQUAL, function
    chosen = route(lambda: Routing(["a"], confidence=0.5), name="work")
    flow = Flow("f", chosen >> (task(lambda: 1, name="a") & task(lambda: 2, name="b")))
    assert trial(db, flow).verdict is Verdict.EQUAL


def test_the_task_sees_its_run_but_leaves_nothing_behind(db: Path, tmp_path: Path) -> None:
    seen: list[Any] = []

    first = task(lambda: [1], name="rows")

    def writes(ctx: Context, rows: list[int]) -> list[int]:
        rows.append(len(rows))
        ctx.scratch["count"] = ctx.scratch.get("count", 0) + 1
        path = Path(ctx.save_artifact("out.txt", "text"))
        seen.append((ctx.idempotency_key, ctx.scratch["count"], path))
        return rows

    flow = Flow("f", first >> work(writes))
    execute(flow, RunOptions(db=db, diary=False))
    node = Replay(db, flow=flow).node("@last", "work")
    assert run_again(node).verdict is Verdict.EQUAL
    assert node.inputs == {"rows": [1]}
    (key, count, kept), (key_again, count_again, thrown_away) = seen
    assert (key, count) == (key_again, count_again)
    assert kept.is_file()
    assert not thrown_away.exists()
    assert not thrown_away.is_relative_to(tmp_path / "artifacts")


def test_a_node_whose_inputs_are_not_known_is_refused_and_does_not_run(db: Path) -> None:
    calls: list[int] = []

    @task(checkpoint="none")
    def ask() -> int:
        return 1

    def last(ask: int) -> int:
        calls.append(ask)
        return ask

    with pytest.raises(InputsMissing, match="ask: what ask gave was not kept") as error:
        trial(db, Flow("f", ask >> work(last)))
    assert error.value.code == "TR318"
    assert calls == [1]


def test_an_output_that_was_not_kept_is_compared_by_its_summary(db: Path) -> None:
    def old() -> list[int]:
        return [1, 2]

    def new() -> list[int]:
        return [1, 3]

    before = Flow("f", work(old, checkpoint="none"))
    same = trial(db, before)
    assert same.verdict is Verdict.EQUAL
    assert same.note == "compared by their summaries: what work gave was not kept"
    other = trial(db, before, Flow("f", work(new, checkpoint="none")))
    assert other.verdict is Verdict.DIFFERENT
    assert other.differences == (
        Difference(place="", kind="changed", before="list[2] [1, 2]", after="list[2] [1, 3]"),
    )


def test_a_node_that_did_not_run_then_has_nothing_to_compare_with(db: Path) -> None:
    first = task(lambda: 1, name="first")

    def work_of(first: int) -> int:
        return first + 1

    result = trial(db, Flow("f", first), Flow("f", first >> work(work_of)))
    assert (result.verdict, result.output) == (Verdict.UNKNOWN, 2)
    assert result.note == "work did not run"


@dataclass(frozen=True)
class Point:
    """A value of a user's own type."""

    x: int
    y: Any


class Grumpy:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("no")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [".a[1].b"]),
        ({"not a name": 1}, {"not a name": 2}, ["['not a name']"]),
        (1, 1.0, [""]),
        ([1], (1,), [""]),
        (math.nan, math.nan, []),
        ({"x": math.nan}, {"x": math.nan}, []),
        (Point(1, [2]), Point(1, [3]), [".y[0]"]),
        ({1, 2}, {2, 3}, ["", ""]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        (Grumpy(), Grumpy(), [""]),
        (list(range(50)), list(range(1, 51)), [f"[{index}]" for index in range(20)]),
    ],
)
def test_differences_are_told_place_by_place_within_bounds(
    before: Any, after: Any, places: list[str]
) -> None:
    assert [one.place for one in differences(before, after)] == places
