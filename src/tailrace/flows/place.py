"""Where each node stands in the tree, and which nodes come before which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailrace.flows.tree import children
from tailrace.model import (
    Graph,
    Node,
    Repeat,
    Seq,
    Switch,
    TaskNode,
    Until,
)


class Place:
    """One occurrence of a node; the same node object may stand in several places."""

    __slots__ = ("children", "depth", "name", "node", "parent", "position", "reach")

    def __init__(self, node: Node, parent: Place | None, position: int) -> None:
        self.node = node
        self.name: str = getattr(node, "name", "")
        """The node's name; empty for sequences and graphs, which have none."""
        self.parent = parent
        self.position = position
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.children: list[Place] = []
        self.reach: list[int] | None = None
        """Of a graph: per child the set of children that follow it, as bits."""

    def __repr__(self) -> str:
        return f"Place({self.name or type(self.node).__name__})"


class Places:
    """All places of one flow; what is inside nested flows is theirs."""

    def __init__(self, root: Node | None) -> None:
        self.root = None if root is None else Place(root, None, 0)
        self._order = [] if self.root is None else _planted(self.root)
        self.names: dict[str, list[Place]] = {}
        for place in self._order:
            if place.name:
                self.names.setdefault(place.name, []).append(place)
            for alias in _aliases(place.node):
                self.names.setdefault(alias, []).append(place)

    def __iter__(self) -> Iterator[Place]:
        """Yield every place in definition order, outer before inner."""
        return iter(self._order)


def _planted(root: Place) -> list[Place]:
    """Give every place its children and return all places in definition order."""
    order: list[Place] = []
    stack = [root]
    while stack:
        place = stack.pop()
        order.append(place)
        place.children = [
            Place(child, place, position) for position, child in enumerate(children(place.node))
        ]
        stack.extend(reversed(place.children))
    return order


def _aliases(node: Node) -> Sequence[str]:
    """Return the names under which ``outputs: [results.x]`` also shows a task's result."""
    if not isinstance(node, TaskNode) or not node.outputs:
        return ()
    split = [output.split(".") for output in node.outputs]
    return [parts[1] for parts in split if len(parts) > 1 and parts[0] == "results"]


def precedes(first: Place, second: Place) -> bool:
    """True if ``first`` has always settled when ``second`` starts."""
    a, b = _below_common(first, second)
    if a is None or b is None or a.parent is None:
        return False
    match a.parent.node:
        case Seq():
            return a.position < b.position
        case Graph():
            return bool(_reach(a.parent)[a.position] >> b.position & 1)
        case _:
            return False


def exclude(first: Place, second: Place) -> bool:
    """True if at most one of the two can run: they stand in different branches of a switch."""
    a, _ = _below_common(first, second)
    return a is not None and a.parent is not None and isinstance(a.parent.node, Switch)


def within(place: Place, outer: Place) -> bool:
    """True if ``place`` stands inside ``outer``."""
    step = place.parent
    while step is not None and step.depth > outer.depth:
        step = step.parent
    return step is outer


def repeated_together(first: Place, second: Place) -> bool:
    """True if both stand in the body of one ``repeat`` or ``until``.

    There a node sees what the others gave in the iteration before.
    """
    a, b = _below_common(first, second)
    around = first if a is None or b is None else a.parent
    while around is not None:
        if isinstance(around.node, Repeat | Until):
            return True
        around = around.parent
    return False


def _below_common(first: Place, second: Place) -> tuple[Place | None, Place | None]:
    """Return the places just below the common ancestor; None for the one that is it."""
    a: Place | None = first
    b: Place | None = second
    below_a = below_b = None
    while a is not b and a is not None and b is not None:
        if a.depth >= b.depth:
            below_a, a = a, a.parent
        if b.depth > (a.depth if a is not None else -1):
            below_b, b = b, b.parent
    return below_a, below_b


def _reach(graph: Place) -> list[int]:
    if graph.reach is None:
        assert isinstance(graph.node, Graph)  # noqa: S101 - the caller has matched it
        order = ordered(len(graph.node.nodes), graph.node.edges) or ()
        following: list[list[int]] = [[] for _ in graph.node.nodes]
        for source, target in graph.node.edges:
            following[source].append(target)
        graph.reach = [0] * len(graph.node.nodes)
        for position in reversed(order):
            for target in following[position]:
                graph.reach[position] |= graph.reach[target] | 1 << target
    return graph.reach


def ordered(count: int, edges: Sequence[tuple[int, int]]) -> list[int] | None:
    """Return positions 0 to ``count - 1`` so that every edge goes forward; None for a cycle."""
    waiting = [0] * count
    following: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        waiting[target] += 1
        following[source].append(target)
    ready = [position for position in range(count) if not waiting[position]]
    for position in ready:
        for target in following[position]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return ready if len(ready) == count else None
