"""Levels of precedence merged into what the engine obeys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace.errors import PolicyValidationError
from tailrace.model import EffectiveOnError, EffectivePolicy, EffectiveRetry, Policy
from tailrace.policy.durations import parse_duration
from tailrace.policy.fields import FIELDS
from tailrace.policy.validate import problems, written

Levels = Sequence[tuple[str, Policy | None]]
"""(name of the level, what is written there), weakest first."""

_DURATIONS = frozenset(
    {"timeout", "total_timeout", "delay", "max_delay", "max_elapsed", "retry_after_cap"}
)


def resolve(levels: Levels) -> EffectivePolicy:
    """Return the merged policy with the origin of each field.

    A level changes only the fields it gives, so ``Retry(delay=1)`` on a node keeps the flow's
    ``max_attempts``. ``on_error`` is one decision: the strongest level that gives any of it gives
    all of it.

    Raises:
        PolicyValidationError: a level is out of its bounds; all problems of all levels at once.
    """
    found: list[str] = []
    values: dict[str, Any] = {}
    origins = dict.fromkeys(FIELDS, "default")
    for name, policy in levels:
        if policy is None:
            continue
        found += [problem.message for problem in problems(policy, f"{name} policy")]
        given = written(policy)
        if any(key.startswith("on_error.") for key in given):
            _forget_on_error(values, origins)
        values |= given
        origins |= dict.fromkeys(given, name)
    if found:
        raise PolicyValidationError(found)
    return _effective(values, origins)


def _forget_on_error(values: dict[str, Any], origins: dict[str, str]) -> None:
    for name in [name for name in FIELDS if name.startswith("on_error.")]:
        values.pop(name, None)
        origins[name] = "default"


def _effective(values: dict[str, Any], origins: dict[str, str]) -> EffectivePolicy:
    sections: dict[str, dict[str, Any]] = {"": {}, "retry": {}, "on_error": {}}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        is_duration = key in _DURATIONS and value is not None
        sections[section][key] = parse_duration(value) if is_duration else value
    retry, on_error = sections["retry"], sections["on_error"]
    if retry.get("on") is not None:
        retry["on"] = frozenset(retry["on"])
    if "give_up_on" in retry:
        retry["give_up_on"] = frozenset(retry["give_up_on"] or ())
    return EffectivePolicy(
        **sections[""],
        retry=EffectiveRetry(**retry),
        on_error=EffectiveOnError(**on_error, has_value="value" in on_error),
        origins=origins,
    )
