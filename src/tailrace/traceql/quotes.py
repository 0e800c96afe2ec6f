"""Quoted texts and attribute names, read and written."""

from __future__ import annotations

import re

from tailrace.traceql.tree import Attribute, Scope

_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\\"])|(?P<octal>[0-7]{3})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_PLAIN = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_RUN = re.compile(r'[^"\\\n]+')
# What ends a name: white space and these.
_BARE = re.compile(r"[^\s{}()=~!<>&|^,\"]+")


class BadQuote(Exception):  # noqa: N818 - says what the text is
    """A quoted text is wrong; the message says why, ``start`` and ``end`` where."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


def read_text(source: str, start: int) -> tuple[str, int]:
    """Return the text quoted at ``start`` with ``"`` or a backquote, and where it ends.

    Raises:
        BadQuote: it is not closed, or an escape is none.
    """
    if source[start] == "`":
        end = source.find("`", start + 1)
        if end < 0:
            raise BadQuote("a text in backquotes is never closed", start, start + 1)
        return source[start + 1 : end].replace("\r", ""), end + 1
    body = bytearray()
    at = start + 1
    while at < len(source) and source[at] != "\n":
        if source[at] == '"':
            return _decoded(body, start, at + 1), at + 1
        if source[at] == "\\":
            escaped, at = _escape(source, at)
            body += escaped
            continue
        run = _RUN.match(source, at)
        assert run is not None  # noqa: S101 - the characters that start no run are dealt with
        body += run.group().encode()
        at = run.end()
    raise BadQuote("a text in quotes is never closed", start, start + 1)


def _escape(source: str, at: int) -> tuple[bytes, int]:
    found = _ESCAPE.match(source, at)
    if found is None:
        known = r"\a \b \f \n \r \t \v \\ \" \NNN \xNN \uNNNN \UNNNNNNNN"
        wrong = source[at : at + 2]
        raise BadQuote(f"'{wrong}' is no escape (known: {known})", at, at + len(wrong))
    if found["plain"]:
        return bytes((_PLAIN[found["plain"]],)), found.end()
    if found["octal"] or found["hex"]:
        value = int(found["octal"], 8) if found["octal"] else int(found["hex"], 16)
        if value > 255:
            raise BadQuote(f"'{found.group()}' is above \\377", at, found.end())
        return bytes((value,)), found.end()
    point = int(found["short"] or found["long"], 16)
    if point > 0x10FFFF or 0xD800 <= point < 0xE000:
        raise BadQuote(f"'{found.group()}' is no character", at, found.end())
    return chr(point).encode(), found.end()


def _decoded(body: bytearray, start: int, end: int) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadQuote("the bytes of a text are no UTF-8", start, end) from None


def read_name(source: str, start: int) -> tuple[str, int]:
    r"""Return the attribute name at ``start`` and where it ends; empty when none stands there.

    Any part may be quoted; only ``\"`` and ``\\`` are escapes there.

    Raises:
        BadQuote: a quoted part is not closed, or an escape is none.
    """
    parts: list[str] = []
    at = start
    while at < len(source):
        if source[at] == '"':
            part, at = _quoted_part(source, at)
            parts.append(part)
            continue
        run = _BARE.match(source, at)
        if run is None:
            break
        parts.append(run.group())
        at = run.end()
    return "".join(parts), at


def _quoted_part(source: str, start: int) -> tuple[str, int]:
    body: list[str] = []
    at = start + 1
    while at < len(source):
        character = source[at]
        if character == '"':
            return "".join(body), at + 1
        if character == "\\":
            following = source[at + 1 : at + 2]
            if following not in {'"', "\\"}:
                wrong = f"\\{following}"
                message = f"'{wrong}' is no escape in a name (known: \\\" \\\\)"
                raise BadQuote(message, at, at + len(wrong))
            body.append(following)
            at += 2
            continue
        body.append(character)
        at += 1
    raise BadQuote("a quoted part of a name is never closed", start, start + 1)


def write_text(text: str) -> str:
    """Return a text in quotes, on one line."""
    return '"' + "".join(_WRITTEN.get(c) or _character(c) for c in text) + '"'


def _character(character: str) -> str:
    return f"\\u{ord(character):04x}" if character < " " or character == "\x7f" else character


def write_attribute(attribute: Attribute) -> str:
    """Return ``span.name``, the name quoted where it has to be."""
    name = attribute.name
    bare = _BARE.fullmatch(name) is not None
    if attribute.scope is Scope.ANY and name[:1].isdigit():
        bare = False
    if attribute.scope is Scope.PARENT and name.startswith(("span.", "resource.")):
        bare = False
    if not bare:
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{attribute.scope}{name}"
