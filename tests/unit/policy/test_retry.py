"""The decision after a failed attempt."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model import EffectiveRetry, ErrorCategory, LetterReason
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
    decision = decide(EffectiveRetry(), category="transient")
    assert decision == GiveUp("attempt 1 of 1 failed", "max_attempts")


def test_max_attempts_counts_the_tries_after_the_first() -> None:
    policy = EffectiveRetry(max_attempts=2)
    assert [type(decide(policy, attempt)) for attempt in (1, 2, 3)] == [
        RetryAfter,
        RetryAfter,
        GiveUp,
    ]
    assert decide(policy, 3) == GiveUp("attempt 3 of 3 failed", "max_attempts")


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
    assert decide(policy, retry_after=30.0) == RetryAfter(30.0, "retry_after")
    assert decide(policy, retry_after=0.1) == RetryAfter(1.0)
    bounded = EffectiveRetry(max_attempts=1, delay=1.0, max_elapsed=10.0)
    assert isinstance(decide(bounded, retry_after=30.0), GiveUp)


def test_no_attempt_starts_later_than_max_elapsed() -> None:
    policy = EffectiveRetry(max_attempts=9, delay=2.0, max_elapsed=5.0)
    assert decide(policy, elapsed=3.0) == RetryAfter(2.0)
    assert decide(policy, elapsed=3.1) == GiveUp(
        "another attempt would start later than max_elapsed=5s", "max_elapsed"
    )
    unbounded = EffectiveRetry(max_attempts=9, delay=2.0, max_elapsed=0.0)
    assert decide(unbounded, elapsed=1e9) == RetryAfter(2.0)


def test_a_wish_of_twelve_seconds_is_a_floor_and_jitter_only_adds_to_it() -> None:
    for jitter in ("none", "full", "equal", "decorrelated", 0.5):
        policy = EffectiveRetry(max_attempts=1, delay=2.0, jitter=jitter)
        found = [decide(policy, retry_after=12.0, rng=Random(seed)) for seed in range(200)]
        waits = {one.delay for one in found if isinstance(one, RetryAfter)}
        assert all(isinstance(one, RetryAfter) and one.source == "retry_after" for one in found)
        assert min(waits) >= 12.0
        assert max(waits) <= 12.0 + 3 * 2.0
        assert len(waits) == (1 if jitter == "none" else 200)


def test_a_wish_beyond_the_cap_is_given_up_and_not_scheduled() -> None:
    policy = EffectiveRetry(max_attempts=1)
    assert isinstance(decide(policy, retry_after=3600.0), RetryAfter)
    for wish in (3600.1, 10 * 365 * 86_400.0, float("inf")):
        decision = decide(policy, retry_after=wish)
        assert isinstance(decision, GiveUp)
        assert decision.code == "retry_after"
        assert "1h is the most" in decision.reason


def test_the_cap_on_wishes_can_be_moved_and_taken_away() -> None:
    strict = EffectiveRetry(max_attempts=1, retry_after_cap=10.0)
    assert isinstance(decide(strict, retry_after=11.0), GiveUp)
    for off in (None, 0.0):
        open_ended = EffectiveRetry(max_attempts=1, retry_after_cap=off)
        assert decide(open_ended, retry_after=7200.0) == RetryAfter(7200.0, "retry_after")
        assert isinstance(decide(open_ended, retry_after=1e12), GiveUp)


def test_a_wish_is_not_heard_where_the_policy_says_so() -> None:
    policy = EffectiveRetry(max_attempts=1, delay=1.0, respect_retry_after=False)
    assert decide(policy, retry_after=1e12) == RetryAfter(1.0)


def test_jitter_on_top_of_a_wish_never_passes_max_elapsed() -> None:
    policy = EffectiveRetry(max_attempts=1, delay=8.0, jitter="full", max_elapsed=30.0)
    for seed in range(100):
        decision = decide(policy, elapsed=17.9, retry_after=12.0, rng=Random(seed))
        assert isinstance(decision, RetryAfter)
        assert 12.0 <= decision.delay <= 30.0 - 17.9
    late = decide(policy, elapsed=18.1, retry_after=12.0)
    assert isinstance(late, GiveUp)
    assert late.code == "max_elapsed"


def test_unknown_failures_are_retried_as_often_as_unknown_retries_says() -> None:
    once = EffectiveRetry(max_attempts=5, unknown_retries=1)
    assert isinstance(decide(once, 1), RetryAfter)
    second = decide(once, 2)
    assert isinstance(second, GiveUp)
    assert second.code == "unknown_exhausted"
    assert second.reason.startswith("attempt 2 of 2 failed")
    assert isinstance(decide(once, 5, category="transient"), RetryAfter)
    never = decide(EffectiveRetry(max_attempts=5, unknown_retries=0), 1)
    assert isinstance(never, GiveUp)


def test_unknown_failures_are_retried_like_others_where_nothing_is_said() -> None:
    assert isinstance(decide(EffectiveRetry(max_attempts=5), 5), RetryAfter)


def test_more_unknown_retries_than_attempts_add_none() -> None:
    decision = decide(EffectiveRetry(max_attempts=1, unknown_retries=9), 2)
    assert decision == GiveUp("attempt 2 of 2 failed", "max_attempts")


def test_what_was_retried_inside_is_not_retried_again_unless_nested_asks_for_it() -> None:
    inner: dict[str, Any] = {"category": "transient", "exhausted": True, "retryable": False}
    plain = decide(EffectiveRetry(max_attempts=3), **inner)
    assert isinstance(plain, GiveUp)
    assert plain.code == "max_attempts"
    assert isinstance(decide(EffectiveRetry(max_attempts=3, nested=True), **inner), RetryAfter)


def test_three_layers_that_retry_make_the_calls_of_one() -> None:
    def calls(layers: int, policy: EffectiveRetry) -> tuple[int, bool]:
        """Return the calls that a task which always fails gets, and whether retries are used up."""
        if layers == 0:
            return 1, False
        made = 0
        for attempt in range(1, 100):
            inner, exhausted = calls(layers - 1, policy)
            made += inner
            decision = decide(policy, attempt, category="transient", exhausted=exhausted)
            if isinstance(decision, GiveUp):
                return made, True
        raise AssertionError("it never gives up")

    assert calls(3, EffectiveRetry(max_attempts=3)) == (4, True)
    assert calls(3, EffectiveRetry(max_attempts=3, nested=True)) == (64, True)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"category": "permanent", "retryable": False}, "permanent"),
        ({"category": "transient", "retryable": False}, "permanent"),
        ({"category": "unknown", "retryable": False}, "unknown_exhausted"),
        ({"category": "cancelled"}, ""),
        ({"category": "cancelled", "exhausted": True}, ""),
    ],
)
def test_a_failure_that_is_final_by_itself_says_why(facts: Any, code: str) -> None:
    decision = decide(EffectiveRetry(max_attempts=9, nested=True), **facts)
    assert isinstance(decision, GiveUp)
    assert decision.code == code


@pytest.mark.parametrize(
    ("on", "category", "code"),
    [
        ("timeout", "permanent", "permanent"),
        ("timeout", "unknown", "unknown_exhausted"),
        ("timeout", "transient", "max_attempts"),
        ("permanent", "timeout", "max_attempts"),
    ],
)
def test_a_failure_that_on_leaves_out_keeps_the_meaning_of_its_category(
    on: str, category: str, code: str
) -> None:
    decision = decide(EffectiveRetry(max_attempts=9, on=frozenset({on})), category=category)
    assert decision == GiveUp(f"{category} failures are not retried", code)


def test_without_retries_the_reason_is_the_category() -> None:
    codes = {
        category: decide(EffectiveRetry(), category=category)
        for category in ("permanent", "unknown", "transient", "timeout")
    }
    assert {name: one.code for name, one in codes.items() if isinstance(one, GiveUp)} == {
        "permanent": "permanent",
        "unknown": "unknown_exhausted",
        "transient": "max_attempts",
        "timeout": "max_attempts",
    }


def test_give_up_on_is_stronger_than_on_and_means_permanent() -> None:
    policy = EffectiveRetry(
        max_attempts=9, on=frozenset({"transient"}), give_up_on=frozenset({"auth"})
    )
    refused = decide(policy, category="transient", class_="auth")
    assert refused == GiveUp("give_up_on names it", "permanent")
    assert isinstance(decide(policy, category="transient", class_="network"), RetryAfter)


def test_classes_and_types_may_be_named_where_categories_may() -> None:
    policy = EffectiveRetry(max_attempts=9, on=frozenset({"throttled", "ConnectionError"}))
    assert isinstance(decide(policy, class_="throttled"), RetryAfter)
    assert isinstance(decide(policy, type_names=("ConnectionResetError",)), RetryAfter)
    assert isinstance(decide(policy, class_="auth", type_names=("ValueError",)), GiveUp)


CATEGORIES = st.sampled_from([category.value for category in ErrorCategory])
POLICIES = st.builds(
    EffectiveRetry,
    max_attempts=st.integers(0, 6),
    delay=st.floats(0, 100),
    mode=st.sampled_from(["fixed", "exponential", "linear", "fibonacci"]),
    jitter=st.sampled_from(["none", "full", "equal", "decorrelated", 0.2]),
    max_delay=st.none() | st.floats(0, 100),
    max_elapsed=st.none() | st.floats(0, 200),
    on=st.none() | st.frozensets(CATEGORIES, min_size=1),
    give_up_on=st.frozensets(st.sampled_from(["auth", "ValueError", "timeout"])),
    unknown_retries=st.none() | st.integers(0, 3),
    retry_after_cap=st.none() | st.floats(0, 100),
    nested=st.booleans(),
)


@given(
    policy=POLICIES,
    category=CATEGORIES,
    attempt=st.integers(1, 8),
    elapsed=st.floats(0, 300),
    retry_after=st.none() | st.floats(-1, 200),
    facts=st.fixed_dictionaries({"retryable": st.booleans(), "exhausted": st.booleans()}),
    seed=st.integers(),
)
def test_no_decision_breaks_a_promise(  # noqa: PLR0917 - the facts of a failure
    policy: EffectiveRetry,
    category: str,
    attempt: int,
    elapsed: float,
    retry_after: float | None,
    facts: Any,
    seed: int,
) -> None:
    known = {"category": category, "elapsed": elapsed, "retry_after": retry_after} | facts
    decision = decide(policy, attempt, rng=Random(seed), **known)
    if isinstance(decision, GiveUp):
        assert decision.code in {*LetterReason, ""}
        assert (decision.code == "") == (category == "cancelled")
        return
    assert category != "cancelled"
    assert attempt <= policy.max_attempts
    assert facts["retryable"] or facts["exhausted"]
    assert policy.nested or not facts["exhausted"]
    assert decision.delay >= 0
    assert retry_after is None or decision.delay >= retry_after
    assert not policy.max_elapsed or elapsed + decision.delay <= policy.max_elapsed * (1 + 1e-12)
