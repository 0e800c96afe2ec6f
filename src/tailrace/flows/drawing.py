"""A flow as boxes and arrows, for the formats of diagrams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct, field

from tailrace.flows.outline import case_name, detail_of
from tailrace.flows.tree import fold
from tailrace.model import (
    AnyOf,
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


class Box(Struct, frozen=True):
    """One node. ``shape`` is ``task``, ``choice``, ``flow`` or ``handler``."""

    id: str
    shape: str
    label: str


class Frame(Struct, frozen=True):
    """A frame around what is inside a loop or a race."""

    id: str
    label: str
    inside: tuple[Box | Frame, ...]


class Arrow(Struct, frozen=True):
    """From one box to another; ``is_back``: back to the start of a loop."""

    source: str
    target: str
    label: str = ""
    is_back: bool = False


class Drawing(Struct, frozen=True):
    """All boxes, frames and arrows of a flow."""

    name: str
    shapes: tuple[Box | Frame, ...]
    arrows: tuple[Arrow, ...]


class _Piece(Struct, frozen=True):
    """What is drawn for a node. ``exits`` are boxes with the label of the arrow that leaves."""

    shapes: tuple[Box | Frame, ...]
    entries: tuple[str, ...]
    exits: tuple[tuple[str, str], ...]


def draw(flow: Flow) -> Drawing:
    """Return the drawing of a flow."""
    artist = _Artist()
    shapes: tuple[Box | Frame, ...] = ()
    if flow.root is not None:
        shapes = fold(flow.root, artist.piece).shapes
    handlers = (Box(f"h{number}", "handler", name) for number, name in enumerate(flow.handlers))
    return Drawing(flow.name, (*shapes, *handlers), tuple(artist.arrows))


class _Artist(Struct):
    arrows: list[Arrow] = field(default_factory=list)

    def piece(self, node: Node, parts: list[_Piece], number: int) -> _Piece:
        """Draw a node around what was drawn for its children."""
        match node:
            case TaskNode() | SubFlow():
                return _single(node, f"n{number}")
            case Seq():
                for left, right in pairwise(parts):
                    self._connect(left.exits, right.entries)
                return _Piece(_shapes(parts), parts[0].entries, parts[-1].exits)
            case Graph():
                return self._graph(node, parts)
            case Switch():
                return self._switch(node, parts, f"n{number}")
            case ForEach() | Repeat() | Until():
                return self._loop(node, parts[0], f"n{number}")
            case _:
                return _group(node, parts, f"n{number}")

    def _connect(self, exits: Iterable[tuple[str, str]], entries: Iterable[str]) -> None:
        targets = tuple(entries)
        self.arrows.extend(
            Arrow(source, target, label) for source, label in exits for target in targets
        )

    def _graph(self, node: Graph, parts: Sequence[_Piece]) -> _Piece:
        for source, target in node.edges:
            self._connect(parts[source].exits, parts[target].entries)
        targets = {target for _, target in node.edges}
        sources = {source for source, _ in node.edges}
        return _Piece(
            _shapes(parts),
            tuple(
                entry
                for number, part in enumerate(parts)
                if number not in targets
                for entry in part.entries
            ),
            tuple(
                leave
                for number, part in enumerate(parts)
                if number not in sources
                for leave in part.exits
            ),
        )

    def _switch(self, node: Switch, parts: Sequence[_Piece], own: str) -> _Piece:
        labels = [case_name(case) for case in node.cases]
        labels += [] if node.default is None else ["default"]
        for label, part in zip(labels, parts, strict=True):
            self._connect([(own, label)], part.entries)
        choice = Box(own, "choice", f"{node.name}\n{detail_of(node)}")
        exits = tuple(leave for part in parts for leave in part.exits)
        return _Piece((choice, *_shapes(parts)), (own,), exits)

    def _loop(self, node: ForEach | Repeat | Until, body: _Piece, own: str) -> _Piece:
        self.arrows.extend(
            Arrow(source, target, is_back=True)
            for source, _ in body.exits
            for target in body.entries
        )
        frame = Frame(own, f"{node.name}\n{detail_of(node)}", body.shapes)
        return _Piece((frame,), body.entries, body.exits)


def _group(node: Node, parts: Sequence[_Piece], own: str) -> _Piece:
    shapes = _shapes(parts)
    if isinstance(node, AnyOf):
        shapes = (Frame(own, f"{node.name}\n{detail_of(node)}", shapes),)
    entries = tuple(entry for part in parts for entry in part.entries)
    return _Piece(shapes, entries, tuple(leave for part in parts for leave in part.exits))


def _single(node: TaskNode | SubFlow, own: str) -> _Piece:
    if isinstance(node, SubFlow):
        box = Box(own, "flow", f"{node.name}\n{detail_of(node)}")
    else:
        box = Box(own, "choice" if node.task.routes else "task", node.name)
    return _Piece((box,), (own,), ((own, ""),))


def _shapes(parts: Sequence[_Piece]) -> tuple[Box | Frame, ...]:
    return tuple(shape for part in parts for shape in part.shapes)
