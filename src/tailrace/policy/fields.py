"""Every field of a policy: what it may hold, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tailrace.model.policy import SYNONYMS
from tailrace.policy.durations import ALLOWED, parse_duration
from tailrace.policy.kinds import CATEGORIES, CLASSES, is_type_name

MODES = ("fixed", "exponential", "linear", "fibonacci")
JITTERS = ("none", "full", "equal", "decorrelated")
ACTIONS = ("stop", "continue", "isolate", "goto", "fallback")
ON_BUDGET = ("dead_letter", "delay")
MOST_FACTOR = 1000
"""Growth beyond it is taken for a mistake."""

_Check = Callable[[Any], bool]


class Field(Struct, frozen=True):
    """What one field may hold."""

    accepts: _Check
    allowed: str
    """The allowed values, as a message says them."""
    choices: tuple[str, ...] = ()
    """The known names, for the nearest one."""
    accepts_member: _Check | None = None
    """For lists: whether a member may stand in it."""


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


def _is_kind(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value in CATEGORIES or value in CLASSES or is_type_name(value)


def _names_kinds(value: Any) -> bool:
    return _is_many(value) and all(map(_is_kind, value))


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and bool(value)


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and low <= value <= high


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _or_none(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))


def one_of(names: tuple[str, ...]) -> Field:
    """Return the field that holds one of some names."""
    return Field(
        lambda value: isinstance(value, str) and value in names, f"one of {_listed(names)}", names
    )


def _kinds(null: str) -> Field:
    return Field(
        _or_none(_names_kinds),
        f"a list of one or more of {_listed(CATEGORIES)}, of classes such as 'network', or of "
        f"exception types such as 'ConnectionError'; {null}",
        CATEGORIES + CLASSES,
        _is_kind,
    )


_DURATION = Field(_is_duration, f"{ALLOWED}; 0 is off, 366d the most")
_BOUND = Field(_or_none(_is_duration), f"{_DURATION.allowed}; null is no bound")
_NODE = Field(_or_none(_is_name), "the name of a node")
_CALLED = Field(_or_none(_is_name), "a name for what is called, such as 'api.example'; null: none")
_FLAG = Field(_is_flag, "true or false")
_COUNT = "a whole number, 0 or more, of tries after the first"
_JITTER = Field(
    lambda value: (isinstance(value, str) and value in JITTERS) or _is_number(value, 0, 1),
    f"one of {_listed(JITTERS)}, or a number from 0 to 1, the share by which it varies up and down",
    JITTERS,
)

FIELDS: Mapping[str, Field] = {
    "fail_fast": _FLAG,
    "timeout": _DURATION,
    "total_timeout": _DURATION,
    "retry.max_attempts": Field(_is_count, f"{_COUNT}; 0 is off"),
    "retry.delay": _DURATION,
    "retry.mode": one_of(MODES),
    "retry.factor": Field(
        lambda value: _is_number(value, 1, MOST_FACTOR), f"a number from 1 to {MOST_FACTOR}"
    ),
    "retry.max_delay": _BOUND,
    "retry.jitter": _JITTER,
    "retry.on": _kinds("null is all of them"),
    "retry.give_up_on": _kinds("null is none"),
    "retry.unknown_retries": Field(_or_none(_is_count), f"{_COUNT}; null is as many as others"),
    "retry.max_elapsed": _BOUND,
    "retry.respect_retry_after": _FLAG,
    "retry.retry_after_cap": _BOUND,
    "retry.budget": _CALLED,
    "retry.on_budget": one_of(ON_BUDGET),
    "retry.breaker": _CALLED,
    "retry.nested": _FLAG,
    "on_error.action": one_of(ACTIONS),
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

WORDS: Mapping[str, tuple[str, ...]] = {
    section: (*names, *SYNONYMS) if section == "retry" else names
    for section, names in SECTIONS.items()
}
"""The same with other words for some of the keys."""
