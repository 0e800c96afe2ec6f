"""Retry budgets: what is in trouble is not buried by retries."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import PolicyValidationError
from tailrace.model import EffectiveRetry
from tailrace.policy import Budgets, GiveUp, RetryAfter, RetryBudget, decide_retry
from tailrace.policy.budget import within_budget

API = "api.example"
RETRY = EffectiveRetry(
    max_attempts=3, delay=1.0, mode="exponential", jitter="full", max_delay=300.0, budget=API
)


def simulate(starts: list[float], retry: EffectiveRetry) -> tuple[int, list[float]]:
    """Return the calls and the instants of retries when every task fails at every attempt."""
    budgets, rng = Budgets(), Random(11)
    waiting = [(start, number, 1) for number, start in enumerate(starts)]
    began, retries, calls = list(starts), [], 0
    while waiting:
        now, number, attempt = heappop(waiting)
        calls += 1
        if attempt == 1:
            budgets.deposit(API, now)
        else:
            retries.append(now)
        elapsed = now - began[number]
        decision = decide_retry(
            retry, category="transient", attempt=attempt, elapsed=elapsed, rng=rng
        )
        decision = within_budget(decision, retry, budgets, now=now, elapsed=elapsed)
        if isinstance(decision, RetryAfter):
            heappush(waiting, (now + decision.delay, number, attempt + 1))
    return calls, retries


def test_a_thousand_tasks_that_fail_together_make_at_most_a_fifth_retries_in_100_ms() -> None:
    _, retries = simulate([5.0 + number * 1e-6 for number in range(1000)], RETRY)
    peak = max(Counter(int(instant * 10) for instant in retries).values())
    assert 0 < peak <= 200
    unjittered = EffectiveRetry(max_attempts=3, delay=1.0, budget=API)
    _, retries = simulate([5.0 + number * 1e-6 for number in range(1000)], unjittered)
    assert 0 < max(Counter(int(instant * 10) for instant in retries).values()) <= 200


def test_24_000_calls_become_about_7_300() -> None:
    starts = [number / 100 for number in range(6000)]
    without = EffectiveRetry(max_attempts=3, delay=1.0, mode="exponential", jitter="full")
    assert simulate(starts, without)[0] == 24_000
    calls, _ = simulate(starts, RETRY)
    assert 7_000 <= calls <= 7_400


def test_what_is_seldom_called_may_be_retried_too() -> None:
    budgets = Budgets()
    budgets.deposit(API, 1.0)
    assert [budgets.spend(API, 1.0) for _ in range(11)] == [True] * 10 + [False]


def test_what_was_spent_comes_back_after_its_time() -> None:
    budgets = Budgets(RetryBudget(per_second=0.1, ttl=10.0))
    assert budgets.spend(API, 0.0)
    assert not budgets.spend(API, 8.9)
    assert budgets.spend(API, 10.0)


def test_each_dependency_has_its_own_budget_and_rules() -> None:
    budgets = Budgets(budgets={"slow": RetryBudget(per_second=0.1)})
    assert [budgets.spend("slow", 0.0) for _ in range(2)] == [True, False]
    assert budgets.spend(API, 0.0)


def test_without_budget_a_retry_is_given_up_with_its_reason() -> None:
    budgets = Budgets(RetryBudget(per_second=0.1))
    wish = RetryAfter(1.0)
    assert within_budget(wish, RETRY, budgets, now=0.0) is wish
    assert within_budget(wish, RETRY, budgets, now=0.0) == GiveUp(
        "the retry budget of 'api.example' is used up", "budget_exceeded"
    )


def test_a_policy_without_a_budget_and_what_is_given_up_spend_nothing() -> None:
    budgets = Budgets(RetryBudget(per_second=0.1))
    given_up = GiveUp("no", "permanent")
    assert within_budget(given_up, RETRY, budgets, now=0.0) is given_up
    assert within_budget(RetryAfter(1.0), EffectiveRetry(), budgets, now=0.0) == RetryAfter(1.0)
    assert budgets.spend(API, 0.0)


def test_delayed_retries_wait_in_line_at_the_pace_of_the_budget() -> None:
    budgets = Budgets(RetryBudget(per_second=0.5, ttl=10.0))
    delayed = EffectiveRetry(max_attempts=3, budget=API, on_budget="delay")
    waits = [
        decision.delay
        for _ in range(8)
        if isinstance(
            decision := within_budget(RetryAfter(0.1), delayed, budgets, now=0.0), RetryAfter
        )
    ]
    assert waits == [0.1] * 5 + [2.0, 4.0, 6.0]
    late = within_budget(RetryAfter(0.1), delayed, budgets, now=5.0)
    assert late == RetryAfter(3.0, "budget")


def test_nobody_passes_those_who_wait_in_line() -> None:
    budgets = Budgets(RetryBudget(per_second=0.5, ttl=10.0))
    assert budgets.queue(API, 0.0) == 2.0
    assert not budgets.spend(API, 1.9)
    assert budgets.spend(API, 2.0)


def test_a_line_that_is_longer_than_max_elapsed_is_not_joined() -> None:
    budgets = Budgets(RetryBudget(per_second=0.1, ttl=10.0))
    patient = EffectiveRetry(max_attempts=3, budget=API, on_budget="delay", max_elapsed=25.0)
    assert budgets.spend(API, 0.0)
    found = [
        within_budget(RetryAfter(0.1), patient, budgets, now=0.0, elapsed=5.0) for _ in range(3)
    ]
    assert found[:2] == [RetryAfter(10.0, "budget"), RetryAfter(20.0, "budget")]
    assert isinstance(found[2], GiveUp)
    assert found[2].code == "budget_exceeded"
    assert budgets.queue(API, 0.0) == 30.0


def test_all_wrong_rules_are_told_at_once() -> None:
    with pytest.raises(PolicyValidationError) as caught:
        RetryBudget(share=-1, per_second=0, ttl=float("nan"))
    assert len(caught.value.errors) == 3


def test_threads_that_spend_at_once_spend_no_more_than_there_is() -> None:
    budgets = Budgets()
    for _ in range(500):
        budgets.deposit(API, 1.0)
    spent: list[int] = []

    def spend() -> None:
        spent.append(sum(budgets.spend(API, 1.0) for _ in range(50)))

    threads = [Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 100


@given(
    st.lists(st.tuples(st.sampled_from(["first", "retry"]), st.floats(0, 2)), max_size=200),
    st.floats(0, 1),
    st.floats(0.1, 2),
)
def test_in_the_time_of_a_token_no_more_is_spent_than_is_allowed(
    steps: list[tuple[str, float]], share: float, per_second: float
) -> None:
    rules = RetryBudget(share=share, per_second=per_second, ttl=10.0)
    budgets, now = Budgets(rules), 0.0
    firsts: list[float] = []
    spent: list[float] = []
    for step, passed in steps:
        now += passed
        if step == "first":
            budgets.deposit(API, now)
            firsts.append(now)
        elif budgets.spend(API, now):
            spent.append(now)
            recent = [instant for instant in firsts if instant > now - 10.0]
            allowed = max(share * len(recent), per_second * 10.0)
            since_slice = int(now) - 9  # what one slice holds expires together
            assert sum(instant >= since_slice for instant in spent) <= allowed + 1e-9
