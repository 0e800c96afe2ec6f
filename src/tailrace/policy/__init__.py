"""Pure decisions about failure: validation, precedence, retry. No clock, no sleep."""

from typing import TYPE_CHECKING, Any

from tailrace.policy.describe import describe, snapshot
from tailrace.policy.durations import format_duration, parse_duration
from tailrace.policy.explain import explain
from tailrace.policy.kinds import names_of
from tailrace.policy.merge import Levels, resolve
from tailrace.policy.retry import GiveUp, RetryAfter, RetryDecision, decide_retry
from tailrace.policy.validate import (
    PolicyValidator,
    Problem,
    cautions,
    problems,
    to_dict,
)

if TYPE_CHECKING:
    from tailrace.policy.breaker import Breaker, Breakers
    from tailrace.policy.budget import Budgets, RetryBudget
    from tailrace.policy.retry_policy import RetryPolicy

_LAZY = {
    "Breaker": "breaker",
    "Breakers": "breaker",
    "Budgets": "budget",
    "RetryBudget": "budget",
    "RetryPolicy": "retry_policy",
}
"""Name to module, of what few programs need."""

__all__ = [
    "Breaker",
    "Breakers",
    "Budgets",
    "GiveUp",
    "Levels",
    "PolicyValidator",
    "Problem",
    "RetryAfter",
    "RetryBudget",
    "RetryDecision",
    "RetryPolicy",
    "cautions",
    "decide_retry",
    "describe",
    "explain",
    "format_duration",
    "names_of",
    "parse_duration",
    "problems",
    "resolve",
    "snapshot",
    "to_dict",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only where one of them is needed

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
