"""The parsed form of an expression: frozen data, compared without columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

_COLUMN: Any = field(default=-1, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true, false or null."""

    value: str | int | float | bool | None
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Name:
    """A root name; ``ctx.a`` and ``$a`` are ``a``."""

    name: str
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Field:
    """``operand.key`` or ``operand["key"]``."""

    operand: Tree
    key: str
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Index:
    """``operand[index]``."""

    operand: Tree
    index: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    items: tuple[Tree, ...]
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class MapOf:
    """``{"a": b}``."""

    pairs: tuple[tuple[str, Tree], ...]
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Sign:
    """``-a`` or ``+a``."""

    op: str
    operand: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``a op b``; op is one of ``+ - * / // %``."""

    op: str
    left: Tree
    right: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Comparison:
    """``a < b <= c``, chained as in Python; ops are ``== != < <= > >= in`` and ``not in``."""

    first: Tree
    rest: tuple[tuple[str, Tree], ...]
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Not:
    """``not a``."""

    operand: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class And:
    """``a and b``; the value is an operand, as in Python."""

    left: Tree
    right: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Or:
    """``a or b``; what is missing in ``a`` counts as false."""

    left: Tree
    right: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Conditional:
    """``then if condition else otherwise``."""

    then: Tree
    condition: Tree
    otherwise: Tree
    column: int = _COLUMN


@dataclass(frozen=True, slots=True)
class Filtered:
    """``operand | name(arguments)``."""

    operand: Tree
    name: str
    arguments: tuple[Tree, ...]
    column: int = _COLUMN


Tree = (
    Literal | Name | Field | Index | ListOf | MapOf | Sign | Arithmetic | Comparison | Not | And
    | Or | Conditional | Filtered
)  # fmt: skip


def children(tree: Tree) -> tuple[Tree, ...]:
    """Return the direct parts of a tree, in the order they are written."""
    match tree:
        case Literal() | Name():
            return ()
        case Field(operand) | Sign(_, operand) | Not(operand):
            return (operand,)
        case Index(operand, index):
            return (operand, index)
        case ListOf(items):
            return items
        case MapOf(pairs):
            return tuple(value for _, value in pairs)
        case Arithmetic(_, left, right) | And(left, right) | Or(left, right):
            return (left, right)
        case Comparison(first, rest):
            return (first, *(operand for _, operand in rest))
        case Conditional(then, condition, otherwise):
            return (then, condition, otherwise)
        case Filtered(operand, _, arguments):
            return (operand, *arguments)
        case _:
            assert_never(tree)


def static_path(tree: Tree) -> tuple[Name, tuple[tuple[str | int, Tree], ...]] | None:
    """Return the root and the steps of a path whose keys are all written out, else None.

    A step is the key and the tree that ends with it.
    """
    steps: list[tuple[str | int, Tree]] = []
    current = tree
    while True:
        match current:
            case Name():
                return current, tuple(reversed(steps))
            case Field(operand, key):
                steps.append((key, current))
                current = operand
            case Index(operand, Literal(int(key))) if not isinstance(key, bool):
                steps.append((key, current))
                current = operand
            case Index(operand, Sign("-", Literal(int(key)))) if not isinstance(key, bool):
                steps.append((-key, current))
                current = operand
            case _:
                return None
