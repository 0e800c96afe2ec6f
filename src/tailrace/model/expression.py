"""What an expression needs and gives. Parsing and evaluation live in ``flows``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Scope(Protocol):
    """The names an expression can see at one moment of a run."""

    def lookup(self, name: str) -> Any:
        """Return the value of a root name.

        Roots: ``params results node payload joins scratch artifacts env loop loops`` and the
        loop variables. ``node`` is a mapping from node name to ``{"output": value}``.

        Raises:
            KeyError: nothing has that name.
        """
        ...

    def names(self) -> Iterable[str]:
        """Return every root name that ``lookup`` knows, for suggestions."""
        ...


class Expression(Protocol):
    """A parsed expression or template, ready to be evaluated any number of times."""

    @property
    def source(self) -> str:
        """Canonical source text."""
        ...

    @property
    def references(self) -> tuple[tuple[str, ...], ...]:
        """Static paths it reads, such as ``("node", "fetch", "output")`` or ``("params", "n")``."""
        ...

    def evaluate(self, scope: Scope) -> Any:
        """Return the value.

        Raises:
            ExpressionError: an unknown name or key (with the nearest known one), a type error,
                or a limit reached.
        """
        ...
