"""The distinct tasks of a flow, as another spelling has to define them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import UnionType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.build import named
from tailrace.flows.graph_tokens import is_name
from tailrace.flows.hash import canonical_policy, canonical_value, overlaid
from tailrace.flows.tree import children, fold, walk, with_children
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


class TaskEntry(Struct, frozen=True):
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


class TaskEntries(Struct):
    """All tasks of a flow. Nodes that differ in nothing but their name share one."""

    entries: dict[str, TaskEntry] = field(default_factory=dict)
    """By name, in the order of the flow."""
    _by_content: dict[str, str] = field(default_factory=dict)
    _nodes: dict[str, str] = field(default_factory=dict)
    """Content by name of node: another task of that name would be taken for the node's."""

    @classmethod
    def of(cls, flow: Flow) -> TaskEntries:
        """Return the tasks of a flow; those outside its graph keep their names.

        Raises:
            DefinitionError: a task cannot be imported, so that no file can name it.
        """
        found = cls()
        nodes = list(_task_nodes(flow))
        for node in (*nodes, *flow.handlers.values()):
            found._nodes.setdefault(node.name, _content(node))
        for name, node in flow.handlers.items():
            found._add(name, node)
        for node in nodes:
            found.name_of(node)
        return found

    def name_of(self, node: TaskNode) -> str:
        """Return the name of the task a node runs."""
        content = _content(node)
        if content not in self._by_content:
            self._add(self._new_name(node, content), node)
        return self._by_content[content]

    def _new_name(self, node: TaskNode, content: str) -> str:
        """Return the task's own name where it is free, else the node's, with a number if needed."""
        for name in (node.task.name, node.name):
            is_free = name not in self.entries and self._nodes.get(name, content) == content
            if is_free and is_name(name):
                return name
        count = 2
        while (name := f"{node.name}_{count}") in self.entries or name in self._nodes:
            count += 1
        return name

    def _add(self, name: str, node: TaskNode) -> None:
        if "<" in node.task.reference or node.task.reference.startswith("__main__:"):
            raise DefinitionError(
                f"the task {node.name!r} is {node.task.reference}, which no file can name",
                code="TR004",
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
            task.cache,
            task.expires,
            task.routes,
        ]
    )


_Container = All | AnyOf | Switch | ForEach | Repeat | Until | SubFlow


_ROUNDS = 4
"""Times that names are tried to be left out, before all are kept."""


def without_given_names(root: Node, kinds: type[Node] | UnionType = _Container) -> Node:
    """Return the tree without the names that its containers get anyway when it is built.

    Only containers of some kinds lose their names.
    """
    kept: set[int] = set()
    for _ in range(_ROUNDS):
        stripped = _without_names(root, kinds, kept)
        again = zip(walk(named(stripped)), walk(root), strict=True)
        changed = {
            number
            for number, (new, old) in enumerate(again)
            if getattr(new, "name", "") != getattr(old, "name", "")
        }
        if not changed:
            return stripped
        kept |= changed
    return root


def _apart(outer: Node, old: Node, new: Node) -> Node:
    """Return a group inside a group of its kind with its name: without, the two would be one."""
    if isinstance(new, All | AnyOf) and type(new) is type(outer):
        return replace(new, name=getattr(old, "name", ""))
    return new


def _without_names(root: Node, kinds: type[Node] | UnionType, kept: set[int]) -> Node:
    def bare(node: Node, parts: list[Node], number: int) -> Node:
        node = with_children(
            node, [_apart(node, *pair) for pair in zip(children(node), parts, strict=True)]
        )
        if isinstance(node, _Container) and isinstance(node, kinds) and number not in kept:
            return replace(node, name="")
        return node

    return fold(root, bare)
