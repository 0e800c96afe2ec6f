"""A whole policy of retries in one value."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from tailrace.errors import PolicyValidationError
from tailrace.policy import GiveUp, RetryAfter, RetryDecision, RetryPolicy


def decide(policy: RetryPolicy, attempt: int = 1, **facts: Any) -> RetryDecision:
    known: dict[str, Any] = {"category": "transient", "elapsed": 0.0, "rng": Random(7)} | facts
    return policy.decide(attempt=attempt, **known)


def delays(policy: RetryPolicy, count: int) -> list[float]:
    found = [decide(policy, attempt) for attempt in range(1, count + 1)]
    return [one.delay for one in found if isinstance(one, RetryAfter)]


def test_the_defaults_retry_what_may_pass_three_times_and_unknown_failures_once() -> None:
    policy = RetryPolicy()
    assert len(delays(policy, 9)) == 3
    assert decide(policy, 4) == GiveUp("attempt 4 of 4 failed", "max_attempts")
    assert isinstance(decide(policy, 3, category="timeout"), RetryAfter)
    assert isinstance(decide(policy, 1, category="unknown"), RetryAfter)
    for category, code in (
        ("unknown", "unknown_exhausted"),
        ("permanent", "permanent"),
        ("cancelled", ""),
    ):
        decision = decide(policy, 2, category=category)
        assert isinstance(decision, GiveUp)
        assert decision.code == code


def test_max_retries_is_another_word_for_max_attempts() -> None:
    assert RetryPolicy(max_retries=5) == RetryPolicy(max_attempts=5)
    assert RetryPolicy(max_retries=5).max_attempts == 5
    assert RetryPolicy(max_retries=0).retry.max_attempts == 0
    assert replace(RetryPolicy(max_retries=5), jitter="none").max_attempts == 5
    with pytest.raises(PolicyValidationError, match="another word for max_attempts"):
        RetryPolicy(max_attempts=1, max_retries=2)


def test_the_policy_of_the_older_program_waits_2_4_and_8_seconds_a_fifth_more_or_less() -> None:
    policy = RetryPolicy.resonant()
    assert policy.max_attempts == 3
    for attempt, expected in ((1, 2.0), (2, 4.0), (3, 8.0)):
        waits = [decide(policy, attempt, rng=Random(seed)) for seed in range(300)]
        seconds = [one.delay for one in waits if isinstance(one, RetryAfter)]
        assert len(seconds) == 300
        assert expected * 0.8 <= min(seconds) < expected * 0.82
        assert expected * 1.18 < max(seconds) <= expected * 1.2
    long = replace(policy, max_attempts=2000)
    assert max(delays(long, 2000)) <= 300.0 * 1.2
    assert RetryPolicy.resonant() == policy


def test_durations_may_be_text() -> None:
    policy = RetryPolicy(base="250ms", jitter="none", max_delay="1s", attempt_timeout="5s")
    assert delays(policy, 3) == [0.25, 0.5, 1.0]
    assert policy.timeout == 5.0
    assert RetryPolicy().timeout == 0.0


def test_a_base_of_nothing_waits_not_at_all() -> None:
    assert delays(RetryPolicy(base=0), 3) == [0.0, 0.0, 0.0]


def test_a_function_may_be_the_schedule() -> None:
    policy = RetryPolicy(max_attempts=4, schedule=lambda attempt: attempt * 10, jitter="none")
    assert delays(policy, 4) == [10.0, 20.0, 30.0, 40.0]
    assert delays(replace(policy, max_delay=25), 4) == [10.0, 20.0, 25.0, 25.0]
    shared = replace(policy, jitter=0.5)
    assert all(5 * n <= wait <= 15 * n for n, wait in enumerate(delays(shared, 4), start=1))


@pytest.mark.parametrize(
    ("answer", "delay"),
    [(-5.0, 0.0), (float("inf"), 300.0), (float("nan"), 300.0), (10**400, 300.0)],
)
def test_an_answer_of_a_function_that_is_no_delay_is_bounded(answer: Any, delay: float) -> None:
    policy = RetryPolicy(schedule=lambda _: answer, jitter="none")
    assert decide(policy) == RetryAfter(delay)


def test_a_function_that_raises_is_logged_and_the_failure_is_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(attempt: int) -> float:
        raise ZeroDivisionError(attempt)

    with caplog.at_level(logging.WARNING):
        assert decide(RetryPolicy(schedule=broken, jitter="none")) == RetryAfter(300.0)
    (line,) = caplog.records
    assert line.getMessage() == "schedule failed"


@dataclass
class WaitExponential:
    """Waits as tenacity's ``wait_exponential`` does, through the same protocol."""

    multiplier: float = 1.0
    longest: float = 60.0

    def __call__(self, retry_state: Any) -> float:
        assert retry_state.outcome is None
        assert retry_state.seconds_since_start == 0.0
        number: int = retry_state.attempt_number
        return min(self.longest, self.multiplier * math.pow(2.0, number - 1))


