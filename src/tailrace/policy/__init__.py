"""Pure decisions about failure: validation, precedence, retry. No clock, no sleep."""

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.policy.breaker import Breaker, Breakers
    from tailrace.policy.budget import Budgets, RetryBudget
    from tailrace.policy.durations import format_duration, parse_duration
    from tailrace.policy.kinds import names_of
    from tailrace.policy.merge import Levels, resolve
    from tailrace.policy.origins import explain
    from tailrace.policy.retry import GiveUp, RetryAfter, RetryDecision, decide_retry
    from tailrace.policy.retry_policy import RetryPolicy
    from tailrace.policy.validate import (
        PolicyValidator,
        Problem,
        cautions,
        problems,
        to_dict,
    )
    from tailrace.policy.wording import describe, snapshot

_HOMES = {
    "Breaker": "breaker",
    "Breakers": "breaker",
    "Budgets": "budget",
    "GiveUp": "retry",
    "Levels": "merge",
    "PolicyValidator": "validate",
    "Problem": "validate",
    "RetryAfter": "retry",
    "RetryBudget": "budget",
    "RetryDecision": "retry",
    "RetryPolicy": "retry_policy",
    "cautions": "validate",
    "decide_retry": "retry",
    "describe": "wording",
    "explain": "origins",
    "format_duration": "durations",
    "names_of": "kinds",
    "parse_duration": "durations",
    "problems": "validate",
    "resolve": "merge",
    "snapshot": "wording",
    "to_dict": "validate",
}

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

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
