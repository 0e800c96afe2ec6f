"""A regular expression as a function of a text that never takes long."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Regex

if TYPE_CHECKING:
    from tailrace.traceql.automaton import Automaton, Part

_LITERAL = re.compile(r"[^\\.\[(]|\\[^A-Za-z0-9]", re.DOTALL)
_QUICK = 1e4
_BOUND = 1e7
_LONGEST = 1 << 26


def matcher(regex: Regex, budget: Budget) -> Callable[[str], bool]:
    """Return the function that says whether a whole text matches.

    ``re`` does what it is good at; where it might try too many ways, an automaton takes its
    place, whose time grows with the length of the text alone. The function raises OutOfBudget.
    """
    quick, bound = _lengths(regex.python)
    fullmatch = re.compile(regex.python).fullmatch

    def holds(text: str) -> bool:
        length = len(text)
        if length <= quick:
            return fullmatch(text) is not None
        if length <= bound:
            budget.spend(length)
            return fullmatch(text) is not None
        return _automaton(regex.python).matches(text, budget)

    return holds


@lru_cache(maxsize=64)
def prefix(regex: Regex) -> str:
    """Return what every text that matches begins with; it may be empty."""
    from tailrace.traceql.automaton import One, Row, read  # noqa: PLC0415 - few queries have any

    part = read(regex.python)
    parts = part.parts if isinstance(part, Row) else (part,)
    found = ""
    for one in parts:
        if not isinstance(one, One) or not _LITERAL.fullmatch(one.atom):
            break
        found += one.atom[-1]
    return found


@lru_cache(maxsize=64)
def _lengths(pattern: str) -> tuple[int, int]:
    """Return up to which length of text ``re`` is quick, and up to which it is bearable."""
    from tailrace.traceql.automaton import read  # noqa: PLC0415 - as above

    part = read(pattern)
    return _longest(part, _QUICK), _longest(part, _BOUND)


def _longest(part: Part, most: float) -> int:
    from tailrace.traceql.automaton import ways  # noqa: PLC0415 - as above

    length = 1
    while length < _LONGEST and ways(part, length) <= most:
        length *= 2
    return length // 2 if length > 1 else 0


@lru_cache(maxsize=16)
def _automaton(pattern: str) -> Automaton:
    from tailrace.traceql.automaton import Automaton, read  # noqa: PLC0415 - as above

    return Automaton(read(pattern))
