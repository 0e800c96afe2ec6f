"""Text to tokens. Attribute names are read here, as what ends them is a matter of characters."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any, NamedTuple

from tailrace.traceql.fault import Fault, Place, shown
from tailrace.traceql.limits import MAX_QUERY
from tailrace.traceql.numerals import NotANumber, read_numeral
from tailrace.traceql.quotes import BadQuote, read_name, read_text
from tailrace.traceql.tree import Attribute, Literal, Scope, Type


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    """An identifier; which ones mean something depends on where they stand."""
    SCOPE = auto()
    """``trace:`` and the like, before the name of an intrinsic."""
    ATTRIBUTE = auto()
    """``value`` is the Attribute."""
    LITERAL = auto()
    """``value`` is the Literal: a number, a duration, a text."""
    SYMBOL = auto()
    END = auto()


class Token(NamedTuple):
    """One token and its place."""

    kind: Kind
    text: str
    place: Place
    value: Any = None


_BLANKS = r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?s:.*?)\*/)*+"
_SKIP = re.compile(_BLANKS)
_SCOPED = re.compile(
    r"(?P<attribute>parent\.(?:span\.|resource\.)?|(?:span|resource|event|link|instrumentation)\.)"
    r"|(?P<intrinsic>(?:trace|span|event|link|instrumentation):)"
)
_NAME = re.compile(r"[^\W\d]\w*")
_SYMBOLS = r"&>>|&<<|!>>|!<<|&>|&<|&~|&&|!>|!<|!~|!=|>>|<<|>=|<=|=~|\|\||[{}()=<>~!|+\-*%^,]"
# What most tokens are, told apart at once; a name before '.' or ':' may be a scope.
_COMMON = re.compile(rf"{_BLANKS}(?:({_SYMBOLS}|/(?![/*]))|([^\W\d]\w*(?![\w.:])))")


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a query; the last one is END.

    Raises:
        Fault: a character, number or text that is none, or too long a text.
    """
    if len(text) > MAX_QUERY:
        message = f"the query has {len(text)} characters; the limit is {MAX_QUERY}"
        raise Fault(message, Place(MAX_QUERY, MAX_QUERY + 1), code="TR208")
    _refuse_foreign(text)
    tokens: list[Token] = []
    at = 0
    while True:
        if found := _COMMON.match(text, at):
            start, at = found.span(found.lastindex or 0)
            kind = Kind.SYMBOL if found.lastindex == 1 else Kind.NAME
            tokens.append(Token(kind, text[start:at], Place(start, at)))
            continue
        at = _skip(text, at)
        if at == len(text):
            break
        token = _next(text, at)
        tokens.append(token)
        at = token.place.end
    tokens.append(Token(Kind.END, "", Place(len(text), len(text))))
    return tokens


def _refuse_foreign(text: str) -> None:
    if not (text.isascii() or text.isprintable()):
        for at, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                raise _wrong("the query is no UTF-8 text", at, at + 1)
    if (at := text.find("\0")) >= 0:
        raise _wrong("the query holds a NUL character", at, at + 1)


def _skip(text: str, at: int) -> int:
    if found := _SKIP.match(text, at):
        at = found.end()
    if text.startswith("/*", at):
        raise _wrong("a comment is never closed", at, at + 2, hint="Close it with '*/'.")
    return at


def _wrong(message: str, start: int, end: int, *, hint: str = "") -> Fault:
    return Fault(message, Place(start, end), code="TR201", hint=hint)


def _next(text: str, at: int) -> Token:
    character = text[at]
    if character.isdecimal() and character.isascii():
        return _numeral(text, at)
    if character == ".":
        return _numeral(text, at) if _is_fraction(text, at) else _attribute(text, at, at + 1)
    if character in '"`':
        return _text(text, at)
    if found := _SCOPED.match(text, at):
        if found["attribute"]:
            return _attribute(text, at, found.end())
        return Token(Kind.SCOPE, found.group(), Place(at, found.end()))
    if found := _NAME.match(text, at):
        return Token(Kind.NAME, found.group(), Place(at, found.end()))
    hint = "Put a text in double quotes." if character == "'" else ""
    raise _wrong(f"the character {shown(character)} means nothing here", at, at + 1, hint=hint)


def _is_fraction(text: str, at: int) -> bool:
    following = text[at + 1 : at + 2]
    return following.isascii() and following.isdigit()


def _numeral(text: str, at: int) -> Token:
    try:
        literal, end = read_numeral(text, at)
    except NotANumber as error:
        piece = shown(text[at : error.end])
        raise _wrong(f"{piece} {error}", at, error.end) from error
    return _literal(text, at, end, literal)


def _text(text: str, at: int) -> Token:
    try:
        value, end = read_text(text, at)
    except BadQuote as error:
        raise _wrong(str(error), error.start, error.end) from error
    return _literal(text, at, end, Literal(Type.STRING, value))


def _literal(text: str, at: int, end: int, bare: Literal) -> Token:
    place = Place(at, end)
    return Token(Kind.LITERAL, text[at:end], place, Literal(bare.type, bare.value, place=place))


def _attribute(text: str, start: int, at: int) -> Token:
    try:
        name, end = read_name(text, at)
    except BadQuote as error:
        raise _wrong(str(error), error.start, error.end) from error
    scope = text[start:at]
    if not name:
        message = f"an attribute name must stand right behind '{scope}'"
        raise _wrong(message, start, at, hint=f'Write {scope}name, or {scope}"a name".')
    place = Place(start, end)
    value = Attribute(Scope(scope), name, place=place)
    return Token(Kind.ATTRIBUTE, text[start:end], place, value)
