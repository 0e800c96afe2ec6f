"""The parsed form of an expression: frozen data, compared without columns."""

from __future__ import annotations

from typing import Any, assert_never

from msgspec import Struct

_NOWHERE = -1


class _Part(Struct, frozen=True):
    """What all parts have in common: the column does not count where they are compared."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _content(self) == _content(other)

    def __hash__(self) -> int:
        return hash((type(self), *_content(self)))


def _content(part: Any) -> list[Any]:
    return [getattr(part, name) for name in part.__struct_fields__ if name != "column"]


class Literal(_Part, frozen=True):
    """A number, a text, true, false or null."""

    value: str | int | float | bool | None
    column: int = _NOWHERE


class Name(_Part, frozen=True):
    """A root name; ``ctx.a`` and ``$a`` are ``a``."""

    name: str
    column: int = _NOWHERE


class Field(_Part, frozen=True):
    """``operand.key`` or ``operand["key"]``."""

    operand: Tree
    key: str
    column: int = _NOWHERE


class Index(_Part, frozen=True):
    """``operand[index]``."""

    operand: Tree
    index: Tree
    column: int = _NOWHERE


class ListOf(_Part, frozen=True):
    """``[a, b]``."""

    items: tuple[Tree, ...]
    column: int = _NOWHERE


class MapOf(_Part, frozen=True):
    """``{"a": b}``."""

    pairs: tuple[tuple[str, Tree], ...]
    column: int = _NOWHERE


class Sign(_Part, frozen=True):
    """``-a`` or ``+a``."""

    op: str
    operand: Tree
    column: int = _NOWHERE


class Arithmetic(_Part, frozen=True):
    """``a op b``; op is one of ``+ - * / // %``."""

    op: str
    left: Tree
    right: Tree
    column: int = _NOWHERE


class Comparison(_Part, frozen=True):
    """``a < b <= c``, chained as in Python; ops are ``== != < <= > >= in`` and ``not in``."""

    first: Tree
    rest: tuple[tuple[str, Tree], ...]
    column: int = _NOWHERE


class Not(_Part, frozen=True):
    """``not a``."""

    operand: Tree
    column: int = _NOWHERE


class And(_Part, frozen=True):
    """``a and b``; the value is an operand, as in Python."""

    left: Tree
    right: Tree
    column: int = _NOWHERE


class Or(_Part, frozen=True):
    """``a or b``; what is missing in ``a`` counts as false."""

    left: Tree
    right: Tree
    column: int = _NOWHERE


class Conditional(_Part, frozen=True):
    """``then if condition else otherwise``."""

    then: Tree
    condition: Tree
    otherwise: Tree
    column: int = _NOWHERE


class Filtered(_Part, frozen=True):
    """``operand | name(arguments)``."""

    operand: Tree
    name: str
    arguments: tuple[Tree, ...]
    column: int = _NOWHERE


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
