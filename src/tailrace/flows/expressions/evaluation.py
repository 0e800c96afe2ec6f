"""One evaluation: the names it sees, and the work it has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from tailrace.flows.expressions.limits import MAX_STEPS, too_much
from tailrace.model import Scope

_CHEAP = 16
"""Values that one step of a scan at C speed passes over."""


SCALARS = frozenset({int, str, float, bool, type(None)})
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


class Evaluation:
    """Counts steps, so that no expression runs long whatever the values are."""

    __slots__ = ("_left", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._left = MAX_STEPS

    def charge(self, steps: int, column: int) -> None:
        """Take steps off.

        Raises:
            ExpressionError: there are none left.
        """
        self._left -= steps
        if self._left < 0:
            raise too_much("the work of one evaluation, in values touched,", MAX_STEPS, column)

    def charge_scan(self, length: int, column: int) -> None:
        """Take off what one fast pass over ``length`` values costs."""
        self.charge(length // _CHEAP, column)

    def charge_deep(self, value: Any, column: int) -> None:
        """Take off one step for each value inside a container, as often as it is reached."""
        pending = [value]
        while pending:
            current = pending.pop()
            self.charge(len(current), column)
            if type(current) is not list and isinstance(current, Mapping):
                current = current.values()
            pending.extend(item for item in current if is_container(item))


def is_container(value: Any) -> bool:
    """Return whether a value may hold others."""
    kind = type(value)
    if kind in SCALARS or kind in _CONTAINERS:
        return kind in _CONTAINERS
    return isinstance(value, Mapping | Sequence | AbstractSet) and not isinstance(
        value, str | bytes
    )


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__qualname__}"
