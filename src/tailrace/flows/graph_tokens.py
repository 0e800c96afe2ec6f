"""The words of ``graph:`` text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from tailrace.flows.findings import Findings
from tailrace.flows.passage import Passage


class Kind(StrEnum):
    """What a token is, in the words of a message."""

    NAME = "a name"
    PATH = "a path"
    NUMBER = "a number"
    STRING = "a quoted text"
    TEMPLATE = "a {{ … }}"
    THEN = "'>>'"
    AND = "'&'"
    OR = "'|'"
    OPEN = "'('"
    CLOSE = "')'"
    BEGIN = "'{'"
    STOP = "'}'"
    COLON = "':'"
    SEMICOLON = "';'"
    COMMA = "','"
    EQUALS = "'='"
    END = "the end of the text"


class Token(Struct, frozen=True):
    """A word with its offsets in the passage.

    ``text`` is what it means: without quotes, braces and escapes.
    """

    kind: Kind
    text: str
    start: int
    end: int

    def __str__(self) -> str:
        match self.kind:
            case Kind.NAME | Kind.PATH | Kind.NUMBER:
                return repr(shortened(self.text))
            case Kind.STRING:
                return f'the text "{shortened(self.text)}"'
            case _:
                return str(self.kind)


def shortened(text: str) -> str:
    """Return a text as far as a message has room for it."""
    return text if len(text) <= _ROOM else f"{text[:_ROOM]}…"


_ROOM = 40
_SYMBOLS = {kind.strip("'"): kind for kind in Kind if kind.startswith("'")}
_BLANK = re.compile(r"(?:\s+|#[^\n]*)+")
_NAME = re.compile(r"[^\W\d]\w*(?:-+\w+)*")
_PATH = re.compile(rf"{_NAME.pattern}(?:\.{_NAME.pattern})+")
_NUMBER = re.compile(r"-?[0-9][\w.]*(?:(?<=[eE])[-+][0-9]+)?")
_VALID_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INSIDE_TEMPLATE = re.compile(r"""[^{}'"]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[{}'"]""", re.DOTALL)


def tokenize(passage: Passage, findings: Findings) -> list[Token]:
    """Return the tokens of a graph, an END last; what is no token is reported and left out."""
    return list(_tokens(passage, findings))


def _tokens(passage: Passage, findings: Findings) -> Iterator[Token]:
    text = passage.text
    at = _skip_blank(text, 0)
    while at < len(text):
        token = _token(text, at)
        if token is None:
            token = _refuse(passage, at, findings)
        elif token.kind is Kind.NUMBER and not _VALID_NUMBER.fullmatch(token.text):
            token = _refuse_number(passage, token, findings)
        if token.kind is not Kind.END:
            yield token
        at = _skip_blank(text, token.end)
    yield Token(Kind.END, "", len(text), len(text))


def _skip_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _token(text: str, at: int) -> Token | None:
    if text.startswith("{{", at):
        end = _template_end(text, at)
        return None if end < 0 else Token(Kind.TEMPLATE, text[at + 2 : end - 2], at, end)
    symbol = ">>" if text.startswith(">>", at) else text[at]
    if symbol in _SYMBOLS:
        return Token(_SYMBOLS[symbol], symbol, at, at + len(symbol))
    found = _STRING.match(text, at)
    if found:
        return Token(Kind.STRING, _ESCAPE.sub(r"\1", found[0][1:-1]), at, found.end())
    for kind, pattern in ((Kind.PATH, _PATH), (Kind.NAME, _NAME), (Kind.NUMBER, _NUMBER)):
        found = pattern.match(text, at)
        if found:
            return Token(kind, found[0], at, found.end())
    return None


def _template_end(text: str, start: int) -> int:
    """Return the offset behind the ``}}`` that closes a template, -1 if there is none.

    Braces of mappings are counted, and those in quotes are passed over.
    """
    depth = 0
    at = start + 2
    while at < len(text):
        if depth == 0 and text.startswith("}}", at):
            return at + 2
        found = _INSIDE_TEMPLATE.match(text, at)
        if found is None:
            return -1
        depth += (found[0] == "{") - (found[0] == "}")
        at = found.end()
    return -1


def _refuse(passage: Passage, at: int, findings: Findings) -> Token:
    """Report what is no token, and return what it most likely stands for; END for nothing."""
    text = passage.text
    if text.startswith("{{", at) or text[at] in "'\"":
        what, closing = ("template", "}}") if text[at] == "{" else ("quoted text", text[at])
        findings.add(
            "TR121",
            f"the {what} is never closed",
            where=passage.span(at, at + 1 + (text[at] == "{")),
            hint=f"Close it with {closing}",
        )
        return Token(Kind.END, "", at, len(text))
    kind, hint = _MISTAKEN.get(
        text[at], (Kind.END, "Allowed are names, '>>', '&', '|', () and {}.")
    )
    findings.add(
        "TR120",
        f"the character {text[at]!r} means nothing in a graph",
        where=passage.span(at, at + 1),
        hint=hint,
    )
    return Token(kind, text[at], at, at + 1)


_MISTAKEN = {
    ">": (Kind.THEN, "Write '>>' between what runs one after the other."),
    "-": (Kind.END, "Write '>>' for a sequence; '-' can only stand inside a name."),
}


def _refuse_number(passage: Passage, token: Token, findings: Findings) -> Token:
    findings.add(
        "TR120",
        f"{token} is neither a name nor a number",
        where=passage.span(token.start, token.end),
        hint="Names start with a letter or '_'; numbers look like 3, -1 or 0.5.",
    )
    return Token(Kind.NAME, token.text, token.start, token.end)


def unquoted(passage: Passage, token: Token) -> Passage:
    """Return the inside of a quoted text as a passage of its own."""
    offsets = []
    at = token.start + 1
    while at < token.end - 1:
        at += passage.text[at] == "\\"
        offsets.append(passage.offsets[at])
        at += 1
    offsets.append(passage.offsets[at])
    return Passage(token.text, passage.source, offsets)


def is_name(text: str) -> bool:
    """True if a text can stand in a graph as a name."""
    return _NAME.fullmatch(text) is not None


def names_in(text: str) -> set[str]:
    """Return every name that stands in a text, and perhaps words that are none."""
    return set(_NAME.findall(text))
