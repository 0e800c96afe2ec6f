"""A policy in one line for people, and as plain data for spans and reports."""

from __future__ import annotations

import math
from typing import Any

from tailrace.model import EffectiveOnError, EffectivePolicy, EffectiveRetry
from tailrace.policy.durations import format_duration

_SHOWN_TEXT = 40


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
    shown["retry"] = {
        "max_attempts": retry.max_attempts,
        "delay": retry.delay,
        "mode": retry.mode,
        "jitter": retry.jitter,
    }
    if retry.max_delay:
        shown["retry"]["max_delay"] = retry.max_delay
    if retry.max_elapsed:
        shown["retry"]["max_elapsed"] = retry.max_elapsed
    if retry.on is not None:
        shown["retry"]["on"] = sorted(retry.on)
    shown["on_error"] = {"action": on_error.action}
    for name in ("target", "rejoin"):
        if getattr(on_error, name) is not None:
            shown["on_error"][name] = getattr(on_error, name)
    if on_error.has_value:
        shown["on_error"]["value"] = shown_value(on_error.value)
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
    parts = [f"max_attempts={retry.max_attempts}", f"delay={format_duration(retry.delay)}"]
    if retry.max_delay:
        parts.append(f"max_delay={format_duration(retry.max_delay)}")
    if retry.jitter != "none":
        parts.append(f"jitter={retry.jitter}")
    if retry.on is not None:
        parts.append(f"on={'|'.join(sorted(retry.on))}")
    if retry.max_elapsed:
        parts.append(f"max_elapsed={format_duration(retry.max_elapsed)}")
    return f"{retry.mode}({', '.join(parts)})"


def _on_error(on_error: EffectiveOnError) -> str:
    parts = []
    if on_error.target is not None:
        parts.append(on_error.target[:_SHOWN_TEXT])
    if on_error.has_value:
        parts.append(f"value={shown_value(on_error.value)}")
    if on_error.rejoin is not None:
        parts.append(f"rejoin={on_error.rejoin[:_SHOWN_TEXT]}")
    return f"{on_error.action}({', '.join(parts)})" if parts else on_error.action
