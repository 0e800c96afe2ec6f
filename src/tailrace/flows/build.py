"""Bringing a definition into its canonical form, so that equal flows are equal trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.tree import children, fold, walk, with_children
from tailrace.model import (
    All,
    AnyOf,
    Flow,
    ForEach,
    Graph,
    Node,
    Policy,
    Repeat,
    ScratchMerge,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)
from tailrace.model.rule import Rule


def build_flow(  # noqa: PLR0913 - one keyword per field of a flow
    *,
    name: str,
    root: Node | None,
    defaults: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    max_parallel: int = 8,
    expose_env: Sequence[str] = (),
    scratch_merge: ScratchMerge = ScratchMerge.ERROR_ON_CONFLICT,
    handlers: Mapping[str, TaskNode] | None = None,
    source: str = "",
    rules: Sequence[Rule] = (),
) -> Flow:
    """Return the canonical flow; problems of names and references are left to ``check_flow``.

    Raises:
        DefinitionError: a group or sequence is empty, or its graph cannot be structured.
    """
    return Flow(
        name=name,
        root=None if root is None else named(canonical_tree(root)),
        defaults=dict(defaults or {}),
        policy=policy,
        max_parallel=max_parallel,
        expose_env=tuple(expose_env),
        scratch_merge=scratch_merge,
        handlers={key: _with_task_defaults(node) for key, node in (handlers or {}).items()},
        source=source,
        rules=tuple(rules),
    )


def canonical_tree(root: Node) -> Node:
    """Return the tree with nested sequences and groups flattened and graphs structured."""
    return fold(root, _canonical)


def _canonical(node: Node, parts: list[Node], _number: int) -> Node:
    match node:
        case TaskNode():
            return _with_task_defaults(node)
        case Seq() | All() | AnyOf():
            return _flattened(node, parts)
        case Graph():
            return _structured(node, parts)
        case Switch() | ForEach() | Repeat() | Until() | SubFlow():
            return with_children(node, parts)
        case _:
            assert_never(node)


def _with_task_defaults(node: TaskNode) -> TaskNode:
    """Give the node what its task declares, so that both ways to write it are one definition."""
    task = node.task
    if not (task.inputs or task.outputs or node.outputs):
        return node
    outputs = node.outputs or task.outputs
    return replace(
        node,
        inputs={**task.inputs, **node.inputs},
        outputs=tuple(output.removeprefix("ctx.") for output in outputs),
    )


def _flattened(node: Seq | All | AnyOf, parts: list[Node]) -> Node:
    flat: list[Node] = []
    for part in parts:
        if type(part) is type(node) and not getattr(part, "name", ""):
            flat.extend(children(part))
        else:
            flat.append(part)
    if not flat:
        kind = "sequence" if isinstance(node, Seq) else "group"
        raise DefinitionError(
            f"a {kind} has no nodes", code="TR137", hint="Put a task into it, or leave it out."
        )
    return flat[0] if len(flat) == 1 else replace(node, children=tuple(flat))


def _structured(node: Graph, parts: list[Node]) -> Node:
    from tailrace.flows.edges import structure  # noqa: PLC0415 - most flows have no edge list

    found = structure(tuple(parts), node.edges)
    if isinstance(found, Graph):
        return found
    return fold(found, _tidied)


def _tidied(node: Node, parts: list[Node], _number: int) -> Node:
    if isinstance(node, Seq | All | AnyOf):
        return _flattened(node, parts)
    return with_children(node, parts)


_Unnamed = TaskNode | All | AnyOf | Switch | ForEach | Repeat | Until | SubFlow


def named(root: Node) -> Node:
    """Return the tree with a unique name for every node that has none.

    Names are the kind, then ``kind_2`` and so on in definition order, outer before inner; a name
    that the flow already uses is passed over. Nested flows keep their own names.
    """
    given: dict[int, str] = {}
    taken = {node.name for node in walk(root) if isinstance(node, _Unnamed)}
    counts: dict[str, int] = {}
    for number, node in enumerate(walk(root)):
        if isinstance(node, _Unnamed) and not node.name:
            given[number] = _free_name(_kind(node), taken, counts)
    if not given:
        return root

    def rename(node: Node, parts: list[Node], number: int) -> Node:
        rebuilt = with_children(node, parts)
        name = given.get(number)
        return replace(rebuilt, name=name) if name and isinstance(rebuilt, _Unnamed) else rebuilt

    return fold(root, rename)


def _kind(node: _Unnamed) -> str:
    match node:
        case TaskNode():
            return node.task.name
        case SubFlow():
            return node.flow.name
        case AnyOf():
            return "any"
        case All() | Switch() | ForEach() | Repeat() | Until():
            return type(node).__name__.lower()
        case _:
            assert_never(node)


def _free_name(kind: str, taken: set[str], counts: dict[str, int]) -> str:
    while True:
        counts[kind] = number = counts.get(kind, 0) + 1
        name = kind if number == 1 else f"{kind}_{number}"
        if name not in taken:
            taken.add(name)
            return name
