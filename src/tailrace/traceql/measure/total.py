"""Sums that do not depend on the order of their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Total = float | Fraction
"""A sum; a fraction where a float would have overflowed on the way."""


def total(numbers: Sequence[Total]) -> Total:
    """Return the sum, correctly rounded; NaN for infinities of both signs."""
    try:
        return math.fsum(numbers)
    except ValueError:
        return math.nan
    except OverflowError:
        infinite = [n for n in numbers if isinstance(n, float) and math.isinf(n)]
        return total(infinite) if infinite else sum((Fraction(n) for n in numbers), Fraction())


def mean(whole: Total, count: int) -> float:
    """Return ``whole`` divided by ``count``."""
    return float(whole / count)


def to_float(whole: Total) -> float:
    """Return a sum as a float; infinite where it is too large for one."""
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf
