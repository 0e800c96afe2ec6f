"""Reading a flow that is written as a list of edges: ``a >> (b & c)``, ``(b & c) >> d``.

The same name is the same node wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import assert_never

from msgspec import Struct, field

from tailrace.flows.graph_nodes import MAX_DEPTH, TOO_DEEP, GraphBuilder
from tailrace.flows.graph_tree import (
    Group,
    LoopTerm,
    Pipeline,
    PipeTerm,
    SwitchTerm,
    TaskTerm,
    Term,
    Value,
)
from tailrace.model import Graph, Node, SourceSpan

_Ends = tuple[tuple[int, ...], tuple[int, ...]]
"""Positions of the nodes a piece starts with, and of those it ends with."""


def read_edges(
    entries: Sequence[Pipeline], chains: Sequence[Pipeline], builder: GraphBuilder
) -> Node | None:
    """Return the graph of some chains.

    ``entries`` name the nodes the flow starts with; without any, these are all nodes that nothing
    leads to. Reported: nodes that cannot be reached (TR118), circles (TR132), and one name for two
    tasks (TR130).
    """
    # Of two definitions of one name the first counts; the second is reported where it stands.
    definitions = dict(reversed([*_definitions([*chains, *entries])]))
    reader = _EdgeReader(builder, definitions)
    for chain in chains:
        reader.chain(chain)
    starts: list[int] = []
    for entry in entries:
        if len(entry.terms) > 1:
            builder.leave_out(
                "TR118",
                "an entry is one node or a group, and this is a sequence",
                entry.where,
                "Move the sequence to edges, and name its first node here.",
            )
        starts.extend(reader.chain(entry)[0])
    return reader.graph(starts)


def _definitions(pipelines: Iterable[Pipeline]) -> Iterator[tuple[str, Term]]:
    """Yield what is written as ``name: …``, with its name."""
    for pipeline in pipelines:
        for term in pipeline.terms:
            match term:
                case TaskTerm() | SwitchTerm() | LoopTerm():
                    if term.name:
                        yield term.name, term
                case Group():
                    if term.name:
                        yield term.name, term
                    else:
                        yield from _definitions(term.members)
                case Pipeline():
                    yield from _definitions([term])
                case PipeTerm():
                    pass
                case _:
                    assert_never(term)


class _EdgeReader(Struct, eq=False):
    builder: GraphBuilder
    definitions: dict[str, Term]
    nodes: list[Node] = field(default_factory=list)
    places: list[SourceSpan] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    known: dict[object, int] = field(default_factory=dict)
    """Position of a node by its name, or by how it is written."""
    edges: dict[tuple[int, int], None] = field(default_factory=dict)
    _depth: int = 0

    def chain(self, pipeline: Pipeline) -> _Ends:
        """Take the nodes and edges of a pipeline."""
        self._depth += 1
        ends: list[_Ends] = []
        if self._depth > MAX_DEPTH + 1:
            self.builder.leave_out("TR126", TOO_DEEP, pipeline.where, "Write it in fewer levels.")
        else:
            ends = [self._ends(term) for term in pipeline.terms]
        self._depth -= 1
        for (_, exits), (entries, _) in pairwise(ends):
            self.edges |= dict.fromkeys((left, right) for left in exits for right in entries)
        return (ends[0][0], ends[-1][1]) if ends else ((), ())

    def _ends(self, term: Term) -> _Ends:
        if not self.builder.admits(term):
            return (), ()
        match term:
            case Pipeline():
                return self.chain(term)
            case PipeTerm():
                inner = self.builder.enter_pipe(term)
                if inner is None:
                    return (), ()
                with self.builder.inside_pipe(term.pipe):
                    return self.chain(inner)
            case Group(is_race=False, name=""):
                members = [self.chain(member) for member in term.members]
                entries = dict.fromkeys(at for starts, _ in members for at in starts)
                exits = dict.fromkeys(at for _, ends in members for at in ends)
                return tuple(entries), tuple(exits)
            case TaskTerm() | Group() | SwitchTerm() | LoopTerm():
                return self._node(term)
            case _:
                assert_never(term)

    def _node(self, term: TaskTerm | Group | SwitchTerm | LoopTerm) -> _Ends:
        name = term.name or (term.task if isinstance(term, TaskTerm) else "")
        key: object = name or spelling(term)
        if key in self.known:
            self._check_same(name, term, self.known[key])
        else:
            built = self._build(name, term)
            if built is None:
                self.builder.is_whole = False
                return (), ()
            self.known[key] = len(self.nodes)
            self.nodes.append(built)
            self.places.append(term.where)
            self.labels.append(name or "this block")
        return (self.known[key],), (self.known[key],)

    def _build(self, name: str, term: Term) -> Node | None:
        found = self.definitions.get(name, term)
        if isinstance(found, TaskTerm):
            return self.builder.build(TaskTerm(found.task, name, term.where))
        return self.builder.build(found)

    def _check_same(self, name: str, term: Term, position: int) -> None:
        definition = self.definitions.get(name, term)
        if not getattr(term, "name", "") or spelling(definition) == spelling(term):
            return
        self.builder.leave_out(
            "TR130",
            f"the name {name!r} is given to two nodes; the first is on line "
            f"{self.places[position].line}",
            term.where,
            "Give the second its own name.",
        )

    def graph(self, starts: Sequence[int]) -> Node | None:
        """Return the graph, once nothing is unreachable and no circle is left."""
        if not self.nodes:
            return None
        following: list[list[int]] = [[] for _ in self.nodes]
        for source, target in self.edges:
            following[source].append(target)
        circle = _circle(following)
        if circle:
            self._refuse_circle(circle)
            return None
        led_to = {target for _, target in self.edges}
        begin = starts or [at for at in range(len(self.nodes)) if at not in led_to]
        reached = _reached(begin, following)
        for position in range(len(self.nodes)):
            if position not in reached:
                self._refuse_unreachable(position)
        return Graph(nodes=tuple(self.nodes), edges=tuple(self.edges))

    def _refuse_circle(self, circle: Sequence[int]) -> None:
        names = " >> ".join(self.labels[position] for position in (*circle, circle[0]))
        self.builder.leave_out(
            "TR132",
            f"the edges run in a circle: {names}",
            self.places[circle[0]],
            "Take out an edge that leads back, or write a loop with until or repeat.",
        )

    def _refuse_unreachable(self, position: int) -> None:
        self.builder.leave_out(
            "TR118",
            f"{self.labels[position]!r} is never reached: no edge leads to it from the entry",
            self.places[position],
            f"Add an edge to {self.labels[position]}, or name it in entry.",
        )


def _reached(starts: Iterable[int], following: Sequence[Sequence[int]]) -> set[int]:
    seen = set(starts)
    stack = list(seen)
    while stack:
        for target in following[stack.pop()]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


def _circle(following: Sequence[Sequence[int]]) -> list[int]:
    """Return the nodes of one circle, in the direction of the edges; empty when there is none."""
    done: set[int] = set()
    for start in range(len(following)):
        path = {} if start in done else {start: iter(following[start])}
        while path:
            step = next(reversed(path))
            for target in path[step]:
                if target in path:
                    nodes = list(path)
                    return nodes[nodes.index(target) :]
                if target not in done:
                    path[target] = iter(following[target])
                    break
            else:
                path.popitem()
                done.add(step)
    return []


def spelling(term: Term | Pipeline) -> tuple[object, ...]:
    """Return how a term is written, without its places: equal for equal texts."""
    match term:
        case TaskTerm():
            return ("task", term.task, term.name)
        case PipeTerm():
            return ("pipe", term.pipe)
        case Pipeline():
            return ("pipeline", *map(spelling, term.terms))
        case Group():
            return ("group", term.is_race, term.name, *map(spelling, term.members))
        case SwitchTerm():
            cases = ((_value(case.key), spelling(case.body)) for case in term.cases)
            default = None if term.default is None else spelling(term.default)
            return ("switch", term.name, _value(term.on), default, *cases)
        case LoopTerm():
            arguments = sorted((key, _value(value)) for key, value in term.arguments.items())
            return (term.kind, term.name, spelling(term.body), *arguments)
        case _:
            assert_never(term)


def _value(value: Value) -> tuple[str, str]:
    return value.kind.value, value.text.strip()
