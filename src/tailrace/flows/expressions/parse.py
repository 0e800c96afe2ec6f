"""Tokens to a tree, by operator precedence.

From loose to tight: ``if else``, ``or``, ``and``, ``not``, comparisons, ``+ -``, ``* / // %``,
signs, ``| filter``, ``.key [index]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.filters import check_filter
from tailrace.flows.expressions.limits import MAX_HEIGHT, MAX_NESTING, too_much
from tailrace.flows.expressions.tokens import WORDS, Kind, Token, is_name, tokenize
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
    children,
)

T = TypeVar("T")

CONDITIONAL, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, FILTER, ACCESS, ATOM = range(1, 12)

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_POWERS = (
    {"if": CONDITIONAL, "or": OR, "and": AND, "not": COMPARISON}
    | dict.fromkeys(_COMPARISONS, COMPARISON)
    | dict.fromkeys(("+", "-"), SUM)
    | dict.fromkeys(("*", "/", "//", "%"), PRODUCT)
)
_CONSTANTS = {
    "true": True, "True": True, "false": False, "False": False,
    "null": None, "none": None, "None": None,
}  # fmt: skip
_SELECTOR = re.compile(
    r"\$?[^\W\d]\w*"
    r"(?:\.\w+(?:-+\w+)*|\[(?:-?[0-9]{1,18}|\"[^\"\\]*\"|'[^'\\]*')\])*"
)
_STEP = re.compile(
    r"\.(?P<key>[\w-]+)|\[(?:(?P<index>-?[0-9]+)|(?P<quote>[\"'])(?P<text>.*?)(?P=quote))\]",
    re.DOTALL,
)


def parse(source: str) -> Tree:
    """Return the tree of a whole text.

    Raises:
        ExpressionError: it is no expression; ``column`` says where.
    """
    parser = _Parser(tokenize(source))
    return _bounded(parser.whole())


def parse_braces(source: str, start: int) -> tuple[Tree, int]:
    """Return the tree of what stands from ``start`` to the closing ``}}``, and where that ends.

    Raises:
        ExpressionError: it is no expression, or is never closed.
    """
    tokens = tokenize(source, start, inside_braces=True)
    return _bounded(_Parser(tokens).whole()), tokens[-1].column + 2


def parse_selector(source: str) -> Tree | None:
    """Return the tree of a path alone, in which keys may hold ``-``; None when it is more.

    ``$node.fetch-data.output`` is a path here, and a subtraction inside braces.
    """
    start = source.startswith("$")
    end = min((source.find(mark) for mark in ".[" if mark in source), default=len(source))
    root = source[start:end]
    if root in WORDS or not _SELECTOR.fullmatch(source):
        return None
    tree: Tree = Name(root, 0)
    for step in _STEP.finditer(source, end):
        if step["index"] is not None:
            tree = Index(tree, _integer(int(step["index"])), step.start())
        else:
            key = step["text"] if step["key"] is None else step["key"]
            tree = _field(tree, key, step.start())
    return _refuse_bare_context(tree)


def _integer(value: int) -> Tree:
    return Literal(value) if value >= 0 else Sign("-", Literal(-value))


def _field(operand: Tree, key: str, column: int) -> Tree:
    """Return the tree of ``operand.key``; the root ``ctx`` holds the other roots."""
    if not isinstance(operand, Name) or operand.name != "ctx":
        return Field(operand, key, column)
    if not is_name(key):
        raise ExpressionError(
            f"'ctx' holds no {key!r}",
            code="TR144",
            column=column,
            hint="Name a root, such as ctx.params or ctx.results.",
        )
    return Name(key, column)


def _refuse_bare_context(tree: Tree) -> Tree:
    if isinstance(tree, Name) and tree.name == "ctx":
        raise ExpressionError(
            "'ctx' alone is no value",
            code="TR140",
            column=tree.column,
            hint="Name what you want of it, such as ctx.params or ctx.results.",
        )
    return tree


def _bounded(tree: Tree) -> Tree:
    """Return the tree unless it is too high for the passes, which recurse."""
    level: tuple[Tree, ...] = (tree,)
    for _ in range(MAX_HEIGHT + 1):
        level = tuple(child for parent in level for child in children(parent))
        if not level:
            return tree
    raise too_much("the number of operators on top of one another", MAX_HEIGHT, level[0].column)


def _is_operator(token: Token) -> bool:
    return token.kind is Kind.SYMBOL or token.kind is Kind.WORD


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._nesting = 0

    def _peek(self) -> Token:
        return self._tokens[self._position]

    def _is(self, text: str) -> bool:
        token = self._peek()
        return token.text == text and _is_operator(token)

    def _take(self) -> Token:
        token = self._peek()
        self._position += 1
        return token

    def _skip(self, text: str) -> bool:
        if self._is(text):
            self._position += 1
            return True
        return False

    def _expect(self, text: str, purpose: str) -> None:
        if not self._skip(text):
            raise self._unexpected(f"{text!r} {purpose}")

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._peek()
        seen = "the end" if token.kind is Kind.END else repr(token.text)
        hint = ""
        if token.text == "for":
            hint = "There are no comprehensions; compute the list in a task."
        elif token.text == "is":
            hint = "Write '==' and '!=', also for null."
        elif token.kind in {Kind.NAME, Kind.NUMBER, Kind.TEXT}:
            hint = "Put an operator between the two values, or quotes around a text."
        return ExpressionError(
            f"expected {expected}, found {seen}", code="TR140", column=token.column, hint=hint
        )

    def whole(self) -> Tree:
        """Parse everything up to the end."""
        if self._peek().kind is Kind.END:
            raise ExpressionError(
                "the expression is empty",
                code="TR140",
                column=self._peek().column,
                hint="Write a path such as params.name.",
            )
        tree = self._expression()
        if self._peek().kind is not Kind.END:
            raise self._unexpected("an operator or the end")
        return tree

    def _expression(self, power: int = CONDITIONAL) -> Tree:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise too_much("the nesting of the expression", MAX_NESTING, self._peek().column)
        tree = self._prefixed(power)
        while _is_operator(self._peek()):
            found = _POWERS.get(self._peek().text, 0)
            if found < power or found == 0:
                break
            tree = self._infix(tree, found)
        self._nesting -= 1
        return tree

    def _infix(self, left: Tree, power: int) -> Tree:
        token = self._peek()
        if power == COMPARISON:
            return self._comparison(left)
        self._take()
        match power:
            case 1:
                condition = self._expression(OR)
                self._expect("else", "to complete 'a if condition else b'")
                return Conditional(left, condition, self._expression(), token.column)
            case 2:
                return Or(left, self._expression(AND), token.column)
            case 3:
                return And(left, self._expression(NOT), token.column)
            case _:
                right = self._expression(power + 1)
                return Arithmetic(token.text, left, right, token.column)

    def _comparison(self, first: Tree) -> Tree:
        column = self._peek().column
        rest: list[tuple[str, Tree]] = []
        while True:
            if self._skip("not"):
                self._expect("in", "after 'not' between two values")
                op = "not in"
            elif self._peek().text in _COMPARISONS and _is_operator(self._peek()):
                op = self._take().text
            else:
                return Comparison(first, tuple(rest), column)
            rest.append((op, self._expression(SUM)))

    def _prefixed(self, power: int) -> Tree:
        token = self._peek()
        if self._is("not"):
            if power > NOT:
                raise self._unexpected("a value (put parentheses around 'not …')")
            self._take()
            return Not(self._expression(NOT), token.column)
        if self._is("-") or self._is("+"):
            self._take()
            return Sign(token.text, self._expression(SIGN), token.column)
        return self._suffixed(self._atom())

    def _suffixed(self, tree: Tree) -> Tree:
        while True:
            column = self._peek().column
            if self._skip("."):
                if self._peek().kind is not Kind.KEY:
                    raise self._unexpected("a key after '.'")
                tree = _field(tree, self._take().text, column)
            elif self._skip("["):
                tree = self._subscript(tree, column)
            elif self._is("("):
                raise self._call()
            else:
                return self._filtered(_refuse_bare_context(tree))

    def _subscript(self, operand: Tree, column: int) -> Tree:
        if self._is(":"):
            raise self._slice()
        index = self._expression()
        if self._is(":"):
            raise self._slice()
        self._expect("]", "after the index")
        if isinstance(index, Literal) and isinstance(index.value, str):
            return _field(operand, index.value, column)
        return Index(operand, index, column)

    def _slice(self) -> ExpressionError:
        return ExpressionError(
            "slices are not part of the language",
            code="TR142",
            column=self._peek().column,
            hint="Take one item with [0] or [-1], or slice in a task.",
        )

    def _call(self) -> ExpressionError:
        return ExpressionError(
            "calls are not part of the language",
            code="TR142",
            column=self._peek().column,
            hint="Use a filter such as '| length', or compute the value in a task.",
        )

    def _filtered(self, tree: Tree) -> Tree:
        while self._skip("|"):
            token = self._peek()
            if token.kind not in {Kind.NAME, Kind.WORD}:
                raise self._unexpected("the name of a filter after '|'")
            self._take()
            arguments: tuple[Tree, ...] = ()
            if self._skip("("):
                arguments = self._listed(")", self._expression)
            check_filter(token.text, len(arguments), token.column)
            tree = Filtered(tree, token.text, arguments, token.column)
            if self._is(".") or self._is("["):
                raise self._unexpected("an operator (put parentheses around 'a | filter')")
        return tree

    def _listed(self, end: str, item: Callable[[], T]) -> tuple[T, ...]:
        """Parse items up to ``end``; a comma after the last one is fine."""
        items: list[T] = []
        while not self._skip(end):
            items.append(item())
            if not self._is(end):
                self._expect(",", f"or {end!r}")
        return tuple(items)

    def _atom(self) -> Tree:
        token = self._peek()
        match token.kind:
            case Kind.NUMBER | Kind.TEXT:
                self._take()
                return Literal(token.value, token.column)
            case Kind.NAME:
                self._take()
                return Name(token.text, token.column)
            case Kind.WORD if token.text in _CONSTANTS:
                self._take()
                return Literal(_CONSTANTS[token.text], token.column)
            case _:
                return self._bracketed(token)

    def _bracketed(self, token: Token) -> Tree:
        if self._skip("("):
            inner = self._expression()
            self._expect(")", "to close '('")
            return inner
        if self._skip("["):
            return ListOf(self._listed("]", self._expression), token.column)
        if self._skip("{"):
            return self._mapping(token.column)
        raise self._unexpected("a value")

    def _mapping(self, column: int) -> Tree:
        seen: set[str] = set()

        def pair() -> tuple[str, Tree]:
            token = self._peek()
            if token.kind is not Kind.TEXT:
                raise self._unexpected("a key in quotes")
            if token.value in seen:
                raise ExpressionError(
                    f"the key {token.value!r} appears twice",
                    code="TR140",
                    column=token.column,
                    hint="Remove one of the two.",
                )
            self._take()
            seen.add(token.value)
            self._expect(":", "after the key")
            return token.value, self._expression()

        return MapOf(self._listed("}", pair), column)
