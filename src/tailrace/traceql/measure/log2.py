"""Histograms whose buckets end at powers of two, and quantiles read from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import sub


def exponent(value: int) -> int:
    """Return the least power of two that is not below ``value``, which is at least 1."""
    return (value - 1).bit_length()


def exponents(values: Sequence[int]) -> bytes:
    """Return the same for each of many values, none of which has more than 255 bits."""
    return bytes(map(int.bit_length, map(sub, values, repeat(1))))


def quantile(share: float, buckets: Mapping[int, int]) -> float:
    """Return the value below which that share of all counted ones lies.

    Inside a bucket values are taken to be spread evenly on a scale of powers of two, from the
    bucket before it that holds any.

    Args:
        share: from 0 to 1.
        buckets: how many values, by exponent; none is empty.
    """
    ordered = sorted(buckets.items())
    wanted = rank(share, sum(buckets.values()))
    below = ordered[0][0] - 1 if ordered else 0
    for power, count in ordered:
        if wanted == count:
            return float(2**power)
        if wanted < count:
            return float(2 ** (below + (power - below) * wanted / count))
        wanted -= count
        below = power
    return 0.0


def rank(share: float, count: int) -> int:
    """Return which of ``count`` ascending values, from 1, is the quantile."""
    return max(1, math.ceil(share * count))
