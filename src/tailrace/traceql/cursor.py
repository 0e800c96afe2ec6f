"""The tokens of a query and the place that has been reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tailrace.traceql.fault import Fault, Place, nearest, shown
from tailrace.traceql.limits import MAX_NESTING
from tailrace.traceql.tokens import Kind, Token, tokenize

_FOREIGN = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!", "null": "nil"}


def _one_of(wanted: list[str]) -> str:
    *most, last = wanted
    return f"{', '.join(most)} or {last}" if most else last


class Cursor:
    """Reads tokens one by one; what does not fit raises a Fault at its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0
        self.token = self._tokens[0]
        self.size = len(self._tokens)

    def advance(self) -> Token:
        """Return the current token and go on to the next."""
        token = self.token
        if token.kind is not Kind.END:
            self._at += 1
            self.token = self._tokens[self._at]
        return token

    def following(self) -> Token:
        """Return the token after the current one."""
        return self._tokens[min(self._at + 1, self.size - 1)]

    def sees(self, symbol: str) -> bool:
        """Return whether the current token is this symbol."""
        return self.token.text == symbol and self.token.kind is Kind.SYMBOL

    def sees_name(self, name: str) -> bool:
        """Return whether the current token is this word."""
        return self.token.text == name and self.token.kind is Kind.NAME

    def accept(self, symbol: str) -> bool:
        """Go past the symbol if it is the current token."""
        if self.sees(symbol):
            self.advance()
            return True
        return False

    def expect(self, symbol: str, *, after: str = "") -> Token:
        """Go past the symbol and return it.

        Raises:
            Fault: something else stands here.
        """
        if not self.sees(symbol):
            self.fail([f"'{symbol}'"], after=after)
        return self.advance()

    def fail(
        self, expected: Iterable[str], *, after: str = "", known: Iterable[str] = (), hint: str = ""
    ) -> NoReturn:
        """Raise the Fault for the current token: what was expected, and the nearest known word."""
        wanted = list(expected)
        token = self.token
        seen = "the end of the query" if token.kind is Kind.END else shown(token.text)
        near = nearest(token.text, known) if token.kind is Kind.NAME else ""
        code = "TR202"
        message = f"expected {_one_of(wanted)}{after and f' after {after}'}, found {seen}"
        if token.kind is Kind.NAME and known:
            code, message = "TR203", f"unknown name {seen}"
        if near:
            hint = f"Did you mean '{near}'?"
        raise Fault(
            message, token.place, code=code, hint=hint or self._advice(token), expected=wanted
        )

    def _advice(self, token: Token) -> str:
        before = self._tokens[self._at - 1] if self._at else None
        if token.text == "=" and before and before.text == "=":
            return "Write '=' once to compare."
        if token.text in _FOREIGN and token.kind is Kind.NAME:
            return f"Write '{_FOREIGN[token.text]}'."
        if token.kind is Kind.NAME and token.text not in {"by", "with"}:
            return f'Write "{token.text[:40]}" for a text, .{token.text[:40]} for an attribute.'
        return ""

    def place_from(self, start: int) -> Place:
        """Return the place from ``start`` to the end of the token just passed."""
        end = self._tokens[self._at - 1].place.end if self._at else start
        return Place(start, max(start, end))

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Count one level of nesting.

        Raises:
            Fault: there are more than MAX_NESTING.
        """
        self._depth += 1
        if self._depth > MAX_NESTING:
            message = f"more than {MAX_NESTING} levels of nesting"
            raise Fault(message, self.token.place, code="TR208")
        yield
        self._depth -= 1
