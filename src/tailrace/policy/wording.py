"""A policy in one line for people, and as plain data for spans and reports."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Any

from tailrace.model import EffectiveOnError, EffectivePolicy, EffectiveRetry
from tailrace.policy.durations import format_duration

_SHOWN_TEXT = 40
_ALWAYS_SHOWN = frozenset({"max_attempts", "delay", "mode", "jitter"})
_PLACES = {
    name: place
    for place, name in enumerate(
        ("max_attempts", "delay", "max_delay", "jitter", "on", "max_elapsed")
    )
}
"""Order in the one line; others follow as they are declared."""
_BOUNDS = frozenset({"max_delay", "max_elapsed"})
_DURATIONS = _BOUNDS | {"delay", "retry_after_cap"}
_OTHERS = tuple(name for name in EffectiveRetry.__struct_fields__ if name not in _ALWAYS_SHOWN)
_others = attrgetter(*_OTHERS)
_DEFAULTS = _others(EffectiveRetry())


def describe(policy: EffectivePolicy) -> str:
    """Return one line such as ``fail_fast=True, timeout=5s, retry=off, on_error=stop``."""
    parts = [f"fail_fast={policy.fail_fast}", f"timeout={_duration(policy.timeout)}"]
    if policy.total_timeout:
        parts.append(f"total_timeout={_duration(policy.total_timeout)}")
    parts += [f"retry={_retry(policy.retry)}", f"on_error={_on_error(policy.on_error)}"]
    return ", ".join(parts)


def snapshot(policy: EffectivePolicy) -> dict[str, Any]:
    """Return the policy as JSON-able data; durations in seconds, what is off left out.

    A ``value`` of ``on_error`` is shown only where it is a number, a boolean or null: it is the
    user's data.
    """
    retry, on_error = policy.retry, policy.on_error
    shown: dict[str, Any] = {"fail_fast": policy.fail_fast, "timeout": policy.timeout}
    if policy.total_timeout:
        shown["total_timeout"] = policy.total_timeout
    shown["retry"] = retry_snapshot(retry)
    shown["on_error"] = {"action": on_error.action}
    for name in ("target", "rejoin"):
        if getattr(on_error, name) is not None:
            shown["on_error"][name] = getattr(on_error, name)
    if on_error.has_value:
        shown["on_error"]["value"] = shown_value(on_error.value)
    return shown


def retry_snapshot(retry: EffectiveRetry) -> dict[str, Any]:
    """Return a retry as JSON-able data; durations in seconds, what is off or default left out."""
    shown: dict[str, Any] = {
        "max_attempts": retry.max_attempts,
        "delay": retry.delay,
        "mode": retry.mode,
        "jitter": retry.jitter,
    }
    values = _others(retry)
    if values != _DEFAULTS:  # most policies give none of them, and each node has a snapshot
        for name, value, default in zip(_OTHERS, values, _DEFAULTS, strict=True):
            if value != default and (value or name not in _BOUNDS):
                shown[name] = sorted(value) if isinstance(value, frozenset) else value
    return shown


def shown_value(value: Any) -> Any:
    """Return a scalar as it is, anything else as ``<type>``."""
    match value:
        case None | bool():
            return value
        case int() if value.bit_length() < 64:
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return f"<{type(value).__name__}>"


def _duration(seconds: float) -> str:
    return format_duration(seconds) if seconds else "off"


def _retry(retry: EffectiveRetry) -> str:
    if retry.max_attempts == 0:
        return "off"
    shown = retry_snapshot(retry)
    mode = shown.pop("mode")
    if retry.jitter == "none":
        del shown["jitter"]
    order = sorted(shown, key=lambda name: _PLACES.get(name, len(_PLACES)))
    return f"{mode}({', '.join(f'{name}={_text(name, shown[name])}' for name in order)})"


def _text(name: str, value: Any) -> str:
    if name in _DURATIONS and value is not None:
        return format_duration(value)
    return "|".join(value) if isinstance(value, list) else f"{value}"


def _on_error(on_error: EffectiveOnError) -> str:
    parts = []
    if on_error.target is not None:
        parts.append(on_error.target[:_SHOWN_TEXT])
    if on_error.has_value:
        parts.append(f"value={shown_value(on_error.value)}")
    if on_error.rejoin is not None:
        parts.append(f"rejoin={on_error.rejoin[:_SHOWN_TEXT]}")
    return f"{on_error.action}({', '.join(parts)})" if parts else on_error.action
