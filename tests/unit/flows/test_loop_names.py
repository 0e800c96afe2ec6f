"""A name standing alone where an expression is wanted: a param, or the variable of a loop."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import Flow, foreach, repeat, switch, task
from tailrace.errors import DefinitionError


@task
def rows() -> list[str]:
    return ["a", "b", "a"]


@task
def low(item: str) -> str:
    return f"low {item}"


@task
def high(item: str) -> str:
    return f"high {item}"


def output(flow: Flow, **params: Any) -> Any:
    return flow.run(store=False, params=params).output


@pytest.mark.parametrize("on", ["item", "$item", "{{ item }}"])
def test_a_switch_in_a_loop_may_be_on_the_item(on: str) -> None:
    loop = foreach("{{ payload }}", item="item")(switch(on, {"a": low, "b": high}))
    assert output(Flow("f", rows >> loop)) == ["low a", "high b", "low a"]


def test_a_loop_in_a_loop_may_be_over_the_item() -> None:
    inner = foreach("item", item="item")(low)
    flow = Flow("f", foreach("table", item="item")(inner))
    assert output(flow, table=[["x"], ["y", "z"]]) == [["low x"], ["low y", "low z"]]


def test_a_count_may_be_the_item() -> None:
    flow = Flow("f", foreach([0, 2], item="item")(repeat("item")(low)))
    assert output(flow) == [[], ["low 2", "low 2"]]


def test_a_param_of_that_name_goes_before_the_item() -> None:
    flow = Flow("f", foreach(["a"], item="item")(switch("item", {"a": low, "p": high})))
    assert output(flow, item="p") == ["high a"]


def test_a_param_that_is_a_loop_variable_is_named_so() -> None:
    flow = Flow("f", foreach(["a"], item="item")(switch("{{ params.item.kind }}", {"a": low})))
    with pytest.raises(DefinitionError, match="'item' is the variable of a loop") as caught:
        output(flow)
    assert caught.value.code == "TR153"
