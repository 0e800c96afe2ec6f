"""The trees that flows leave: what one would draw, no more and no less."""

from __future__ import annotations

import asyncio
import importlib
import threading
from pathlib import Path
from typing import Any

import pytest

from tailrace import Flow, repeat, switch, task
from tailrace.model import Span
from tailrace.testing import MemoryStore


@task
def one() -> int:
    return 1


@task
def double(value: int) -> int:
    return value * 2


@task
def add_ten(value: int) -> int:
    return value + 10


def spans_of(flow: Flow, **params: Any) -> list[Span]:
    store = MemoryStore()
    return store.trace(flow.run(store=store, **params).run_id).spans


def tree(spans: list[Span], parent: str | None = None) -> list[Any]:
    """Return names nested as the spans are, in order of start, without attempts."""
    return [
        (span.name, tree(spans, span.span_id)) if tree(spans, span.span_id) else span.name
        for span in spans
        if span.parent_id == parent and not span.name.startswith("attempt ")
    ]


def test_a_linear_flow_has_three_children_in_order() -> None:
    spans = spans_of(Flow("line", one >> double >> add_ten))
    assert tree(spans) == [("run line", ["node one", "node double", "node add_ten"])]
    starts = [span.start_ns for span in spans]
    assert starts == sorted(starts)


def test_a_loop_has_its_iterations_as_children_numbered_from_one() -> None:
    spans = spans_of(Flow("loop", repeat(3, name="again")(one)))
    iterations = [(f"again[{index}]", ["node one"]) for index in range(3)]
    assert tree(spans) == [("run loop", [("repeat again", iterations)])]
    numbers = [s.attributes["iteration_number"] for s in spans if s.type.value == "iteration"]
    assert numbers == [1, 2, 3]


def test_a_switch_shows_only_the_branch_that_ran_and_names_its_key() -> None:
    choice = switch("{{ params.mode }}", {"a": double, "b": add_ten}, name="choice")
    spans = spans_of(Flow("cond", one >> choice), mode="b")
    branch = ("switch choice", [("choice:b", ["node add_ten"])])
    assert tree(spans) == [("run cond", ["node one", branch])]
    container = next(span for span in spans if span.name == "switch choice")
    assert container.attributes["executed_branch_key"] == "b"


def overlap(spans: list[Span], left: str, right: str) -> bool:
    named = {span.name: span for span in spans}
    first, second = named[left], named[right]
    assert first.end_ns is not None
    assert second.end_ns is not None
    return first.start_ns < second.end_ns and second.start_ns < first.end_ns


def test_branches_in_threads_overlap_under_the_same_parent() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def wait() -> None:
        meeting.wait()

    spans = spans_of(Flow("f", task(wait).named("a") & task(wait).named("b")))
    assert tree(spans) == [("run f", [("all all", ["node a", "node b"])])]
    assert overlap(spans, "attempt a", "attempt b")


def test_asynchronous_branches_overlap() -> None:
    seen: dict[str, asyncio.Event] = {}

    def waiter(name: str, other: str) -> Any:
        async def wait() -> None:
            seen.setdefault(name, asyncio.Event()).set()
            await asyncio.wait_for(seen.setdefault(other, asyncio.Event()).wait(), 30)

        return task(wait).named(name)

    spans = spans_of(Flow("f", waiter("a", "b") & waiter("b", "a")))
    assert overlap(spans, "attempt a", "attempt b")


MEETING = """
from pathlib import Path
from waiting import wait_until

def meet(mine, other):
    Path(mine).touch()
    wait_until(Path(other).exists, "the other one is here")
"""


def test_branches_in_processes_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meeting_place.py").write_text(MEETING)
    monkeypatch.syspath_prepend(tmp_path)
    meet = task(importlib.import_module("meeting_place").meet, isolation="process")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    left = meet.named("left").with_inputs(mine=a, other=b)
    right = meet.named("right").with_inputs(mine=b, other=a)
    spans = spans_of(Flow("f", left & right))
    assert overlap(spans, "attempt left", "attempt right")
