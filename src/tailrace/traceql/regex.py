"""Regular expressions in RE2's syntax, read and written as Python's.

They are matched against whole texts and only for yes or no, so groups do not capture and lazy
repetitions are the same as greedy ones. What RE2 does not have is refused: nothing else keeps
matching bounded.
"""

from __future__ import annotations

import re
import sys
from functools import cache, lru_cache
from itertools import groupby

from msgspec import Struct

from tailrace.traceql.checked import Regex
from tailrace.traceql.limits import MAX_PATTERN, MAX_REPEAT

_MAX_DEPTH = 60
_TOP = sys.maxunicode
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_GROUP_NAME = re.compile(r"\?P?<([A-Za-z0-9_]+)>")
_FLAGS = re.compile(r"\?(?P<on>[imsU]*)(?:-(?P<off>[imsU]+))?(?P<end>[:)])")
_NOT_RE2 = {
    "?=": "lookahead", "?!": "lookahead", "?<=": "lookbehind", "?<!": "lookbehind",
    "?>": "an atomic group", "?P=": "a backreference", "?P>": "recursion", "?#": "a comment",
    "?(": "a condition", "?|": "a branch reset", "?R": "recursion",
}  # fmt: skip
_CONTROL = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}

Ranges = list[tuple[int, int]]

_PERL: dict[str, Ranges] = {
    "d": [(48, 57)],
    "w": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "s": [(9, 10), (12, 13), (32, 32)],
}
_POSIX: dict[str, Ranges] = {
    "alnum": [(48, 57), (65, 90), (97, 122)],
    "alpha": [(65, 90), (97, 122)],
    "ascii": [(0, 127)],
    "blank": [(9, 9), (32, 32)],
    "cntrl": [(0, 31), (127, 127)],
    "digit": [(48, 57)],
    "graph": [(33, 126)],
    "lower": [(97, 122)],
    "print": [(32, 126)],
    "punct": [(33, 47), (58, 64), (91, 96), (123, 126)],
    "space": [(9, 13), (32, 32)],
    "upper": [(65, 90)],
    "word": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "xdigit": [(48, 57), (65, 70), (97, 102)],
}


class BadRegex(Exception):  # noqa: N818 - says what the text is
    """The text is no regular expression of RE2; the message says why, ``at`` where (from 0)."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Return the regular expression.

    Raises:
        BadRegex: the pattern is none, or uses what RE2 does not have.
    """
    if len(pattern) > MAX_PATTERN:
        raise BadRegex(f"it has {len(pattern)} characters; the limit is {MAX_PATTERN}", 0)
    reader = _Reader(pattern)
    written = reader.alternatives()
    if not reader.done():
        raise BadRegex("')' closes nothing", reader.at)
    try:
        re.compile(written)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadRegex(f"it is too large: {error}", 0) from error
    return Regex(pattern, written, reader.nested)


