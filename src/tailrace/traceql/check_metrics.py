"""Metrics functions checked: their arguments, groups and second stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from tailrace.traceql.check_field import NUMERIC, check_condition, check_named
from tailrace.traceql.checked import (
    Chain,
    Constant,
    Contrast,
    First,
    Points,
    Rate,
    Series,
    SeriesMath,
    SeriesResult,
    SeriesTree,
)
from tailrace.traceql.fault import Fault
from tailrace.traceql.limits import MAX_COMPARED, MAX_GROUPS
from tailrace.traceql.tree import (
    Compare,
    Literal,
    Measure,
    MeasureName,
    Metrics,
    MetricsExpression,
    MetricsOperation,
    MetricsTree,
    Pipeline,
    Rank,
    Second,
    Threshold,
    Type,
)

_OWN_LABEL = (MeasureName.QUANTILE, MeasureName.HISTOGRAM, MeasureName.AVG)
_TOP = 10
_NS = 1_000_000_000


def check_metrics(metrics: Metrics, chain: Chain) -> Series:
    """Return a metrics function checked, over a chain that already is.

    Raises:
        Fault: an argument is out of its bounds, or a stage cannot follow.
    """
    function = metrics.function
    match function:
        case Measure():
            return Series(chain, _measure(function), check_seconds(metrics.seconds))
        case Compare():
            if metrics.seconds:
                message = "nothing can follow compare()"
                raise Fault(message, metrics.seconds[0].place, code="TR206")
            return Series(chain, _contrast(function), ())
        case _:
            assert_never(function)


def check_expression_of_metrics(
    expression: MetricsExpression, check_pipeline: Callable[[Pipeline], Chain]
) -> SeriesResult:
    """Return arithmetic between metrics checked.

    Raises:
        Fault: one of them means nothing, or is ``compare()``.
    """

    def tree(node: MetricsTree) -> SeriesTree:
        match node:
            case Literal(_, value):
                assert isinstance(value, int | float)  # noqa: S101 - read as a number
                return Constant(value)
            case Metrics(pipeline, function):
                if isinstance(function, Compare):
                    message = "compare() cannot be calculated with"
                    raise Fault(message, function.place, code="TR206")
                return check_metrics(node, check_pipeline(pipeline))
            case MetricsOperation():
                return math(node)
            case _:
                assert_never(node)

    def math(node: MetricsOperation) -> SeriesMath:
        return SeriesMath(node.op, tree(node.left), tree(node.right))

    return SeriesResult(math(expression.operation), check_seconds(expression.seconds))


def check_seconds(seconds: tuple[Second, ...]) -> tuple[First | Points, ...]:
    """Return what follows a metrics function checked.

    Raises:
        Fault: ``topk`` or ``bottomk`` keeps nothing.
    """
    return tuple(_second(second) for second in seconds)


def _second(second: Second) -> First | Points:
    match second:
        case Rank(function, count):
            return First(function, _at_least_one(count, f"{function}()"))
        case Threshold(op, value):
            number = value.value
            assert isinstance(number, int | float)  # noqa: S101 - read as a number
            return Points(op, number / _NS if value.type is Type.DURATION else float(number))
        case _:
            assert_never(second)


def _at_least_one(literal: Literal, what: str) -> int:
    value = literal.value
    assert isinstance(value, int)  # noqa: S101 - read as a whole number
    if value < 1:
        raise Fault(f"{what} needs at least 1, not {value}", literal.place, code="TR207")
    return value


def _measure(measure: Measure) -> Rate:
    function = measure.function
    if measure.operand is not None:
        kind = check_named(measure.operand)
        if kind is not Type.ATTRIBUTE and kind not in NUMERIC:
            message = f"{function}() needs numbers or durations; this is a {kind.value}"
            raise Fault(message, measure.operand.place, code="TR204")
    for field in measure.by:
        check_named(field)
    limit = MAX_GROUPS - (function in _OWN_LABEL)
    if len(measure.by) > limit:
        message = f"{function}() is grouped by at most {limit} fields, not {len(measure.by)}"
        raise Fault(message, measure.by[limit].place, code="TR207")
    quantiles = tuple(_quantile(literal) for literal in measure.quantiles)
    return Rate(function, measure.operand, quantiles, measure.by)


def _quantile(literal: Literal) -> float:
    value = literal.value
    assert isinstance(value, int | float)  # noqa: S101 - read as a number
    if literal.type is Type.DURATION or not 0 <= value <= 1:
        message = "a quantile is a number from 0 to 1"
        raise Fault(message, literal.place, code="TR207", hint="Write 0.95 for the 95th percent.")
    return float(value)


def _contrast(compare: Compare) -> Contrast:
    condition = compare.selection.condition
    made = Literal(Type.BOOL, value=True) if condition is None else check_condition(condition)
    top = _TOP if compare.top is None else _at_least_one(compare.top, "compare()")
    if top > MAX_COMPARED and compare.top is not None:
        message = f"compare() tells at most {MAX_COMPARED} values, not {top}"
        raise Fault(message, compare.top.place, code="TR207")
    ends = [None if end is None else int(str(end.value)) for end in (compare.start, compare.end)]
    return Contrast(made, top, ends[0], ends[1])
