"""The distinct tasks of a flow, as another spelling has to define them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tailrace.errors import DefinitionError
from tailrace.flows.build import named
from tailrace.flows.hash import canonical_policy, canonical_value, overlaid
from tailrace.flows.tree import fold, walk, with_children
from tailrace.model import (
    All,
    AnyOf,
    Flow,
    ForEach,
    Node,
    Repeat,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One task to define, and its name."""

    name: str
    node: TaskNode

    @property
    def inputs(self) -> dict[str, Any]:
        """Inputs of the task and of the node together."""
        return {**self.node.task.inputs, **self.node.inputs}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Context paths that get the result."""
        return self.node.outputs or self.node.task.outputs

    @property
    def policy(self) -> dict[str, Any]:
        """Policies of the task and of the node together: values by dotted name."""
        return overlaid(self.node.task.policy, self.node.policy)


@dataclass(slots=True)
class TaskEntries:
    """All tasks of a flow. Nodes that differ in nothing but their name share one."""

    entries: dict[str, TaskEntry] = field(default_factory=dict)
    """By name, in the order of the flow."""
    _by_content: dict[str, str] = field(default_factory=dict)
    _reserved: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, flow: Flow) -> TaskEntries:
        """Return the tasks of a flow; those outside its graph keep their names.

        Raises:
            DefinitionError: a task cannot be imported, so that no file can name it.
        """
        found = cls()
        nodes = list(_task_nodes(flow))
        found._reserved = {node.name for node in nodes} | set(flow.handlers)
        for name, node in flow.handlers.items():
            found._add(name, node)
        for node in nodes:
            found.name_of(node)
        return found

    def name_of(self, node: TaskNode) -> str:
        """Return the name of the task a node runs."""
        content = _content(node)
        if content not in self._by_content:
            name, count = node.name, 2
            while name in self.entries or (count > 2 and name in self._reserved):
                name, count = f"{node.name}_{count}", count + 1
            self._by_content[content] = name
            self._add(name, node)
        return self._by_content[content]

    def _add(self, name: str, node: TaskNode) -> None:
        if "<" in node.task.reference or node.task.reference.startswith("__main__:"):
            raise DefinitionError(
                f"the task {node.name!r} is {node.task.reference}, which no file can name",
                code="TR119",
                hint="Define it as a function at the top level of a module.",
            )
        self.entries[name] = TaskEntry(name, node)
        self._by_content.setdefault(_content(node), name)


def _task_nodes(flow: Flow) -> Iterator[TaskNode]:
    for node in () if flow.root is None else walk(flow.root):
        if isinstance(node, TaskNode):
            yield node


def _content(node: TaskNode) -> str:
    entry = TaskEntry("", node)
    task = node.task
    return json.dumps(
        [
            task.reference,
            canonical_value(entry.inputs),
            entry.outputs,
            canonical_policy(task.policy, node.policy),
            task.isolation,
            task.checkpoint,
            task.routes,
        ]
    )


_Container = All | AnyOf | Switch | ForEach | Repeat | Until | SubFlow


def without_given_names(root: Node) -> Node:
    """Return the tree without names of containers, if reading it again gives the same ones."""

    def bare(node: Node, parts: list[Node], _number: int) -> Node:
        node = with_children(node, parts)
        return replace(node, name="") if isinstance(node, _Container) else node

    stripped = fold(root, bare)
    again = zip(walk(named(stripped)), walk(root), strict=True)
    is_same = all(getattr(new, "name", "") == getattr(old, "name", "") for new, old in again)
    return stripped if is_same else root
