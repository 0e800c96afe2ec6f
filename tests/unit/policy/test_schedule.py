"""Delays between attempts: growth, cap and jitter."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tailrace.model import EffectiveRetry
from tailrace.policy.durations import LONGEST
from tailrace.policy.schedule import draw_delay, planned_delay

MODES = ("fixed", "exponential", "linear", "fibonacci")
JITTERS = ("none", "full", "equal", "decorrelated", 0.2, 1.0, 0)


def planned(count: int, **given: Any) -> list[float]:
    retry = EffectiveRetry(**given)
    return [planned_delay(retry, attempt) for attempt in range(1, count + 1)]


@pytest.mark.parametrize(
    ("mode", "delays"),
    [
        ("fixed", [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ("exponential", [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
        ("linear", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
        ("fibonacci", [0.5, 0.5, 1.0, 1.5, 2.5, 4.0]),
    ],
)
def test_each_mode_grows_in_its_own_way(mode: str, delays: list[float]) -> None:
    assert planned(6, delay=0.5, mode=mode) == delays


def test_the_factor_is_the_growth_of_an_exponential_schedule() -> None:
    assert planned(4, delay=1.0, mode="exponential", factor=3.0) == [1.0, 3.0, 9.0, 27.0]
    assert planned(3, delay=1.0, mode="exponential", factor=1) == [1.0, 1.0, 1.0]


def test_the_cap_comes_before_the_jitter() -> None:
    assert planned(4, delay=1.0, mode="fibonacci", max_delay=1.5) == [1.0, 1.0, 1.5, 1.5]
    retry = EffectiveRetry(delay=1.0, mode="exponential", max_delay=4.0, jitter=0.25)
    waits = [draw_delay(retry, 20, Random(seed)).delay for seed in range(500)]
    assert 3.0 <= min(waits) < 3.1
    assert 4.9 < max(waits) <= 5.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attempt", [1024, 1500, 5000, 2**40])
def test_attempt_5000_and_beyond_waits_the_cap_and_raises_nothing(mode: str, attempt: int) -> None:
    capped = EffectiveRetry(delay=1.0, mode=mode, max_delay=300.0)
    assert planned_delay(capped, attempt) == (1.0 if mode == "fixed" else 300.0)
    endless = EffectiveRetry(delay=1.0, mode=mode)
    assert planned_delay(endless, attempt) <= LONGEST
    for jitter in JITTERS:
        retry = EffectiveRetry(delay=1.0, mode=mode, max_delay=300.0, jitter=jitter)
        assert 0 <= draw_delay(retry, attempt, Random(1)).delay <= 600.0


@pytest.mark.parametrize("jitter", ["full", "equal", "decorrelated", 0.2])
def test_a_thousand_delays_at_the_cap_are_more_than_900_different_ones(jitter: Any) -> None:
    retry = EffectiveRetry(delay=1.0, mode="exponential", max_delay=300.0, jitter=jitter)
    rng = Random(3)
    assert len({draw_delay(retry, 5000, rng).delay for _ in range(1000)}) > 900


def test_a_decorrelated_delay_is_between_the_first_one_and_three_times_the_one_before() -> None:
    retry = EffectiveRetry(delay=1.0, jitter="decorrelated", max_delay=20.0)
    rng = Random(5)
    longest = 1.0
    for attempt in range(1, 6):
        longest = min(20.0, longest * 3)
        waits = [draw_delay(retry, attempt, rng).delay for _ in range(500)]
        assert min(waits) >= 1.0
        assert max(waits) <= longest
        assert max(waits) > min(longest, 20.0) * 0.6
    mean = sum(draw_delay(retry, 60, rng).delay for _ in range(2000)) / 2000
    assert 5.0 < mean < 20.0


def test_a_delay_of_nothing_stays_nothing() -> None:
    for mode in MODES:
        for jitter in JITTERS:
            retry = EffectiveRetry(mode=mode, jitter=jitter)
            assert draw_delay(retry, 5000, Random(1)).delay == 0.0


def test_a_delay_planned_elsewhere_is_jittered_like_the_others() -> None:
    retry = EffectiveRetry(delay=1.0, jitter="equal")
    draw = draw_delay(retry, 1, Random(1), planned=10.0)
    assert 5.0 <= draw.delay <= 10.0
    assert draw.least == 5.0


SCHEDULES = st.builds(
    EffectiveRetry,
    delay=st.floats(0, 1e6),
    mode=st.sampled_from(MODES),
    max_delay=st.none() | st.floats(0, 1e6),
    jitter=st.sampled_from(JITTERS) | st.floats(0, 1),
    factor=st.floats(1, 1000),
)
ATTEMPTS = st.integers(1, 100) | st.integers(1, 2**40)


@given(SCHEDULES, ATTEMPTS, st.integers())
def test_every_delay_is_within_its_bounds(retry: EffectiveRetry, attempt: int, seed: int) -> None:
    draw = draw_delay(retry, attempt, Random(seed))
    cap = retry.max_delay or LONGEST
    share = retry.jitter if isinstance(retry.jitter, int | float) else 0
    assert math.isfinite(draw.delay)
    assert 0 <= draw.delay <= cap * (1 + share) * (1 + 1e-12)
    assert 0 <= draw.least <= draw.delay * (1 + 1e-12)


@given(SCHEDULES, ATTEMPTS, st.integers(1, 50))
def test_without_jitter_no_delay_is_shorter_than_an_earlier_one(
    retry: EffectiveRetry, attempt: int, later: int
) -> None:
    earlier = planned_delay(retry, attempt)
    assert planned_delay(retry, attempt + later) >= earlier * (1 - 1e-12)


@given(SCHEDULES, st.integers(1, 100), st.integers())
def test_the_same_dice_give_the_same_delay(retry: EffectiveRetry, attempt: int, seed: int) -> None:
    assume(retry.delay > 0)
    first = draw_delay(retry, attempt, Random(seed))
    assert draw_delay(retry, attempt, Random(seed)) == first
