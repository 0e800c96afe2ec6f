"""What runs again together with a node."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import Flow, Task, foreach, repeat, subflow, switch, task
from tailrace.engine import Reuse
from tailrace.engine.reuse import Stored
from tailrace.flows.compile import compile_flow
from tailrace.runtime.invalidate import dependants, without_nodes


def node(name: str) -> Task[..., Any]:
    def work() -> str:
        return name

    return task(work, name=name)


def gone(flow: Any, *roots: str) -> set[str]:
    return set(dependants(compile_flow(Flow("f", flow)), roots))


@pytest.mark.parametrize(
    ("root", "expected"),
    [("a", {"a", "b", "c", "d"}), ("b", {"b", "d"}), ("d", {"d"}), ("x", set())],
)
def test_with_a_node_goes_what_comes_after_it_and_nothing_beside_it(
    root: str, expected: set[str]
) -> None:
    assert gone(node("a") >> (node("b") & node("c")) >> node("d"), root) == expected


def test_a_node_in_a_loop_over_items_takes_what_depends_on_it_and_what_follows_the_loop() -> None:
    each = foreach([1, 2], name="each")(node("one") >> node("two"))
    flow = node("before") >> each >> node("after")
    assert gone(flow, "each.two") == {"each.two", "after"}
    assert gone(flow, "before") == {"before", "each", "each.one", "each.two", "after"}


def test_a_repeated_body_goes_as_a_whole() -> None:
    flow = repeat(3, name="rounds")(node("one") >> node("two")) >> node("after")
    assert gone(flow, "rounds.two") == {"rounds.one", "rounds.two", "after"}


def test_what_runs_before_a_switch_takes_its_decision_along() -> None:
    which = switch("1", {1: node("left"), 2: node("right")}, name="which")
    assert gone(node("ask") >> which, "ask") == {"ask", "which", "left", "right"}


def test_a_flow_inside_a_flow_is_entered() -> None:
    inner = Flow("inner", node("one") >> node("two"))
    flow = subflow(inner, name="sub") >> node("after")
    assert gone(flow, "sub.two") == {"sub.two", "after"}


def test_what_is_gone_is_not_reused_in_any_iteration() -> None:
    stored = {path: Stored("r", "json", b"1") for path in ("before", "each[0].one", "each[1].one")}
    left = without_nodes(Reuse("r", stored, {}, {"which": "a", "rest": "b"}), {"each.one", "which"})
    assert set(left.stored) == {"before"}
    assert left.decisions == {"rest": "b"}
