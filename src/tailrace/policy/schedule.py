"""How long to wait before the next attempt: growth, cap, jitter. Pure but for the dice."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from tailrace.model import EffectiveRetry
from tailrace.policy.durations import LONGEST

_LARGEST_GROWTH = 700.0
"""Natural logarithm of a growth that takes every delay over every cap; floats end at 709."""
_LOG_GOLDEN = math.log((1 + math.sqrt(5)) / 2)
_WALK = 64
"""Steps of a decorrelated walk after which the first ones no longer show."""
_STRIDE = 3.0
"""A decorrelated delay is at most so many times the one before."""


def _fibonacci(count: int) -> tuple[int, ...]:
    numbers = [1, 1]
    while len(numbers) < count:
        numbers.append(numbers[-2] + numbers[-1])
    return tuple(numbers)


_FIBONACCI = _fibonacci(70)


class Draw(NamedTuple):
    """A delay that jitter has chosen."""

    delay: float
    """Seconds."""
    least: float
    """Seconds of the shortest delay that could have been chosen."""


def planned_delay(retry: EffectiveRetry, attempt: int) -> float:
    """Return the seconds to wait after attempt number ``attempt`` (1-based), before jitter.

    Never more than ``max_delay``, nor than the longest duration; any attempt number will do.
    """
    cap = retry.max_delay or LONGEST
    growth = _log_growth(retry, attempt)
    if growth > _LARGEST_GROWTH:
        return cap if retry.delay else 0.0
    return min(cap, retry.delay * _growth(retry, attempt))


def draw_delay(
    retry: EffectiveRetry, attempt: int, rng: Random, planned: float | None = None
) -> Draw:
    """Return the seconds to wait after attempt number ``attempt``, jitter included.

    Within 0 and ``max_delay``; a jitter given as a share may exceed ``max_delay`` by that share.

    Args:
        retry: the policy.
        attempt: number of the attempt that failed, from 1.
        rng: source of the jitter.
        planned: seconds that take the place of the policy's own schedule.
    """
    delay = planned_delay(retry, attempt) if planned is None else planned
    match retry.jitter:
        case "full":
            return Draw(rng.uniform(0.0, delay), 0.0)
        case "equal":
            return Draw(delay / 2 + rng.uniform(0.0, delay / 2), delay / 2)
        case "decorrelated":
            return _walked(retry, attempt, rng)
        case int() | float() as share:
            return Draw(max(0.0, delay * (1 + rng.uniform(-share, share))), delay * (1 - share))
        case _:
            return Draw(delay, delay)


def _walked(retry: EffectiveRetry, attempt: int, rng: Random) -> Draw:
    """Return a delay between the first one and three times the one before.

    The walk is made afresh each time, so a run that is resumed needs no memory of it.
    """
    cap = retry.max_delay or LONGEST
    first = min(retry.delay, cap)
    delay = first
    for _ in range(min(attempt, _WALK)):
        delay = rng.uniform(first, min(cap, delay * _STRIDE))
    return Draw(delay, first)


def _log_growth(retry: EffectiveRetry, attempt: int) -> float:
    """Return the natural logarithm of how many times the first delay it is by now."""
    match retry.mode:
        case "exponential":
            return (attempt - 1) * math.log(retry.factor)
        case "linear":
            return math.log(attempt)
        case "fibonacci":
            return max(0.0, attempt * _LOG_GOLDEN - math.log(5) / 2)
        case _:
            return 0.0


def _growth(retry: EffectiveRetry, attempt: int) -> float:
    match retry.mode:
        case "exponential":
            return retry.factor ** (attempt - 1)
        case "linear":
            return float(attempt)
        case "fibonacci" if attempt <= len(_FIBONACCI):
            return float(_FIBONACCI[attempt - 1])
        case "fibonacci":
            return math.exp(_log_growth(retry, attempt))
        case _:
            return 1.0
