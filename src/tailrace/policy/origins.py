"""Where each value of a policy comes from."""

from __future__ import annotations

from typing import Any

from tailrace.model import EffectivePolicy
from tailrace.policy.durations import format_duration
from tailrace.policy.fields import FIELDS
from tailrace.policy.merge import Levels, resolve
from tailrace.policy.wording import shown_value

_NUMBERS = frozenset({"retry.factor", "retry.jitter"})


def explain(policy: EffectivePolicy | Levels) -> list[tuple[str, Any, str]]:
    """Return (dotted field, value, level it came from) for every field, in a fixed order.

    Takes a merged policy, or the levels to merge, weakest first. Durations are text (``5s``),
    what is off or absent is None.

    Raises:
        PolicyValidationError: a level is out of its bounds.
    """
    effective = policy if isinstance(policy, EffectivePolicy) else resolve(policy)
    return [
        (name, _shown(effective, name), effective.origins.get(name, "default")) for name in FIELDS
    ]


def _shown(policy: EffectivePolicy, name: str) -> Any:
    value: Any = policy
    for part in name.split("."):
        value = getattr(value, part)
    if name == "on_error.value":
        return shown_value(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, float) and name not in _NUMBERS:
        return format_duration(value)
    return value
