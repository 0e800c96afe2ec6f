"""Every field of a policy: what it may hold, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tailrace.model import ErrorCategory
from tailrace.policy.durations import ALLOWED, parse_duration

MODES = ("fixed", "exponential")
JITTERS = ("none", "full", "equal")
ACTIONS = ("stop", "continue", "isolate", "goto", "fallback")
CATEGORIES = tuple(
    category.value for category in ErrorCategory if category is not ErrorCategory.CANCELLED
)
"""What ``retry.on`` may name; a cancelled attempt is never tried again."""

_Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """What one field may hold."""

    accepts: _Check
    allowed: str
    """The allowed values, as a message says them."""
    choices: tuple[str, ...] = ()
    """The known names, for the nearest one."""


def _is_duration(value: Any) -> bool:
    try:
        parse_duration(value)
    except ValueError:
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _names_categories(value: Any) -> bool:
    if not isinstance(value, list | tuple | set | frozenset) or not value:
        return False
    return all(isinstance(item, str) and item in CATEGORIES for item in value)


def _or_none(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _one_of(names: tuple[str, ...]) -> Field:
    listed = ", ".join(map(repr, names))
    return Field(lambda value: isinstance(value, str) and value in names, f"one of {listed}", names)


_DURATION = Field(_is_duration, f"{ALLOWED}; 0 is off, 366d the most")
_BOUND = Field(_or_none(_is_duration), f"{_DURATION.allowed}; null is no bound")
_NODE = Field(_or_none(_is_name), "the name of a node")

FIELDS: Mapping[str, Field] = {
    "fail_fast": Field(lambda value: isinstance(value, bool), "true or false"),
    "timeout": _DURATION,
    "total_timeout": _DURATION,
    "retry.max_attempts": Field(
        _is_count, "a whole number, 0 or more, of tries after the first; 0 is off"
    ),
    "retry.delay": _DURATION,
    "retry.mode": _one_of(MODES),
    "retry.max_delay": _BOUND,
    "retry.jitter": _one_of(JITTERS),
    "retry.on": Field(
        _or_none(_names_categories),
        f"a list of one or more of {', '.join(map(repr, CATEGORIES))}; null is all of them",
        CATEGORIES,
    ),
    "retry.max_elapsed": _BOUND,
    "on_error.action": _one_of(ACTIONS),
    "on_error.target": _NODE,
    "on_error.value": Field(lambda _: True, "any value"),
    "on_error.rejoin": _NODE,
}
"""Dotted name to what it may hold, in the order in which messages and tables show them."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    section: tuple(
        dict.fromkeys(
            name.removeprefix(prefix).partition(".")[0]
            for name in FIELDS
            if name.startswith(prefix)
        )
    )
    for section, prefix in (("", ""), ("retry", "retry."), ("on_error", "on_error."))
}
"""Keys of the policy itself (under ``""``) and of its two sections."""
