"""Walking the tree of a definition without recursion, whatever its depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, assert_never

from msgspec.structs import replace

from tailrace.model import (
    All,
    AnyOf,
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

T = TypeVar("T")


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly inside a node, in definition order; a sub-flow shows none."""
    match node:
        case TaskNode() | SubFlow():
            return ()
        case Seq() | All() | AnyOf():
            return node.children
        case Graph():
            return node.nodes
        case Switch():
            bodies = tuple(case.body for case in node.cases)
            return bodies if node.default is None else (*bodies, node.default)
        case ForEach() | Repeat() | Until():
            return (node.body,)
        case _:
            assert_never(node)


def with_children(node: Node, parts: Sequence[Node]) -> Node:
    """Return the node with other nodes inside, as many and in the order of ``children``."""
    if all(old is new for old, new in zip(children(node), parts, strict=True)):
        return node
    match node:
        case TaskNode() | SubFlow():
            return node
        case Seq() | All() | AnyOf():
            return replace(node, children=tuple(parts))
        case Graph():
            return replace(node, nodes=tuple(parts))
        case Switch():
            cases = tuple(
                replace(case, body=body) for case, body in zip(node.cases, parts, strict=False)
            )
            return replace(node, cases=cases, default=None if node.default is None else parts[-1])
        case ForEach() | Repeat() | Until():
            return replace(node, body=parts[0])
        case _:
            assert_never(node)


def fold(root: Node, combine: Callable[[Node, list[T], int], T]) -> T:
    """Work from the leaves up.

    ``combine`` gets a node, what its children gave in order, and the number the node has in the
    order of ``walk``.
    """
    results: list[T] = []
    stack: list[tuple[Node, int, int]] = [(root, -1, 0)]
    numbers = 0
    while stack:
        node, count, number = stack.pop()
        if count < 0:
            inner = children(node)
            if inner:
                stack.append((node, len(inner), numbers))
                stack.extend([(child, -1, 0) for child in reversed(inner)])
            else:
                results.append(combine(node, [], numbers))
            numbers += 1
        else:
            start = len(results) - count
            parts = results[start:]
            del results[start:]
            results.append(combine(node, parts, number))
    return results[0]


def walk(root: Node) -> Iterator[Node]:
    """Yield every node in definition order, a container before what is inside."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))
