"""The flows that are measured: chains, groups and loops of tasks without work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailrace import Flow, foreach, task
from tailrace.model import All, Seq, TaskNode


@task
def start() -> int:
    """Give a value to pass along."""
    return 0


@task
def pass_on(value: int) -> int:
    """Return the payload."""
    return value


@task
async def pass_on_async(value: int) -> int:
    """Return the payload; needs no thread."""
    return value


@task
def count(values: dict[str, int]) -> int:
    """Return how many values came in."""
    return len(values)


@task
def use(item: int) -> int:
    """Return the item of the loop."""
    return item


def _nodes(spec: Any, number: int) -> tuple[TaskNode, ...]:
    return tuple(TaskNode(name=f"n{index}", task=spec) for index in range(number))


def chain(nodes: int) -> Flow:
    """Return a flow of ``nodes`` tasks one after the other."""
    rest = _nodes(pass_on.spec, nodes - 1)
    return Flow(f"chain_{nodes}", Seq(children=(start.node, *rest)))


def group(width: int, member: Any) -> Flow:
    """Return a flow of ``width`` tasks side by side, between a first and a last one."""
    side_by_side = All(children=_nodes(member.spec, width))
    return Flow("group", Seq(children=(start.node, side_by_side, count.node)))


def loop(items: int) -> Flow:
    """Return a foreach over ``items`` numbers."""
    body: Callable[[Any], Any] = foreach("{{ params.items }}", item="item", name="each")
    return Flow("loop", body(use), defaults={"items": list(range(items))})
