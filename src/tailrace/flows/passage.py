"""A piece of text that knows where in a file each of its characters stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct

from tailrace.model import SourceSpan

_LINE_END = re.compile(r"\r\n|\r|\n")


class SourceFile:
    """The text of one file, with its lines."""

    __slots__ = ("_lines", "_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        self._lines: dict[int, str] = {}

    def span(self, start: int, end: int) -> SourceSpan:
        """Return the place of the characters ``start`` to ``end`` (exclusive), offsets from 0."""
        first = self._line_of(start)
        last = self._line_of(max(start, end))
        return SourceSpan(
            file=self.name,
            line=first + 1,
            column=start - self._starts[first] + 1,
            end_line=last + 1,
            end_column=max(start, end) - self._starts[last] + 1,
            text=self._line(first),
        )

    def _line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset) - 1

    def _line(self, number: int) -> str:
        # All places on a line share one string: a long line may hold thousands of nodes.
        if number not in self._lines:
            start = self._starts[number]
            end = self._starts[number + 1] if number + 1 < len(self._starts) else None
            self._lines[number] = self.text[start:end].rstrip("\r\n")
        return self._lines[number]


class Passage(Struct, frozen=True):
    """Text taken from a file, perhaps indented, folded or quoted there.

    ``offsets`` has the offset in the file of every character, and of the end.
    """

    text: str
    source: SourceFile
    offsets: Sequence[int]

    @classmethod
    def whole(cls, source: SourceFile) -> Passage:
        """Return a whole file as a passage."""
        return cls(source.text, source, range(len(source.text) + 1))

    def span(self, start: int, end: int) -> SourceSpan:
        """Return the place of the characters ``start`` to ``end`` (exclusive) of the passage."""
        last = max(start, end - 1)
        stop = self.offsets[last] + 1 if end > start else self.offsets[start]
        return self.source.span(self.offsets[start], stop)


def aligned(text: str, source: SourceFile, start: int, end: int) -> list[int]:
    """Return the offsets in the file of a YAML scalar's characters, and of its end.

    ``start`` and ``end`` bound what is written in the file: with its quotes, its escapes, its
    indentation. White space is matched loosely, so the offset of a blank may be that of another
    blank beside it; other characters are found exactly.
    """
    raw = source.text
    style = raw[start : start + 1]
    at = start
    if style in {"|", ">"}:
        at = raw.find("\n", start, end) + 1 or end
    elif style in {"'", '"'}:
        at += 1
    offsets = []
    for char in text:
        at = _find(raw, at, end, char, style)
        offsets.append(min(at, end))
        at += _width(raw, at, char, style)
    offsets.append(min(at, end))
    return offsets


_REACH = 16
"""Characters looked ahead where text and file do not agree."""


def _find(raw: str, at: int, end: int, char: str, style: str) -> int:
    """Skip what stands before ``char`` in the file and is not part of the value."""
    if char.isspace():
        return at
    while at < end and raw[at] != char:
        if raw[at].isspace():
            at += 1
        elif raw[at] == "\\" and style == '"':
            if raw[at + 1 : at + 2] not in {"\n", "\r"}:
                break
            at += 1
        else:
            ahead = raw.find(char, at, min(end, at + _REACH))
            return at if ahead < 0 else ahead
    return at


_ESCAPES = {"x": 4, "u": 6, "U": 10}
"""Characters of an escape by the one behind the backslash; of all others two."""


def _width(raw: str, at: int, char: str, style: str) -> int:
    """Return how many characters of the file give ``char``."""
    seen = raw[at : at + 2]
    if seen[:1] == "\\" and style == '"':
        return _ESCAPES.get(seen[1:], 2)
    if char.isspace() and not seen[:1].isspace():
        return 0
    return 2 if seen == "''" and style == "'" else 1