def test_wait_objects_of_tenacity_are_schedules() -> None:
    policy = RetryPolicy.from_tenacity(WaitExponential(longest=5.0), max_attempts=5)
    assert delays(policy, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert policy == RetryPolicy.from_tenacity(WaitExponential(longest=5.0), max_attempts=5)


def test_types_and_classes_decide_what_is_retried() -> None:
    policy = RetryPolicy(retry_on=(ConnectionError, "throttled"), give_up_on=[BrokenPipeError])
    assert isinstance(decide(policy, type_names=("ConnectionResetError",)), RetryAfter)
    assert isinstance(decide(policy, type_names=("BrokenPipeError",)), GiveUp)
    assert isinstance(decide(policy, class_="throttled"), RetryAfter)
    assert isinstance(decide(policy, class_="network", type_names=("ValueError",)), GiveUp)
    assert isinstance(RetryPolicy(retry_on=["permanent"]).retry.on, frozenset)


def test_a_wish_of_the_other_side_is_a_floor() -> None:
    decision = decide(RetryPolicy(), retry_after=12.0)
    assert isinstance(decision, RetryAfter)
    assert decision.delay >= 12.0
    assert decision.source == "retry_after"
    assert isinstance(decide(RetryPolicy(), retry_after=3601.0), GiveUp)
    assert isinstance(decide(RetryPolicy(retry_after_cap="2h"), retry_after=3601.0), RetryAfter)


def test_what_was_retried_inside_is_given_up() -> None:
    assert isinstance(decide(RetryPolicy(), exhausted=True), GiveUp)
    assert isinstance(decide(RetryPolicy(nested=True), exhausted=True), RetryAfter)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_attempts": -1}, "RetryPolicy.max_attempts is -1; it must be a whole number"),
        ({"max_retries": -1}, "RetryPolicy.max_retries is -1; it must be a whole number"),
        ({"schedule": "fibonaci"}, "did you mean 'fibonacci'?"),
        ({"schedule": 3}, "RetryPolicy.schedule is 3; it must be one of"),
        ({"base": "5 parsecs"}, "RetryPolicy.base is '5 parsecs'; it must be seconds"),
        ({"base": 400}, "RetryPolicy.max_delay is 300.0; it must not be less than base"),
        ({"factor": 0.5}, "RetryPolicy.factor is 0.5; it must be a number from 1 to 1000"),
        ({"jitter": 2}, "or a number from 0 to 1"),
        ({"retry_on": ["transeint"]}, "did you mean 'transient'?"),
        ({"retry_on": ConnectionError}, "it must be a list of one or more of"),
        ({"retry_on": "transient"}, "it must be a list of one or more of"),
        ({"retry_on": ["auth"], "give_up_on": ["auth"]}, "it cannot be retried and final"),
        ({"attempt_timeout": -1}, "RetryPolicy.attempt_timeout is -1; it must be seconds"),
        ({"on_exhausted": "pause"}, "on_exhausted is 'pause'; it must be one of 'dead_letter'"),
        ({"unknown_retries": 1.5}, "RetryPolicy.unknown_retries is 1.5; it must be a whole"),
        ({"schedule": float, "jitter": "decorrelated"}, "which is a schedule of its own"),
    ],
)
def test_a_mistake_is_told_with_field_value_and_what_is_allowed(given: Any, message: str) -> None:
    with pytest.raises(PolicyValidationError) as caught:
        RetryPolicy(**given)
    (found,) = caught.value.errors
    assert message in found
    assert ".retry." not in found


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(PolicyValidationError) as caught:
        RetryPolicy(max_attempts=-1, jitter="some", on_exhausted="x", attempt_timeout="x")
    assert len(caught.value.errors) == 4


def test_the_snapshot_is_json_with_durations_in_seconds() -> None:
    policy = RetryPolicy(base="2s", retry_on=["timeout"], attempt_timeout="1m", budget="api")
    assert json.loads(json.dumps(policy.snapshot())) == {
        "max_attempts": 3,
        "delay": 2.0,
        "mode": "exponential",
        "jitter": "full",
        "max_delay": 300.0,
        "on": ["timeout"],
        "unknown_retries": 1,
        "budget": "api",
        "attempt_timeout": 60.0,
        "on_exhausted": "dead_letter",
    }
    assert RetryPolicy(schedule=WaitExponential()).snapshot()["mode"] == "WaitExponential"


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        RetryPolicy().base = 3.0  # type: ignore[misc]