class _Flags(Struct):
    ignore_case: bool = False
    multiline: bool = False
    dotall: bool = True


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.nested = False
        self._flags = _Flags()
        self._names: set[str] = set()
        self._depth = 0
        self._repeats = 1
        self._endless = False

    def done(self) -> bool:
        return self.at >= len(self.pattern)

    def _sees(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def alternatives(self) -> str:
        """Return what stands here up to the bracket that closes it."""
        parts: list[str] = []
        branches: list[str] = []
        while not self.done() and not self._sees(")"):
            if self._sees("|"):
                self.at += 1
                branches.append("".join(parts))
                parts = []
            else:
                parts.append(self._repeated())
        return "|".join([*branches, "".join(parts)])

    def _repeated(self) -> str:
        start = self.at
        outer, outer_endless = self._repeats, self._endless
        self._repeats, self._endless = 1, False
        atom = self._atom()
        mark = self._mark()
        if mark:
            if not atom:
                raise BadRegex("nothing stands before the repetition", start)
            if mark in "*+" or mark.endswith(",}"):
                self.nested = self.nested or self._endless
                self._endless = True
            if following := self._mark():
                raise BadRegex(f"a repetition of a repetition: '{mark}{following}'", start)
            atom = f"(?:{atom}){mark}"
        self._repeats = max(outer, self._repeats)
        self._endless = outer_endless or self._endless
        return atom

    def _mark(self) -> str:
        """Return the repetition that stands here, without what makes it lazy; empty for none."""
        if self.done():
            return ""
        mark = self.pattern[self.at]
        start = self.at
        if mark in "*+?":
            self.at += 1
        elif (found := _REPEAT.match(self.pattern, self.at)) is not None:
            mark = found.group()
            self._count(found, start)
            self.at = found.end()
        else:
            return ""
        if self._sees("?"):
            self.at += 1
        return mark

    def _count(self, found: re.Match[str], start: int) -> None:
        low, high = found[1], found[3] or found[1]
        if max(len(low), len(high)) > 5 or int(high) < int(low) or int(high) > MAX_REPEAT:
            message = f"a bad repetition '{found.group()[:20]}' (at most {MAX_REPEAT})"
            raise BadRegex(message, start)
        self._repeats *= max(1, int(high))
        if self._repeats > MAX_REPEAT:
            raise BadRegex(f"repetitions in one another make more than {MAX_REPEAT}", start)

    def _atom(self) -> str:
        character = self.pattern[self.at]
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise BadRegex(f"nothing stands before '{character}'", self.at)
            case "{" if found := _REPEAT.match(self.pattern, self.at):
                raise BadRegex(f"nothing stands before '{found.group()[:20]}'", self.at)
        self.at += 1
        match character:
            case ".":
                return "(?s:.)" if self._flags.dotall else r"[^\n]"
            case "^":
                return "(?m:^)" if self._flags.multiline else r"\A"
            case "$":
                return "(?m:$)" if self._flags.multiline else r"\Z"
            case _:
                return self._literal(character)

    def _literal(self, text: str) -> str:
        return f"(?i:{re.escape(text)})" if self._flags.ignore_case else re.escape(text)

    def _group(self) -> str:
        start = self.at
        self.at += 1
        for mark, name in _NOT_RE2.items():
            if self._sees(mark):
                raise BadRegex(f"{name} '({mark}' is not part of RE2", start)
        outer = _Flags(self._flags.ignore_case, self._flags.multiline, self._flags.dotall)
        if self._sees("?") and self._opened(start):
            return "(?:)"  # flags for the rest of the group that is open
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadRegex(f"more than {_MAX_DEPTH} brackets in one another", start)
        inner = self.alternatives()
        if self.done():
            raise BadRegex("a '(' is never closed", start)
        self.at += 1
        self._depth -= 1
        self._flags = outer
        return f"(?:{inner})"

    def _opened(self, start: int) -> bool:
        """Go past ``?…`` of a group; return whether it is closed with that."""
        if found := _GROUP_NAME.match(self.pattern, self.at):
            if found[1] in self._names:
                raise BadRegex(f"two groups are named '{found[1][:40]}'", start)
            self._names.add(found[1])
            self.at = found.end()
            return False
        found = _FLAGS.match(self.pattern, self.at)
        if found is None or found.group() == "?)":
            raise BadRegex(f"'({self.pattern[self.at : self.at + 3]}' begins no group", start)
        flags = _Flags(self._flags.ignore_case, self._flags.multiline, self._flags.dotall)
        for letters, value in ((found["on"], True), (found["off"] or "", False)):
            flags.ignore_case = value if "i" in letters else flags.ignore_case
            flags.multiline = value if "m" in letters else flags.multiline
            flags.dotall = value if "s" in letters else flags.dotall
        self._flags = flags
        self.at = found.end()
        return found["end"] == ")"

    def _escape(self) -> str:
        start = self.at
        letter = self.pattern[start + 1 : start + 2]
        if letter in ("A", "z"):
            self.at += 2
            return r"\A" if letter == "A" else r"\Z"
        if letter in ("b", "B"):
            self.at += 2
            # Before 3.14 \B of the standard library is false for an empty text.
            return r"(?a:\b)" if letter == "b" else r"(?a:(?!\b))"
        if letter == "Q":
            end = self.pattern.find("\\E", start)
            text = self.pattern[start + 2 : end if end >= 0 else None]
            self.at = end + 2 if end >= 0 else len(self.pattern)
            # A repetition behind \E is for the last character alone.
            return "".join(self._literal(character) for character in text[:-1]) + (
                f"(?:{self._literal(text[-1])}){self._mark()}" if text else ""
            )
        if (ranges := self._escaped_class()) is not None:
            return self._written(ranges)
        return self._literal(chr(self._escaped_point()))

    def _escaped_class(self) -> Ranges | None:
        r"""Go past ``\d``, ``\pL`` and the like and return their ranges; None for others."""
        start = self.at
        letter = self.pattern[start + 1 : start + 2]
        if letter and letter.lower() in _PERL:
            self.at += 2
            ranges = _PERL[letter.lower()]
            return _complement(ranges) if letter.isupper() else ranges
        if letter not in ("p", "P"):
            return None
        found = re.compile(r"\\[pP](?:([A-Za-z])|\{(\^?)([A-Za-z_]+)\})").match(self.pattern, start)
        if found is None:
            raise BadRegex(f"'\\{letter}' names no class of characters", start)
        self.at = found.end()
        ranges = category_ranges(found[1] or found[3])
        if not ranges:
            name = found[1] or found[3]
            message = f"there is no general category '{name[:40]}' (such as L, Lu, Nd, P)"
            raise BadRegex(message, start)
        negated = (letter == "P") != bool(found[2])
        return _complement(ranges) if negated else ranges

    def _escaped_point(self) -> int:
        start = self.at
        found = re.compile(
            r"\\(?:x\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})|(.))",
            re.DOTALL,
        ).match(self.pattern, start)
        if found is None:
            raise BadRegex("a '\\' stands at the end", start)
        self.at = found.end()
        digits = found[1] or found[2]
        point = int(digits, 16) if digits else int(found[3], 8) if found[3] else -1
        if point > _TOP:
            raise BadRegex(f"'{found.group()}' is no character", start)
        if point >= 0:
            return point
        letter = found[4]
        if letter in _CONTROL:
            return _CONTROL[letter]
        if letter.isascii() and not letter.isalnum():
            return ord(letter)
        what = f"the backreference '\\{letter}'" if letter.isdigit() else f"'\\{letter}'"
        raise BadRegex(f"{what} is not part of RE2", start)

    def _class(self) -> str:
        start = self.at
        self.at += 1
        negated = self._sees("^")
        self.at += negated
        ranges: Ranges = []
        first = True
        while first or not self._sees("]"):
            if self.done():
                raise BadRegex("a '[' is never closed", start)
            first = False
            ranges += self._class_item(start)
        self.at += 1
        return self._written(_complement(ranges) if negated else ranges)

    def _class_item(self, start: int) -> Ranges:
        if found := re.compile(r"\[:(\^?)([a-z]+):\]").match(self.pattern, self.at):
            if found[2] not in _POSIX:
                raise BadRegex(f"there is no class '[:{found[2][:40]}:]'", self.at)
            self.at = found.end()
            return _complement(_POSIX[found[2]]) if found[1] else _POSIX[found[2]]
        if self._sees("\\") and (ranges := self._escaped_class()) is not None:
            return ranges
        low = self._class_point(start)
        if not self._sees("-") or self._sees("-]"):
            return [(low, low)]
        at = self.at
        self.at += 1
        high = self._class_point(start)
        if high < low:
            raise BadRegex("a range of characters runs backwards", at)
        return [(low, high)]

    def _class_point(self, start: int) -> int:
        if self.done():
            raise BadRegex("a '[' is never closed", start)
        if self._sees("\\"):
            return self._escaped_point()
        self.at += 1
        return ord(self.pattern[self.at - 1])

    def _written(self, ranges: Ranges) -> str:
        if not ranges:
            return "(?!)"
        body = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
        return f"(?i:[{body}])" if self._flags.ignore_case else f"[{body}]"


def _complement(ranges: Ranges) -> Ranges:
    outside: Ranges = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            outside.append((start, low - 1))
        start = max(start, high + 1)
    return [*outside, (start, _TOP)] if start <= _TOP else outside


def category_ranges(name: str) -> Ranges:
    """Return the characters of a Unicode general category such as ``L`` or ``Lu``, or nothing."""
    if name == "Any":
        return [(0, _TOP)]
    if len(name) > 2:
        return []
    found = [ranges for category, ranges in _categories().items() if category.startswith(name)]
    return sorted(part for ranges in found for part in ranges)


@cache
def _categories() -> dict[str, Ranges]:
    from unicodedata import category  # noqa: PLC0415 - only where a pattern names a category

    made: dict[str, Ranges] = {}
    start = 0
    for name, run in groupby(map(category, map(chr, range(_TOP + 1)))):
        end = start + sum(1 for _ in run)
        made.setdefault(name, []).append((start, end - 1))
        start = end
    return made
