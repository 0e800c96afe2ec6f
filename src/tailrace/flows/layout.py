"""Laying a scope out as steps and edges: sequences, groups and graphs dissolve."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise

from msgspec import Struct, field

from tailrace.flows.place import Place
from tailrace.model import All, Graph, GroupPlan, Seq, TaskNode

_Part = tuple[tuple[int, ...], tuple[int, ...]]
"""Entries and exits of what is laid out so far."""


class Layout(Struct, eq=False):
    """The steps of one scope before they are bound. Index is definition order.

    ``has_payload`` tells whether a value comes in where the scope starts.
    """

    root: Place | None
    has_payload: bool
    parent: Layout | None = None
    holder: Place | None = None
    """The container this is the inside of; its loop variables are seen here."""
    steps: list[Place] = field(default_factory=list)
    predecessors: list[tuple[int, ...]] = field(default_factory=list)
    successors: list[tuple[int, ...]] = field(default_factory=list)
    group_of: list[int | None] = field(default_factory=list)
    groups: list[GroupPlan] = field(default_factory=list)
    dormant: dict[str, int] = field(default_factory=dict)
    """Steps outside the graph, by name."""

    def step_has_payload(self, index: int) -> bool:
        """True if a value comes along the edge to a step. A route passes on what it got."""
        while True:
            before = self.predecessors[index]
            if not before:
                return self.has_payload
            node = self.steps[before[0]].node
            if len(before) > 1 or not (isinstance(node, TaskNode) and node.task.routes):
                return True
            index = before[0]

    def add(self, place: Place, group: int | None = None) -> int:
        """Append a step without edges and return its index."""
        self.steps.append(place)
        self.predecessors.append(())
        self.successors.append(())
        self.group_of.append(group)
        return len(self.steps) - 1


def lay_out(
    root: Place | None,
    *,
    has_payload: bool,
    parent: Layout | None = None,
    holder: Place | None = None,
) -> Layout:
    """Return the layout of the scope that starts at ``root``."""
    layout = Layout(root=root, has_payload=has_payload, parent=parent, holder=holder)
    if root is not None:
        _Builder(layout).run(root)
    return layout


class _Builder:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parts: list[_Part] = []
        self._open: list[tuple[int, int]] = []
        """Groups being laid out: position of the group, index of its first step."""

    def run(self, root: Place) -> None:
        work = [(root, False)]
        while work:
            place, inside_done = work.pop()
            if inside_done:
                self._leave(place)
            elif isinstance(place.node, Seq | All | Graph):
                if isinstance(place.node, All):
                    self._enter_group(place)
                work.append((place, True))
                work.extend((child, False) for child in reversed(place.children))
            else:
                group = self._open[-1][0] if self._open else None
                index = self._layout.add(place, group)
                self._parts.append(((index,), (index,)))

    def _enter_group(self, place: Place) -> None:
        groups = self._layout.groups
        parent = self._open[-1][0] if self._open else None
        self._open.append((len(groups), len(self._layout.steps)))
        groups.append(GroupPlan(name=place.name, members=(), parent=parent))

    def _leave(self, place: Place) -> None:
        count = len(place.children)
        parts = self._parts[len(self._parts) - count :]
        del self._parts[len(self._parts) - count :]
        if isinstance(place.node, Seq):
            self._parts.append(self._in_sequence(parts))
        elif isinstance(place.node, Graph):
            self._parts.append(self._as_graph(parts, place.node.edges))
        else:
            self._leave_group()
            self._parts.append((_together(p[0] for p in parts), _together(p[1] for p in parts)))

    def _leave_group(self) -> None:
        position, first = self._open.pop()
        group = self._layout.groups[position]
        self._layout.groups[position] = GroupPlan(
            name=group.name,
            members=tuple(range(first, len(self._layout.steps))),
            parent=group.parent,
        )

    def _in_sequence(self, parts: list[_Part]) -> _Part:
        for (_, exits), (entries, _) in pairwise(parts):
            self._connect(exits, entries)
        return parts[0][0], parts[-1][1]

    def _connect(self, exits: tuple[int, ...], entries: tuple[int, ...]) -> None:
        """Join every exit with every entry; wide joins share one tuple per side."""
        layout = self._layout
        for index in entries:
            layout.predecessors[index] = exits
        for index in exits:
            layout.successors[index] = entries

    def _as_graph(self, parts: list[_Part], edges: tuple[tuple[int, int], ...]) -> _Part:
        layout = self._layout
        sources: list[list[int]] = [[] for _ in parts]
        targets: list[list[int]] = [[] for _ in parts]
        for source, target in sorted(set(edges)):
            sources[target].append(source)
            targets[source].append(target)
        for position, (entries, exits) in enumerate(parts):
            if sources[position]:
                before = _together(parts[source][1] for source in sources[position])
                for index in entries:
                    layout.predecessors[index] = before
            if targets[position]:
                after = _together(parts[target][0] for target in targets[position])
                for index in exits:
                    layout.successors[index] = after
        starts = [part[0] for part, before in zip(parts, sources, strict=True) if not before]
        ends = [part[1] for part, after in zip(parts, targets, strict=True) if not after]
        return _together(starts), _together(ends)


def _together(indices: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Return all indices in definition order."""
    return tuple(sorted(chain.from_iterable(indices)))
