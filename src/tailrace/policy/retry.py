"""Whether and when a failed attempt is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import assert_never

from tailrace.model import EffectiveRetry, ErrorCategory
from tailrace.policy.durations import LONGEST, format_duration

_DOUBLINGS = 64
"""Beyond it every delay has met its cap; keeps the power from overflowing."""
_ADMITS_TIMEOUT = frozenset({ErrorCategory.TRANSIENT.value, ErrorCategory.TIMEOUT.value})


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure is final, and why."""

    reason: str


RetryDecision = RetryAfter | GiveUp


def decide_retry(
    policy: EffectiveRetry,
    *,
    category: str,
    attempt: int,
    elapsed: float,
    rng: Random,
    retryable: bool = True,
    retry_after: float | None = None,
) -> RetryDecision:
    """Return what to do after attempt number ``attempt`` (1-based) failed.

    Args:
        policy: what the node's policy says; ``max_attempts`` counts the tries after the first.
        category: a value of ``ErrorCategory``.
        attempt: number of the attempt that failed.
        elapsed: seconds since the first attempt started.
        rng: source of the jitter.
        retryable: False when the failure itself forbids another try.
        retry_after: seconds the other side asked us to wait; never waited less.
    """
    if attempt > policy.max_attempts:
        return GiveUp(f"attempt {attempt} of {policy.max_attempts + 1} failed")
    if not retryable or not _is_wanted(policy.on, category):
        return GiveUp(f"{category} failures are not retried")
    delay = _jittered(_delay(policy, attempt), policy.jitter, rng)
    if retry_after is not None:
        delay = max(delay, retry_after)
    if policy.max_elapsed and elapsed + delay > policy.max_elapsed:
        allowed = format_duration(policy.max_elapsed)
        return GiveUp(f"another attempt would start later than max_elapsed={allowed}")
    return RetryAfter(delay)


def _is_wanted(on: frozenset[str] | None, category: str) -> bool:
    match ErrorCategory(category):
        case ErrorCategory.CANCELLED:
            return False
        case ErrorCategory.TIMEOUT:
            return on is None or not on.isdisjoint(_ADMITS_TIMEOUT)
        case ErrorCategory.TRANSIENT | ErrorCategory.PERMANENT | ErrorCategory.UNKNOWN as known:
            return on is None or known.value in on
        case unreachable:
            assert_never(unreachable)


def _delay(policy: EffectiveRetry, attempt: int) -> float:
    delay = policy.delay
    if policy.mode == "exponential":
        delay *= 2.0 ** min(attempt - 1, _DOUBLINGS)
    return min(delay, policy.max_delay or LONGEST)


def _jittered(delay: float, jitter: str, rng: Random) -> float:
    match jitter:
        case "full":
            return rng.uniform(0.0, delay)
        case "equal":
            return delay / 2 + rng.uniform(0.0, delay / 2)
        case _:
            return delay
