"""The decision after a failed attempt."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model import EffectiveRetry
from tailrace.policy import GiveUp, RetryAfter, RetryDecision, decide_retry


def decide(policy: EffectiveRetry, attempt: int = 1, **facts: Any) -> RetryDecision:
    known: dict[str, Any] = {"category": "unknown", "elapsed": 0.0, "rng": Random(7)} | facts
    return decide_retry(policy, attempt=attempt, **known)


def delays(policy: EffectiveRetry) -> list[float]:
    found = []
    for attempt in range(1, policy.max_attempts + 1):
        decision = decide(policy, attempt)
        assert isinstance(decision, RetryAfter)
        found.append(decision.delay)
    return found


def test_nothing_is_tried_again_unless_asked() -> None:
    assert decide(EffectiveRetry()) == GiveUp("attempt 1 of 1 failed")


def test_max_attempts_counts_the_tries_after_the_first() -> None:
    policy = EffectiveRetry(max_attempts=2)
    assert [type(decide(policy, attempt)) for attempt in (1, 2, 3)] == [
        RetryAfter,
        RetryAfter,
        GiveUp,
    ]
    assert decide(policy, 3) == GiveUp("attempt 3 of 3 failed")


def test_fixed_delays_are_equal_and_exponential_ones_double_up_to_the_cap() -> None:
    assert delays(EffectiveRetry(max_attempts=3, delay=0.5)) == [0.5, 0.5, 0.5]
    growing = EffectiveRetry(max_attempts=5, delay=0.5, mode="exponential", max_delay=3.0)
    assert delays(growing) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_cap_of_zero_is_no_cap() -> None:
    policy = EffectiveRetry(max_attempts=3, delay=1.0, mode="exponential", max_delay=0.0)
    assert delays(policy) == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("on", "retried"),
    [
        (None, {"transient", "permanent", "unknown", "timeout"}),
        ({"transient"}, {"transient", "timeout"}),
        ({"timeout"}, {"timeout"}),
        ({"permanent", "unknown"}, {"permanent", "unknown"}),
    ],
)
def test_the_categories_named_are_retried_and_cancelled_never_is(on: Any, retried: Any) -> None:
    policy = EffectiveRetry(max_attempts=1, on=None if on is None else frozenset(on))
    categories = ("transient", "permanent", "unknown", "timeout", "cancelled")
    found = {name for name in categories if isinstance(decide(policy, category=name), RetryAfter)}
    assert found == retried


def test_a_failure_that_forbids_another_try_is_final() -> None:
    assert isinstance(decide(EffectiveRetry(max_attempts=9), retryable=False), GiveUp)


def test_the_other_side_is_never_asked_before_it_wishes() -> None:
    policy = EffectiveRetry(max_attempts=1, delay=1.0)
    assert decide(policy, retry_after=30.0) == RetryAfter(30.0)
    assert decide(policy, retry_after=0.1) == RetryAfter(1.0)
    bounded = EffectiveRetry(max_attempts=1, delay=1.0, max_elapsed=10.0)
    assert isinstance(decide(bounded, retry_after=30.0), GiveUp)


def test_no_attempt_starts_later_than_max_elapsed() -> None:
    policy = EffectiveRetry(max_attempts=9, delay=2.0, max_elapsed=5.0)
    assert decide(policy, elapsed=3.0) == RetryAfter(2.0)
    assert decide(policy, elapsed=3.1) == GiveUp(
        "another attempt would start later than max_elapsed=5s"
    )
    unbounded = EffectiveRetry(max_attempts=9, delay=2.0, max_elapsed=0.0)
    assert decide(unbounded, elapsed=1e9) == RetryAfter(2.0)


@given(
    delay=st.floats(0, 1e6),
    attempt=st.integers(1, 2**40),
    jitter=st.sampled_from(["none", "full", "equal"]),
    cap=st.none() | st.floats(0.001, 1e6),
    seed=st.integers(),
)
def test_every_delay_is_within_its_bounds_and_never_overflows(
    delay: Any, attempt: Any, jitter: Any, cap: Any, seed: Any
) -> None:
    policy = EffectiveRetry(
        max_attempts=2**41, delay=delay, mode="exponential", max_delay=cap, jitter=jitter
    )
    decision = decide(policy, attempt, rng=Random(seed))
    assert isinstance(decision, RetryAfter)
    longest = min(delay * 2.0 ** min(attempt - 1, 64), cap or 366 * 86_400.0)
    low = {"none": longest, "full": 0.0, "equal": longest / 2}[jitter]
    assert low <= decision.delay <= longest * (1 + 1e-12)
