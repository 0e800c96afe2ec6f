"""Aggregates over the spans of one spanset; values that are no numbers are skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any, cast

from tailrace.traceql.checked import Operand
from tailrace.traceql.evaluate.fields import Held
from tailrace.traceql.evaluate.reckon import is_duration, quotient, wrapped
from tailrace.traceql.tree import AggregateName

Number = int | float
_EXTREMES = frozenset({AggregateName.MIN, AggregateName.MAX})


def aggregate(
    function: AggregateName, operand: Operand, *, only_integers: bool = False
) -> Callable[[Sequence[Held]], Number | None]:
    """Return the function over values; it gives None where none is a number.

    Sums of integers wrap at 64 bits as integers do, an average of durations is a duration cut
    towards zero, all other averages are floats. NaN is no minimum and no maximum.

    Args:
        function: any but ``count``.
        operand: what the values are of.
        only_integers: whether all of them are integers or None.
    """
    lasting = is_duration(operand)

    def combine(values: Sequence[Held]) -> Number | None:
        numbers: list[Any]
        if only_integers:
            numbers = [value for value in values if value is not None]
        else:
            numbers = [value for value in values if type(value) is int or type(value) is float]
            if function in _EXTREMES:
                numbers = [number for number in numbers if not isnan(number)]
        if not numbers:
            return None
        match function:
            case AggregateName.MIN:
                return cast("Number", min(numbers))
            case AggregateName.MAX:
                return cast("Number", max(numbers))
            case AggregateName.AVG:
                return _average(numbers, lasting=lasting)
            case _:
                total = sum(numbers)
                return wrapped(total) if isinstance(total, int) else total

    return combine


def _average(numbers: list[Number], *, lasting: bool) -> Number:
    total = sum(numbers)
    if lasting and isinstance(total, int):
        return quotient(total, len(numbers))
    return total / len(numbers)
