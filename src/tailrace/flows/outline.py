"""A flow as an outline: what there is to say about each node, and what is inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct

from tailrace.flows.tree import fold
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Flow,
    ForEach,
    Graph,
    Node,
    Repeat,
    Seq,
    SubFlow,
    Switch,
    TaskNode,
    Until,
)


class Item(Struct, frozen=True):
    """One line of an outline. ``kind`` is the word for what it is, such as ``task``."""

    kind: str
    name: str
    detail: str = ""
    children: tuple[Item, ...] = ()


def outline(flow: Flow) -> Item:
    """Return the outline of a flow; its tasks for ``on_error`` stand last."""
    inside = () if flow.root is None else _flat([fold(flow.root, _item)])
    handlers = tuple(
        Item("handler", name, f"on error, {node.task.reference}")
        for name, node in flow.handlers.items()
    )
    return Item("flow", flow.name, "", (*inside, *handlers))


def detail_of(node: Node) -> str:
    """Return what a node does beside its name, on one line."""
    match node:
        case TaskNode():
            kind = "route, " if node.task.routes else ""
            return f"{kind}{node.task.reference}"
        case Seq() | Graph():
            return ""
        case All():
            return "all of"
        case AnyOf():
            return "first success of"
        case Switch():
            return f"switch on {node.on}"
        case ForEach():
            item = f" as {node.item}" if node.item else ""
            many = "" if node.concurrency == 1 else f", {node.concurrency} at a time"
            return f"for each{item} of {node.over}{many}"
        case Repeat():
            return f"repeat {node.count} times"
        case _:
            return _detail_of_others(node)


def _detail_of_others(node: Until | SubFlow) -> str:
    match node:
        case Until():
            return f"until {node.condition}, at most {node.max_iterations} times"
        case SubFlow():
            return f"flow {node.flow.name}"
        case _:
            assert_never(node)


def case_name(case: Case) -> str:
    """Return a case's key as a person writes it."""
    if case.template:
        return f"{{{{ {case.key} }}}}"
    if case.key is None or isinstance(case.key, bool):
        return "null" if case.key is None else str(case.key).lower()
    return str(case.key)


def _item(node: Node, parts: list[Item], _number: int) -> Item:
    kind = type(node).__name__.lower().removesuffix("node")
    name = getattr(node, "name", "")
    children = _flat(parts)
    if isinstance(node, Switch):
        keys = [f"case {case_name(case)}" for case in node.cases]
        keys += ["default"] if node.default is not None else []
        children = tuple(
            Item("case", key, "", _flat([part])) for key, part in zip(keys, parts, strict=True)
        )
    elif isinstance(node, Graph):
        children = _with_predecessors(node, parts)
    elif isinstance(node, SubFlow):
        children = outline(node.flow).children
    return Item(kind, name, detail_of(node), children)


def _flat(parts: Sequence[Item]) -> tuple[Item, ...]:
    """Return items with a sequence that stands alone replaced by what is in it."""
    if len(parts) == 1 and parts[0].kind in {"seq", "graph"}:
        return parts[0].children
    return tuple(
        Item("seq", "", "one after the other", part.children) if part.kind == "seq" else part
        for part in parts
    )


def _with_predecessors(graph: Graph, parts: list[Item]) -> tuple[Item, ...]:
    """Return the nodes of a graph, each with the names of those it waits for."""
    before: list[list[str]] = [[] for _ in parts]
    for source, target in sorted(graph.edges):
        before[target].append(parts[source].name or parts[source].kind)
    return tuple(
        Item(part.kind, part.name, _joined(part.detail, names), part.children)
        for part, names in zip(parts, before, strict=True)
    )


def _joined(detail: str, names: list[str]) -> str:
    after = f"after {', '.join(names)}" if names else ""
    return ", ".join(filter(None, (detail, after)))
