"""What counts as a change of a node, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import Flow, Policy, Retry, foreach, subflow, switch, task
from tailrace.engine.code import code_fingerprint
from tailrace.flows.compile import compile_flow
from tailrace.model import FlowPlan
from tailrace.runtime.fingerprint import (
    changed_nodes,
    node_fingerprints,
    static_path,
)


def load() -> list[int]:
    return [1]


def clean(payload: Any, factor: int = 1) -> list[int]:
    return [factor]


def plan(flow: Any, **options: Any) -> FlowPlan:
    return compile_flow(Flow("f", flow, **options))


def compiled(code: str) -> Callable[..., Any]:
    """Return the function ``work`` of a source."""
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the test's own text
    function: Callable[..., Any] = names["work"]
    return function


def test_equal_definitions_have_equal_fingerprints() -> None:
    one, other = (plan(task(load) >> task(clean)) for _ in range(2))
    assert node_fingerprints(one) == node_fingerprints(other)
    assert set(node_fingerprints(one)) == {"load", "clean"}


def test_a_changed_constant_is_a_change_of_its_node_alone() -> None:
    before = node_fingerprints(plan(task(load) >> task(clean, inputs={"factor": 2})))
    after = node_fingerprints(plan(task(load) >> task(clean, inputs={"factor": 3})))
    assert changed_nodes(before, after) == {"clean": "changed"}


def test_another_predecessor_is_a_change_of_what_takes_the_payload() -> None:
    before = node_fingerprints(plan(task(load) >> task(clean)))
    between = task(clean).named("between")
    after = node_fingerprints(plan(task(load) >> between >> task(clean)))
    assert changed_nodes(before, after) == {"clean": "changed"}


def test_a_node_that_is_no_more_is_gone() -> None:
    before = node_fingerprints(plan(task(load) >> task(clean)))
    assert changed_nodes(before, node_fingerprints(plan(task(load)))) == {"clean": "gone"}


def test_policies_do_not_count() -> None:
    patient = Policy(retry=Retry(max_attempts=5))
    before = node_fingerprints(plan(task(load)))
    assert node_fingerprints(plan(task(load, policy=patient))) == before


def test_nodes_in_containers_have_paths_without_indices() -> None:
    inner = Flow("inner", task(load))
    flow = (
        foreach([1, 2], name="each")(task(load).named("one"))
        >> switch("1", {1: task(load).named("two")}, name="which")
        >> subflow(inner, name="sub")
    )
    assert set(node_fingerprints(plan(flow))) == {"each.one", "two", "sub.load"}


@pytest.mark.parametrize(
    ("code", "is_equal"),
    [
        ("def work(x):\n    return x + 1\n", True),
        ("\n\n# moved down\ndef work(x):\n    return x + 1\n", True),
        ("def work(x):\n    return x + 2\n", False),
        ("def work(y):\n    return y + 1\n", False),
        ("def work(x):\n    return x - 1\n", False),
    ],
)
def test_a_functions_code_counts_but_not_where_it_stands(code: str, *, is_equal: bool) -> None:
    before = code_fingerprint(compiled("def work(x):\n    return x + 1\n"))
    assert (code_fingerprint(compiled(code)) == before) is is_equal


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("load", "load"),
        ("each[3].load", "each.load"),
        ("each[3].inner[0].load", "each.inner.load"),
        ('by["a.b]c"].load', "by.load"),
        ('by["a\\"]"].load', "by.load"),
    ],
)
def test_static_paths_are_without_loop_indices(path: str, expected: str) -> None:
    assert static_path(path) == expected
