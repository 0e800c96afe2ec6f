"""A tree back to text: the canonical spelling, with no more parentheses than needed."""

from __future__ import annotations

import json
import re
from typing import assert_never

from tailrace.flows.expressions.parse import (
    ACCESS,
    AND,
    ATOM,
    COMPARISON,
    CONDITIONAL,
    FILTER,
    NOT,
    OR,
    PRODUCT,
    SIGN,
    SUM,
)
from tailrace.flows.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Conditional,
    Field,
    Filtered,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Not,
    Or,
    Sign,
    Tree,
)

_PLAIN_KEY = re.compile(r"\w+")
_WORDS = {True: "true", False: "false", None: "null"}


def unparse(tree: Tree) -> str:
    """Return the canonical text of a tree; parsing it gives an equal tree."""
    return _written(tree)[0]


def quoted(text: str) -> str:
    """Return a text as a literal of the language."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(
        character if character.isprintable() else _escaped(character) for character in written
    )


def _escaped(character: str) -> str:
    """Return the JSON escape of each UTF-16 unit."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _at(tree: Tree, power: int) -> str:
    """Return the text of a part, in parentheses when it binds looser than its place needs."""
    text, own = _written(tree)
    return text if own >= power else f"({text})"


def _written(  # noqa: C901, PLR0911, PLR0912 - one case per kind of tree
    tree: Tree,
) -> tuple[str, int]:
    """Return the text of a tree and how tightly it binds."""
    match tree:
        case Literal(value):
            return _literal(value), ATOM
        case Name(name):
            return name, ATOM
        case Field(operand, key):
            step = f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{quoted(key)}]"
            return _base(operand) + step, ACCESS
        case Index(operand, index):
            return f"{_base(operand)}[{_at(index, CONDITIONAL)}]", ACCESS
        case ListOf(items):
            return f"[{', '.join(_at(item, CONDITIONAL) for item in items)}]", ATOM
        case MapOf(pairs):
            inner = ", ".join(f"{quoted(key)}: {_at(item, CONDITIONAL)}" for key, item in pairs)
            return f"{{{inner}}}", ATOM
        case Sign(op, operand):
            return op + _at(operand, SIGN), SIGN
        case Arithmetic(op, left, right):
            power = SUM if op in {"+", "-"} else PRODUCT
            return f"{_at(left, power)} {op} {_at(right, power + 1)}", power
        case Comparison(first, rest):
            operands = "".join(f" {op} {_at(operand, SUM)}" for op, operand in rest)
            return _at(first, SUM) + operands, COMPARISON
        case Not(operand):
            return f"not {_at(operand, NOT)}", NOT
        case And(left, right):
            return f"{_at(left, AND)} and {_at(right, NOT)}", AND
        case Or(left, right):
            return f"{_at(left, OR)} or {_at(right, AND)}", OR
        case Conditional(then, condition, otherwise):
            parts = (_at(then, OR), _at(condition, OR), _at(otherwise, CONDITIONAL))
            return "{} if {} else {}".format(*parts), CONDITIONAL
        case Filtered(operand, name, arguments):
            inner = ", ".join(_at(argument, CONDITIONAL) for argument in arguments)
            call = f"{name}({inner})" if arguments else name
            return f"{_at(operand, FILTER)} | {call}", FILTER
        case _:
            assert_never(tree)


def _base(operand: Tree) -> str:
    """Return what stands before a key; a number would swallow the dot."""
    text = _at(operand, ACCESS)
    if isinstance(operand, Literal) and not isinstance(operand.value, str):
        return f"({text})"
    return text


def _literal(value: str | float | None) -> str:
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    return quoted(value) if isinstance(value, str) else repr(value)
