"""Where a query is wrong, and the error that says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tailrace.errors import QueryError

_LONGEST_NAME = 80
_SHOWN = 40


class Place(NamedTuple):
    """A range of offsets in the text of a query, from 0; the end is exclusive."""

    start: int
    end: int

    def __eq__(self, other: object) -> bool:
        """All places are equal: trees are compared by what they say, not by where it stands."""
        return isinstance(other, Place)

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, Place)

    def __hash__(self) -> int:
        return 0


NOWHERE = Place(-1, -1)


class Fault(Exception):  # noqa: N818 - inside this package only; callers see a QueryError
    """What is wrong at a place; it becomes a QueryError where the text is known."""

    def __init__(
        self,
        message: str,
        place: Place,
        *,
        code: str = "TR202",
        hint: str = "",
        expected: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.code = code
        self.hint = hint
        self.expected = tuple(expected)


def to_error(fault: Fault, text: str) -> QueryError:
    """Return the error for the caller.

    Its ``details`` hold ``line``, ``column``, ``end_line``, ``end_column`` (from 1, the end
    exclusive), ``start`` and ``end`` (offsets from 0), ``source`` (the whole line), ``text`` (the
    words that are wrong) and ``expected`` (what may stand there). Nothing of these but
    ``expected`` is there for a tree that was not read from a text.
    """
    details: dict[str, object] = {"expected": list(fault.expected)}
    message = fault.message
    if fault.place.start >= 0:
        start, end = min(fault.place.start, len(text)), min(fault.place.end, len(text))
        line, column = _position(text, start)
        end_line, end_column = _position(text, end)
        source = text[text.rfind("\n", 0, start) + 1 :].partition("\n")[0]
        details |= {
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "start": start, "end": end, "source": source, "text": text[start:end],
        }  # fmt: skip
        message += f" at line {line}, column {column}" if "\n" in text else f" at column {column}"
    return QueryError(message, code=fault.code, hint=fault.hint, details=details)


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def shown(text: str) -> str:
    """Return a piece of a query as a message quotes it: short, on one line."""
    cut = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return f"'{cut}'" if cut.isprintable() and "'" not in cut else repr(cut)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that looks most like ``name``; empty when none does."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    spelled = {word.lower(): word for word in known}
    near = get_close_matches(name[:_LONGEST_NAME].lower(), spelled, 1)
    return spelled[near[0]] if near else ""
