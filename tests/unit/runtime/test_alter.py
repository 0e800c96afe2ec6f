"""Inputs of single nodes that are given other values."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import Context, Flow, foreach, repeat, subflow, switch, task
from tailrace.errors import DefinitionError
from tailrace.flows.compile import compile_flow
from tailrace.runtime import RunOptions, execute
from tailrace.runtime.alter import Alterations, alter, applicable, merged
from tailrace.testing.memory import MemoryStore


@task
def load(rows: int) -> list[int]:
    return list(range(rows))


@task
def pick(load: list[int], ctx: Context, at: int = 0) -> int:
    return load[at]


def low(first: int, second: int = 10, /, third: int = 100) -> int:
    return first + second + third


def anything(**values: Any) -> dict[str, Any]:
    return values


def output(flow: Any, changes: Alterations, **params: Any) -> Any:
    options = RunOptions(store=MemoryStore(), changes=changes, params=params)
    result = execute(Flow("f", flow), options)
    assert result.ok, result.report
    return result.output


def test_an_input_that_is_set_stands_for_what_the_flow_says() -> None:
    assert output(load >> pick, {}, rows=3) == 0
    assert output(load >> pick, {"pick": {"at": 2}}, rows=3) == 2
    assert output(load >> pick, {"pick": {"load": [7]}}, rows=3) == 7
    assert output(load >> pick, {"load": {"rows": 9}, "pick": {"at": 8}}, rows=3) == 8


def test_a_value_is_taken_as_it_is_and_never_as_a_template() -> None:
    value = ["{{ params.rows }}", "$node.load.output"]
    assert output(load >> pick, {"pick": {"load": value}}, rows=3) == value[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"first": 2}, 112), ({"second": 5}, 106), ({"third": 1}, 12), ({"second": 1, "third": 1}, 3)],
)
def test_positional_parameters_can_be_set(changes: dict[str, int], expected: int) -> None:
    assert output(task(low, inputs={"first": 1}), {"low": changes}) == expected


def test_a_task_that_takes_any_name_takes_new_ones() -> None:
    node = task(anything, inputs={"a": 1})
    assert output(node, {"anything": {"b": 2}}) == {"a": 1, "b": 2}


def test_nodes_inside_containers_are_reached_by_their_paths() -> None:
    inner = Flow("inner", load, defaults={"rows": 1})
    cases = {1: load.named("left"), 2: load.named("right")}
    flow = (
        foreach([1, 2], name="each")(load.named("in_loop"))
        & repeat(2, name="rounds")(load.named("in_rounds"))
        & subflow(inner, name="sub")
        & switch("1", cases, name="which")
    )
    paths = ("each.in_loop", "rounds.in_rounds", "sub.load", "left")
    changed = output(flow, {path: {"rows": 2} for path in paths}, rows=1)
    two = [0, 1]
    assert changed == {"each": [two, two], "rounds": [two, two], "sub": two, "which": two}


def test_the_plan_that_is_given_stays_as_it_is() -> None:
    plan = compile_flow(Flow("f", load, defaults={"rows": 1}))
    before = plan.scope.steps
    assert alter(plan, {"load": {"rows": 2}}).scope.steps != before
    assert plan.scope.steps is before
    assert alter(plan, {}) is plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"laod": {"rows": 1}}, "no node 'laod' .known: load, pick.; did you mean 'load'"),
        ({"pick": {"aat": 1}}, "no input 'aat' .known: load, at.; did you mean 'at'"),
        ({"pick": {"ctx": 1}}, "no input 'ctx'"),
    ],
)
def test_unknown_nodes_and_inputs_are_refused(changes: Alterations, message: str) -> None:
    plan = compile_flow(Flow("f", load >> pick, defaults={"rows": 1}))
    with pytest.raises(DefinitionError, match=message) as refused:
        alter(plan, changes)
    assert refused.value.code == "TR313"


def test_what_the_flow_has_no_more_is_left_out_and_new_values_win() -> None:
    plan = compile_flow(Flow("f", load >> pick, defaults={"rows": 1}))
    old = {"load": {"rows": 1, "gone": 2}, "gone": {"x": 1}, "pick": {"gone": 1}}
    assert applicable(plan, old) == {"load": {"rows": 1}}
    assert merged({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}, "b": {"z": 3}}) == {
        "a": {"x": 1, "y": 2},
        "b": {"z": 3},
    }


@pytest.mark.parametrize("changes", [[("load", 1)], {"load.rows": 3}, {"load": 3}])
def test_changes_that_are_no_values_by_node_and_input_are_refused(changes: Any) -> None:
    plan = compile_flow(Flow("f", load, defaults={"rows": 1}))
    with pytest.raises(DefinitionError, match="not a mapping") as caught:
        alter(plan, changes)
    assert caught.value.code == "TR313"
