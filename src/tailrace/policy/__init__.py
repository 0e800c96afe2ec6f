"""Pure decisions about failure: validation, precedence, retry. No clock, no sleep."""

from tailrace.policy.describe import describe, snapshot
from tailrace.policy.durations import format_duration, parse_duration
from tailrace.policy.explain import explain
from tailrace.policy.merge import Levels, resolve
from tailrace.policy.retry import GiveUp, RetryAfter, RetryDecision, decide_retry
from tailrace.policy.validate import (
    PolicyValidator,
    Problem,
    cautions,
    problems,
    to_dict,
)

__all__ = [
    "GiveUp",
    "Levels",
    "PolicyValidator",
    "Problem",
    "RetryAfter",
    "RetryDecision",
    "cautions",
    "decide_retry",
    "describe",
    "explain",
    "format_duration",
    "parse_duration",
    "problems",
    "resolve",
    "snapshot",
    "to_dict",
]
