"""Finding the sequences and groups in a graph of edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from msgspec import Struct, field

from tailrace.model import All, Graph, Node, Seq


class _Part(Struct, frozen=True, eq=False):
    """A piece of the graph that is a nesting of sequences and groups."""

    first: int
    """The smallest position of a node in it."""
    parts: tuple[_Part, _Part] | None = None
    """None: it is the node ``first`` alone."""
    is_sequence: bool = False


def structure(nodes: Sequence[Node], edges: Sequence[tuple[int, int]]) -> Node:
    """Return the nesting of ``Seq`` and ``All`` that has exactly these edges, else a ``Graph``.

    Edges are pairs of positions in ``nodes``; sequences, graphs and groups without a name among
    these dissolve into edges first. In a sequence every exit of one part leads to every
    entry of the next. The members of a group stand in the order of ``nodes``. Takes time linear in
    nodes and edges.

    The nodes become the edges of another graph, whose points are the places where all of some
    nodes lead to all of some others; there, chains and parallel edges are joined until one edge
    is left (Valdes, Tarjan and Lawler, "The Recognition of Series Parallel Digraphs", 1982).
    """
    steps = dissolved(Graph(nodes=tuple(nodes), edges=tuple(edges)))
    points = _points(len(steps.nodes), sorted(steps.edges))
    whole = None if points is None else _reduced(points)
    if whole is None:
        return Graph(nodes=tuple(steps.nodes), edges=tuple(sorted(steps.edges)))
    return _tree(whole, steps.nodes)


class Steps(Struct, eq=False):
    """The nodes of a tree in definition order, and the edges between them by position."""

    nodes: list[Node] = field(default_factory=list)
    edges: set[tuple[int, int]] = field(default_factory=set)


_Ends = tuple[list[int], list[int]]


def dissolved(root: Node) -> Steps:
    """Return a tree as a graph: sequences, graphs and groups without a name become edges."""
    steps = Steps()
    done: list[_Ends] = []
    work: list[tuple[Node, bool]] = [(root, False)]
    while work:
        node, are_parts_done = work.pop()
        inner = _dissolving(node)
        if inner is None:
            done.append(([len(steps.nodes)], [len(steps.nodes)]))
            steps.nodes.append(node)
        elif not are_parts_done:
            work.append((node, True))
            work.extend((part, False) for part in reversed(inner))
        else:
            parts = done[len(done) - len(inner) :]
            del done[len(done) - len(inner) :]
            done.append(_joined(parts, _inner_edges(node), steps))
    return steps


def _dissolving(node: Node) -> tuple[Node, ...] | None:
    """Return what is inside a node that dissolves; None for one that stays."""
    match node:
        case Seq() | All(name=""):
            return node.children
        case Graph():
            return node.nodes
        case _:
            return None


def _inner_edges(node: Node) -> Sequence[tuple[int, int]]:
    match node:
        case Seq():
            return [(at, at + 1) for at in range(len(node.children) - 1)]
        case Graph():
            return node.edges
        case _:
            return ()


def _joined(parts: Sequence[_Ends], edges: Sequence[tuple[int, int]], steps: Steps) -> _Ends:
    """Add the edges between parts, and return what they start and end with together."""
    for source, target in edges:
        steps.edges.update(product(parts[source][1], parts[target][0]))
    sources, targets = {edge[0] for edge in edges}, {edge[1] for edge in edges}
    return (
        [step for at, (entries, _) in enumerate(parts) if at not in targets for step in entries],
        [step for at, (_, exits) in enumerate(parts) if at not in sources for step in exits],
    )


_START, _END = 0, 1


def _points(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """Return for each node the points it leads from and to.

    None when some nodes share a part of their successors only: no nesting has such edges.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
        before[target].append(source)
    point_after = _numbered(after, _END)
    point_before = _numbered(before, _START)
    same: dict[int, int] = {_END: _END}
    for source, target in edges:
        # All predecessors of a node must have the same successors, and the other way round.
        if same.setdefault(point_after[source], point_before[target]) != point_before[target]:
            return None
    if len(set(same.values())) < len(same):
        return None
    return [(point_before[node], same[point_after[node]]) for node in range(count)]


def _numbered(neighbours: list[list[int]], none: int) -> list[int]:
    """Return a number per distinct list of neighbours; ``none`` for an empty one."""
    numbers: dict[tuple[int, ...], int] = {(): none}
    return [numbers.setdefault(tuple(found), len(numbers) + 1) for found in neighbours]


def _reduced(points: Sequence[tuple[int, int]]) -> _Part | None:
    """Join chains and parallel edges until one is left; None when that does not succeed."""
    leaving: dict[int, dict[int, _Part]] = {}
    arriving: dict[int, set[int]] = {}
    waiting: list[int] = []

    def join(tail: int, head: int, part: _Part) -> None:
        there = leaving.setdefault(tail, {}).get(head)
        if there is not None:
            part = _Part(min(there.first, part.first), (there, part))
        leaving[tail][head] = part
        arriving.setdefault(head, set()).add(tail)
        waiting.extend((tail, head))

    for node, (tail, head) in enumerate(points):
        join(tail, head, _Part(node))
    while waiting:
        point = waiting.pop()
        if point in {_START, _END} or len(arriving.get(point, ())) != 1:
            continue
        if len(leaving.get(point, ())) != 1 or point in leaving[point]:
            continue
        tail = arriving.pop(point).pop()
        head, second = leaving.pop(point).popitem()
        arriving[head].discard(point)
        first = leaving[tail].pop(point)
        join(tail, head, _Part(min(first.first, second.first), (first, second), is_sequence=True))
    ends = [(tail, head) for tail, heads in leaving.items() for head in heads]
    return leaving[_START][_END] if ends == [(_START, _END)] else None


def _tree(whole: _Part, nodes: Sequence[Node]) -> Node:
    """Build the nodes of a part, from the inside out and without recursion."""
    built: list[Node] = []
    work: list[tuple[_Part, int]] = [(whole, -1)]
    while work:
        part, count = work.pop()
        if count >= 0:
            children = tuple(built[len(built) - count :])
            del built[len(built) - count :]
            built.append(Seq(children=children) if part.is_sequence else All(children=children))
        elif part.parts is None:
            built.append(nodes[part.first])
        else:
            members = _members(part)
            work.append((part, len(members)))
            work.extend((member, -1) for member in reversed(members))
    return built[0]


def _members(part: _Part) -> list[_Part]:
    """Return the parts of a sequence in order, or those of a group by their first node."""
    members: list[_Part] = []
    stack = [part]
    while stack:
        step = stack.pop()
        if step.parts is None or (step is not part and step.is_sequence != part.is_sequence):
            members.append(step)
        else:
            stack.extend(reversed(step.parts))
    return members if part.is_sequence else sorted(members, key=lambda member: member.first)
