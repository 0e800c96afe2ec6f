"""What ``>>``, ``&`` and ``|`` work on, and what they give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.discovery import make_spec
from tailrace.model import (
    All,
    AnyOf,
    Flow,
    Graph,
    Node,
    Seq,
    SubFlow,
    TaskNode,
)


class Operand:
    """What can stand on either side of ``>>``, ``&`` and ``|``."""

    @property
    def node(self) -> Node:
        """The definition it stands for."""
        raise NotImplementedError

    def __rshift__(self, other: Any) -> Fragment:
        return _sequence(self, other)

    def __rrshift__(self, other: Any) -> Fragment:
        return _sequence(other, self)

    def __and__(self, other: Any) -> Fragment:
        return _all_of(self, other)

    def __rand__(self, other: Any) -> Fragment:
        return _all_of(other, self)

    def __or__(self, other: Any) -> Fragment:
        return _any_of(self, other)

    def __ror__(self, other: Any) -> Fragment:
        return _any_of(other, self)


class Fragment(Operand):
    """A composition of tasks."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def node(self) -> Node:
        """The definition it stands for."""
        return self._node

    def named(self, name: str) -> Fragment:
        """Return the container under a name of its own, shown in traces and paths.

        Raises:
            DefinitionError: it is a sequence, which has no name.
        """
        if isinstance(self._node, Seq | Graph):
            raise DefinitionError(
                f"a sequence cannot be named {name!r}",
                code="TR131",
                hint="Name its tasks, or the group or loop around it.",
            )
        return Fragment(replace(self._node, name=name))

    def __repr__(self) -> str:
        name = getattr(self._node, "name", "")
        return f"<Fragment {type(self._node).__name__.lower()}{f' {name}' if name else ''}>"


def as_node(operand: Any) -> Node:
    """Return the definition of anything that can stand in a flow.

    Tasks, fragments, flows, plain callables, lists and tuples (a group), and all else that
    ``make_spec`` takes, such as task objects of the ``pyoco`` package.

    Raises:
        DefinitionError: it is none of these.
    """
    if isinstance(operand, Operand):
        return operand.node
    if isinstance(operand, Node):
        return operand
    if isinstance(operand, Flow):
        return SubFlow(name="", flow=operand)
    if type(operand) in {list, tuple}:
        return All(children=_members(operand))
    try:
        spec = make_spec(operand)
    except DefinitionError as error:
        if callable(operand):
            raise
        raise DefinitionError(
            f"{operand!r} cannot be a node of a flow; allowed: tasks, functions, groups of these",
            code="TR128",
            hint="Put a function there, or wrap the value in one.",
        ) from error
    return TaskNode(name="" if _is_lambda(operand) else spec.name, task=spec)


def _is_lambda(operand: Any) -> bool:
    return getattr(operand, "__name__", "") == "<lambda>"


def _members(operands: Iterable[Any]) -> tuple[Node, ...]:
    return tuple(as_node(member) for member in operands)


def _sequence(*operands: Any) -> Fragment:
    return Fragment(Seq(children=_flat(Seq, operands)))


def _all_of(*operands: Any) -> Fragment:
    return Fragment(All(children=_flat(All, operands)))


def _any_of(*operands: Any) -> Fragment:
    return Fragment(AnyOf(children=_flat(AnyOf, operands)))


def _flat(kind: type[Seq | All | AnyOf], operands: Iterable[Any]) -> tuple[Node, ...]:
    """Return the operands' nodes; an unnamed composition of the same kind gives its own."""
    nodes: list[Node] = []
    for node in _members(operands):
        if isinstance(node, kind) and not getattr(node, "name", ""):
            nodes.extend(node.children)
        else:
            nodes.append(node)
    return tuple(nodes)
