"""Writing nodes as ``graph:`` text and as edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import assert_never

from msgspec import Struct

from tailrace.errors import DefinitionError
from tailrace.flows.case_key import case_key, constant_case
from tailrace.flows.edges import dissolved
from tailrace.flows.graph_text import MAX_DEPTH
from tailrace.flows.graph_tokens import is_name
from tailrace.flows.literal import literal
from tailrace.flows.task_entries import TaskEntries
from tailrace.flows.tree import fold
from tailrace.model import (
    All,
    AnyOf,
    Case,
    Collect,
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


def template(source: str) -> str:
    """Return an expression in braces that is read as it is.

    A name that stands alone gets parentheses: without them it would be the param of that name.
    """
    return f"{{{{ ({source}) }}}}" if source.isidentifier() else f"{{{{ {source} }}}}"


def graph_text(root: Node, entries: TaskEntries) -> str:
    """Return the ``graph:`` text of a tree, one line per step.

    Raises:
        DefinitionError: it holds a general graph or a sub-flow, which the text cannot say.
    """
    writer = _Writer(entries)
    steps = root.children if isinstance(root, Seq) else (root,)
    return "\n>> ".join(writer.text(step) for step in steps)


class _Writer(Struct, frozen=True):
    entries: TaskEntries

    def text(self, root: Node) -> str:
        return fold(root, self._written)

    def _written(self, node: Node, parts: list[str], _number: int) -> str:
        match node:
            case TaskNode():
                task = self.entries.name_of(node)
                return node.name if task == node.name else f"{node.name}: {task}"
            case Seq():
                return " >> ".join(parts)
            case All() | AnyOf():
                sign = " & " if isinstance(node, All) else " | "
                return _labelled(node.name, f"({sign.join(parts)})")
            case Switch():
                return _labelled(node.name, _switch(node, parts))
            case ForEach() | Repeat() | Until():
                return _labelled(node.name, f"{_head(node)}{{ {parts[0]} }}")
            case Graph() | SubFlow():
                return _refuse(node)
            case _:
                assert_never(node)


def _refuse(node: Graph | SubFlow) -> str:
    if isinstance(node, Graph):
        raise DefinitionError(
            "the graph is no nesting of sequences and groups, so graph text cannot say it",
            code="TR004",
            hint="Write it as edges: --to edges.",
        )
    raise DefinitionError(
        f"the sub-flow {node.name!r} cannot be written in a flow file",
        code="TR004",
        hint="Write it in Python: --to python.",
    )


def _labelled(name: str, text: str) -> str:
    return f"{name}: {text}" if name else text


def _switch(node: Switch, parts: Sequence[str]) -> str:
    branches = [
        f"{_key(constant_case(case))}: {part}"
        for case, part in zip(node.cases, parts, strict=False)
    ]
    if node.default is not None:
        branches.append(f"default: {parts[-1]}")
    return f"switch(on={template(node.on)}){{ {'; '.join(branches)} }}"


def _key(case: Case) -> str:
    key = case.key
    if case.template:
        return template(str(key))
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, int):
        return str(key)
    if isinstance(key, str) and case_key(key) == key and key != "default" and is_name(key):
        return key
    return f"{{{{ {literal(key)} }}}}"


def _head(node: ForEach | Repeat | Until) -> str:
    arguments: dict[str, str] = {}
    match node:
        case ForEach():
            kind, default = "foreach", Collect.LIST
            arguments["over"] = template(node.over)
            arguments |= {
                key: name if is_name(name) else literal(name)
                for key, name in (("item", node.item), ("index", node.index))
                if name is not None
            }
            if node.concurrency != 1:
                arguments["concurrency"] = _number(node.concurrency)
        case Repeat():
            kind, default = "repeat", Collect.LIST
            arguments["count"] = _number(node.count)
        case Until():
            kind, default = "until", Collect.LAST
            arguments["cond"] = template(node.condition)
            if node.max_iterations != 1000:
                arguments["max_iter"] = str(node.max_iterations)
        case _:
            assert_never(node)
    if node.collect is not default:
        arguments["collect"] = node.collect.value
    return f"{kind}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def _number(value: int | str) -> str:
    return str(value) if isinstance(value, int) else template(value)


def edge_texts(root: Node, entries: TaskEntries) -> tuple[list[str], list[str]]:
    """Return the names of the nodes a tree starts with, and its chains.

    Groups without a name dissolve into edges; all other containers must have one.
    """
    steps = dissolved(root)
    writer = _Writer(entries)
    names = [getattr(node, "name", "") for node in steps.nodes]
    written = [writer.text(node) for node in steps.nodes]
    before_each: list[list[int]] = [[] for _ in names]
    for source, target in sorted(steps.edges):
        before_each[target].append(source)
    chains: list[str] = []
    last: tuple[int, ...] = ()
    for before, group in groupby(range(len(names)), key=lambda at: tuple(before_each[at])):
        members = tuple(group)
        text = _side([written[at] for at in members])
        if not before:
            chains.extend(written[at] for at in members)
            members = members[-1:]
        elif before == last:
            chains[-1] += f" >> {text}"
        else:
            chains.append(f"{_side([names[at] for at in before])} >> {text}")
        last = members
    return [name for name, before in zip(names, before_each, strict=True) if not before], chains


def _side(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({' & '.join(names)})"


def check_depth(root: Node) -> None:
    """Raise DefinitionError for a tree that is nested deeper than graph text may be."""

    def depth(node: Node, parts: list[int], _number: int) -> int:
        return max(parts, default=0) + (not isinstance(node, TaskNode | Seq | Graph))

    if fold(root, depth) > MAX_DEPTH:
        raise DefinitionError(
            f"the flow is nested more than {MAX_DEPTH} deep, which a flow file cannot be",
            code="TR004",
            hint="Write it in Python: --to python.",
        )
