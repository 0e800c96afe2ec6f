"""Whether and when a failed attempt is tried again."""

from __future__ import annotations

import math
from collections.abc import Collection
from random import Random

from msgspec import Struct

from tailrace.model import EffectiveRetry, ErrorCategory, LetterReason
from tailrace.policy.durations import LONGEST, format_duration
from tailrace.policy.kinds import is_named
from tailrace.policy.schedule import Draw, draw_delay

_BY_CATEGORY = {
    ErrorCategory.PERMANENT.value: LetterReason.PERMANENT.value,
    ErrorCategory.UNKNOWN.value: LetterReason.UNKNOWN_EXHAUSTED.value,
    ErrorCategory.CANCELLED.value: "",
}
"""Why a failure is final that the policy does not retry at all; others ran out of attempts."""


class RetryAfter(Struct, frozen=True):
    """Try again after ``delay`` seconds."""

    delay: float
    source: str = "schedule"
    """What asked for the delay: ``schedule``, ``retry_after`` (the other side), ``budget``."""


class GiveUp(Struct, frozen=True):
    """The failure is final, and why."""

    reason: str
    code: str = ""
    """A value of ``LetterReason``; empty for what was cancelled, which leaves no dead letter."""


RetryDecision = RetryAfter | GiveUp


def decide_retry(  # noqa: PLR0913 - one keyword for each fact of the failure
    policy: EffectiveRetry,
    *,
    category: str,
    attempt: int,
    elapsed: float,
    rng: Random,
    retryable: bool = True,
    retry_after: float | None = None,
    class_: str = "",
    type_names: Collection[str] = (),
    exhausted: bool = False,
    planned: float | None = None,
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
        class_: a value of ``FailureClass``; empty when it is not known.
        type_names: qualified names of its type and, where they are known, of its bases.
        exhausted: True when it was retried inside until nothing was left; ``retryable`` does not
            count then, ``policy.nested`` does.
        planned: seconds before jitter that take the place of the policy's own schedule.
    """
    if category == ErrorCategory.CANCELLED.value or not (retryable or exhausted):
        code = _BY_CATEGORY.get(category, LetterReason.PERMANENT.value)
        return GiveUp(f"{category} failures are not retried", code)
    if exhausted and not policy.nested:
        code = LetterReason.MAX_ATTEMPTS.value
        return GiveUp("it was retried inside until nothing was left", code)
    refused = _unwanted(policy, category, class_, type_names) or _used_up(policy, category, attempt)
    if refused:
        return refused
    draw = draw_delay(policy, attempt, rng, planned)
    wish = retry_after if policy.respect_retry_after else None
    return _timed(policy, draw, wish, elapsed)


def _unwanted(
    policy: EffectiveRetry, category: str, class_: str, type_names: Collection[str]
) -> GiveUp | None:
    if policy.give_up_on and is_named(policy.give_up_on, category, class_, type_names):
        return GiveUp("give_up_on names it", LetterReason.PERMANENT.value)
    if policy.on is None or is_named(policy.on, category, class_, type_names):
        return None
    code = _BY_CATEGORY.get(category, LetterReason.MAX_ATTEMPTS.value)
    return GiveUp(f"{category} failures are not retried", code)


def _used_up(policy: EffectiveRetry, category: str, attempt: int) -> GiveUp | None:
    allowed = policy.max_attempts
    if category == ErrorCategory.UNKNOWN.value and policy.unknown_retries is not None:
        allowed = min(allowed, policy.unknown_retries)
    if attempt <= allowed:
        return None
    reason = f"attempt {attempt} of {allowed + 1} failed"
    if allowed < policy.max_attempts:
        reason += ", as many as unknown_retries allows a failure of which nothing is known"
        return GiveUp(reason, LetterReason.UNKNOWN_EXHAUSTED.value)
    if policy.max_attempts == 0:
        return GiveUp(reason, _BY_CATEGORY.get(category, LetterReason.MAX_ATTEMPTS.value))
    return GiveUp(reason, LetterReason.MAX_ATTEMPTS.value)


def _timed(policy: EffectiveRetry, draw: Draw, wish: float | None, elapsed: float) -> RetryDecision:
    """Return the delay drawn, or the longer one the other side wishes, inside of all bounds."""
    cap = min(policy.retry_after_cap or LONGEST, LONGEST)
    if wish is not None and wish > cap:
        asked = f"{wish:.0f} s" if wish < math.inf else "without end"
        reason = f"the other side asks for a wait of {asked}; {format_duration(cap)} is the most"
        return GiveUp(reason, LetterReason.RETRY_AFTER.value)
    left = policy.max_elapsed - elapsed if policy.max_elapsed else math.inf
    decided = RetryAfter(draw.delay)
    if wish is not None and wish > 0:
        # All who were asked to wait would come back at once, so the jitter goes on top.
        later = max(wish, min(wish + draw.delay - draw.least, left))
        if later > draw.delay:
            decided = RetryAfter(later, "retry_after")
    if decided.delay > left:
        allowed = format_duration(policy.max_elapsed or 0)
        reason = f"another attempt would start later than max_elapsed={allowed}"
        return GiveUp(reason, LetterReason.MAX_ELAPSED.value)
    return decided
