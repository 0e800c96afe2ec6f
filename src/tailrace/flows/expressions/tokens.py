"""Text to tokens. Columns are offsets in the whole text, from 0."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

from msgspec import Struct

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.limits import MAX_INTEGER_BITS, MAX_SOURCE, too_much


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    KEY = auto()
    """What follows a dot."""
    NUMBER = auto()
    TEXT = auto()
    SYMBOL = auto()
    WORD = auto()
    """A reserved word: an operator or a literal."""
    END = auto()


class Token(Struct, frozen=True):
    """One token. ``value`` is what a number or a text stands for."""

    kind: Kind
    text: str
    column: int
    value: Any = None


WORDS = frozenset(
    {"and", "or", "not", "in", "if", "else", "is", "for", "lambda",
     "true", "false", "null", "none", "True", "False", "None"}
)  # fmt: skip

_SPACE = re.compile(r"\s*")
_KEY = re.compile(r"\w+")
_NAME = re.compile(r"\$?[^\W\d]\w*")
_NUMBER = re.compile(
    r"[0-9]+(?:_[0-9]+)*(?P<fraction>\.[0-9]+(?:_[0-9]+)*)?(?P<exponent>[eE][+-]?[0-9]+)?(?!\w)"
)
_TEXT = re.compile(r"\"[^\"\\]*(?:\\.[^\"\\]*)*\"|'[^'\\]*(?:\\.[^'\\]*)*'", re.DOTALL)
_SYMBOL = re.compile(r"\*\*|//|&&|\|\||==|!=|<=|>=|[-+*/%<>()\[\]{},.:|!=&^~@;?]")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/"} | {
    character: character for character in "\\\"'"
}
_FOREIGN = {
    "**": "there is no power operator",
    "&&": "write 'and' instead of '&&'",
    "||": "write 'or' instead of '||'",
    "!": "write 'not' instead of '!'",
    "=": "write '==' to compare; there is no assignment",
    "&": "write 'and' instead of '&'",
    "^": "there are no bit operators",
    "~": "write '+' to put texts together",
    "@": "there is no matrix operator",
    ";": "an expression is one value; ';' ends none",
    "?": "write 'a if condition else b'",
}


def is_name(text: str) -> bool:
    """Return whether a text can stand as a root name: an identifier that is not reserved."""
    return _NAME.fullmatch(text) is not None and text not in WORDS and not text.startswith("$")


def tokenize(source: str, start: int = 0, *, inside_braces: bool = False) -> list[Token]:
    """Return the tokens from ``start`` on; the last one is END.

    Inside braces END stands at the ``}}`` that closes them, and what follows is not read.

    Raises:
        ExpressionError: a character, number or text that is none, or braces without an end.
    """
    if len(source) - start > MAX_SOURCE and not inside_braces:
        raise too_much("the length of the expression", MAX_SOURCE, start)
    tokens: list[Token] = []
    open_braces = 0
    position = start
    while True:
        position = _end(_SPACE, source, position)
        if position - start > MAX_SOURCE:
            raise too_much("the length of the expression", MAX_SOURCE, start)
        if inside_braces and open_braces == 0 and source.startswith("}}", position):
            break
        if position == len(source):
            if inside_braces:
                raise _left_open(start)
            break
        token, position = _next(source, position, after_dot=_is_dot(tokens))
        open_braces += (token.text == "{") - (token.text == "}") if _is_symbol(token) else 0
        tokens.append(token)
    tokens.append(Token(Kind.END, "", position))
    return tokens


def _end(pattern: re.Pattern[str], source: str, position: int) -> int:
    found = pattern.match(source, position)
    return found.end() if found else position


def _is_symbol(token: Token) -> bool:
    return token.kind is Kind.SYMBOL


def _is_dot(tokens: list[Token]) -> bool:
    return bool(tokens) and _is_symbol(tokens[-1]) and tokens[-1].text == "."


def _left_open(start: int) -> ExpressionError:
    return ExpressionError(
        "'{{' is never closed",
        code="TR148",
        column=max(start - 2, 0),
        hint="Close it with '}}'; to have the two characters as text, write {{ '{{' }}.",
    )


def _next(source: str, at: int, *, after_dot: bool) -> tuple[Token, int]:
    """Return the token at ``at`` and where it ends."""
    if after_dot and (found := _KEY.match(source, at)):
        return Token(Kind.KEY, found.group(), at), found.end()
    if found := _NAME.match(source, at):
        text = found.group()
        if text.removeprefix("$") not in WORDS:
            return Token(Kind.NAME, text.removeprefix("$"), at), found.end()
        if not text.startswith("$"):
            return Token(Kind.WORD, text, at), found.end()
    if found := _NUMBER.match(source, at):
        return Token(Kind.NUMBER, found.group(), at, _number(found, at)), found.end()
    if found := _TEXT.match(source, at):
        return Token(Kind.TEXT, found.group(), at, _text(found.group(), at)), found.end()
    if found := _SYMBOL.match(source, at):
        if found.group() in _FOREIGN:
            raise ExpressionError(
                f"{found.group()!r} is not part of the language",
                code="TR142",
                column=at,
                hint=f"{_FOREIGN[found.group()].capitalize()}.",
            )
        return Token(Kind.SYMBOL, found.group(), at), found.end()
    raise _meaningless(source, at)


def _meaningless(source: str, at: int) -> ExpressionError:
    character = source[at]
    if character in "\"'":
        problem, hint = f"a text that starts with {character} is never closed", "Close the quote."
    elif character.isdigit():
        problem, hint = "a number ends in letters", "Put quotes around it if it is text."
    elif character == "$":
        problem, hint = (
            "'$' is not followed by a name that is free to use",
            "Write a path such as $params.name.",
        )
    else:
        problem, hint = f"the character {character!r} means nothing here", "Remove it or quote it."
    return ExpressionError(problem, code="TR141", column=at, hint=hint)


def _number(found: re.Match[str], column: int) -> int | float:
    digits = found.group().replace("_", "")
    if found["fraction"] or found["exponent"]:
        value = float(digits)
        if value in {float("inf"), float("-inf")}:
            raise ExpressionError(f"the number {digits} is too large", code="TR141", column=column)
        return value
    # log2(10) is 3.32: what has more digits has more bits, and int() itself refuses 4,300.
    if len(digits) * 3 > MAX_INTEGER_BITS or int(digits).bit_length() > MAX_INTEGER_BITS:
        raise too_much("the size of the integer in bits", MAX_INTEGER_BITS, column)
    return int(digits)


def _text(quoted: str, column: int) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise ExpressionError(
                f"'\\{code}' is no escape (known: \\n \\t \\r \\b \\f \\/ \\\\ \\\" \\' \\uXXXX)",
                code="TR141",
                column=column + found.start() + 1,
                hint="Write a backslash itself as '\\\\'.",
            )
        return _ESCAPES[code]

    text = _ESCAPE.sub(plain, quoted[1:-1])
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExpressionError(
            "a text holds half of a surrogate pair", code="TR141", column=column
        ) from None
