"""Breakers: closed, open, half-open."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import PolicyValidationError
from tailrace.policy import Breaker, Breakers
from tailrace.policy.breaker import Circuit

API = "api.example"


def tripped(threshold: int = 3, cooldown: float = 30.0, probes: int = 1) -> Breakers:
    """Return breakers of which one opened at instant 100."""
    breakers = Breakers(Breaker(threshold, cooldown, probes))
    for _ in range(threshold):
        assert breakers.admit(API, 100.0) == 0.0
        breakers.failed(API, 100.0)
    return breakers


def test_failures_in_a_row_open_it_and_attempts_wait_until_the_cooldown_is_over() -> None:
    breakers = tripped()
    assert breakers.admit(API, 100.0) == 30.0
    assert breakers.admit(API, 125.0) == 5.0


def test_a_success_in_between_starts_the_count_again() -> None:
    breakers = Breakers(Breaker(threshold=3))
    for _ in range(10):
        breakers.failed(API, 1.0)
        breakers.failed(API, 1.0)
        breakers.succeeded(API)
    assert breakers.admit(API, 1.0) == 0.0


def test_one_probe_goes_after_the_cooldown_and_the_others_keep_waiting() -> None:
    breakers = tripped()
    assert breakers.admit(API, 130.0) == 0.0
    assert breakers.admit(API, 130.0) == 3.0
    assert breakers.admit(API, 131.0) == 3.0


def test_a_probe_that_succeeds_closes_it() -> None:
    breakers = tripped()
    assert breakers.admit(API, 130.0) == 0.0
    breakers.succeeded(API)
    assert [breakers.admit(API, 130.0) for _ in range(5)] == [0.0] * 5


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    breakers = tripped()
    assert breakers.admit(API, 130.0) == 0.0
    breakers.failed(API, 131.0)
    assert breakers.admit(API, 132.0) == 29.0


def test_a_probe_that_never_reports_back_is_followed_by_another() -> None:
    breakers = tripped()
    assert breakers.admit(API, 130.0) == 0.0
    assert breakers.admit(API, 159.9) > 0.0
    assert breakers.admit(API, 160.0) == 0.0


def test_as_many_probes_go_as_the_rules_say() -> None:
    breakers = tripped(probes=2)
    assert [breakers.admit(API, 130.0) for _ in range(3)] == [0.0, 0.0, 3.0]


def test_what_ends_late_from_before_it_opened_changes_nothing() -> None:
    breakers = tripped()
    breakers.failed(API, 120.0)
    breakers.succeeded(API)
    assert breakers.admit(API, 125.0) == 5.0


def test_each_dependency_has_its_own() -> None:
    assert tripped().admit("other", 100.0) == 0.0


@pytest.mark.parametrize(
    ("category", "is_open"),
    [
        ("transient", True),
        ("timeout", True),
        ("unknown", True),
        ("permanent", False),
        ("cancelled", False),
    ],
)
def test_only_failures_that_a_dependency_may_cause_count_against_it(
    category: str, is_open: bool
) -> None:
    breakers = Breakers(Breaker(threshold=1))
    breakers.settle(API, category, 1.0)
    assert (breakers.admit(API, 1.0) > 0) is is_open


def test_an_answer_that_is_permanent_closes_it_and_a_cancel_does_not() -> None:
    breakers = tripped()
    breakers.admit(API, 130.0)
    breakers.settle(API, "cancelled", 130.0)
    assert breakers.admit(API, 130.0) > 0
    breakers.settle(API, "permanent", 130.0)
    assert breakers.admit(API, 130.0) == 0.0


def test_all_wrong_rules_are_told_at_once() -> None:
    with pytest.raises(PolicyValidationError) as caught:
        Breaker(threshold=0, cooldown=float("nan"), probes=0)
    assert len(caught.value.errors) == 3


def test_threads_that_ask_at_once_get_one_probe_in_all() -> None:
    breakers = tripped()
    waits: list[float] = []
    threads = [Thread(target=lambda: waits.append(breakers.admit(API, 130.0))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0.0) == 1
    assert len(waits) == 16


@given(st.lists(st.tuples(st.sampled_from(["ask", "good", "bad"]), st.floats(0, 20))))
def test_an_attempt_that_asks_again_when_told_gets_through(steps: list[tuple[str, float]]) -> None:
    breaker, circuit, now = Breaker(threshold=2, cooldown=10.0), Circuit(), 0.0
    for step, passed in steps:
        now += passed
        match step:
            case "ask":
                circuit, wait = breaker.admit(circuit, now)
                assert 0 <= wait <= 10.0 + 1e-9
            case "good":
                circuit = breaker.succeeded(circuit)
            case _:
                circuit = breaker.failed(circuit, now)
    asked = 0
    while True:
        circuit, wait = breaker.admit(circuit, now)
        if wait == 0:
            break
        now += wait
        asked += 1
        assert asked < 15
