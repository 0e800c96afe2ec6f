"""What an operator between two parts of a pipeline makes of them."""

from __future__ import annotations

from tailrace.traceql.arithmetic import calculate
from tailrace.traceql.fault import Fault
from tailrace.traceql.tokens import Token
from tailrace.traceql.tree import (
    ARITHMETIC,
    COMPARISONS,
    Aggregate,
    BinaryOp,
    By,
    Coalesce,
    Filter,
    Literal,
    Metrics,
    MetricsExpression,
    MetricsOperation,
    Pipeline,
    PipelineOperation,
    ScalarFilter,
    ScalarOperation,
    ScalarPipeline,
    ScalarPipelineFilter,
    ScalarPipelineOperation,
    Second,
    Select,
    SpansetOp,
    SpansetOperation,
    Threshold,
    Type,
)

Part = (
    Filter
    | SpansetOperation
    | ScalarFilter
    | By
    | Coalesce
    | Select
    | Pipeline
    | PipelineOperation
    | Aggregate
    | Literal
    | ScalarOperation
    | ScalarPipeline
    | ScalarPipelineOperation
    | ScalarPipelineFilter
    | Metrics
    | MetricsOperation
    | MetricsExpression
)
"""What may stand at the side of an operator. A Pipeline or Metrics here stood in brackets."""

_SPANSET_OPS = frozenset(op.value for op in SpansetOp)
_METRIC_OPS = frozenset({BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL, BinaryOp.DIV})
_SCALAR = (Aggregate, Literal, ScalarOperation)
_SCALAR_PIPELINE = (ScalarPipeline, ScalarPipelineOperation)
_PIPELINE = (Pipeline, PipelineOperation)
_SPANSET = (Filter, SpansetOperation)


def combine(operator: Token, left: Part, right: Part, *, outermost: bool) -> Part:
    """Return ``left operator right``; thresholds of metrics stand outermost only.

    Raises:
        Fault: the operator cannot stand between these.
    """
    place = operator.place
    if operator.text in _SPANSET_OPS:
        op = SpansetOp(operator.text)
        if isinstance(left, _SPANSET) and isinstance(right, _SPANSET):
            return SpansetOperation(op, left, right, place=place)
        if isinstance(left, _PIPELINE) and isinstance(right, _PIPELINE):
            return PipelineOperation(op, left, right, place=place)
    if operator.text in ARITHMETIC and (made := _calculated(operator, left, right)):
        return made
    if operator.text in COMPARISONS and (
        made := _compared(operator, left, right, outermost=outermost)
    ):
        return made
    raise _misplaced(operator, left, right)


def _calculated(operator: Token, left: Part, right: Part) -> Part | None:
    op, place = BinaryOp(operator.text), operator.place
    match left, right:
        case Literal(), Literal():
            return _folded(operator, left, right)
        case (
            (Aggregate() | Literal() | ScalarOperation()),
            (Aggregate() | Literal() | ScalarOperation()),
        ):
            return ScalarOperation(op, left, right, place=place)
        case (
            (ScalarPipeline() | ScalarPipelineOperation()),
            (ScalarPipeline() | ScalarPipelineOperation()),
        ):
            return ScalarPipelineOperation(op, left, right, place=place)
        case (
            (Metrics() | MetricsOperation() | Literal()),
            (Metrics() | MetricsOperation() | Literal()),
        ) if op in _METRIC_OPS:
            for side in (left, right):
                if isinstance(side, Literal) and side.type is Type.DURATION:
                    message = "metrics are combined with numbers, not with durations"
                    raise Fault(message, side.place, code="TR204", hint="Write seconds: 1.5.")
            return MetricsOperation(op, left, right, place=place)
    return None


def _folded(operator: Token, left: Literal, right: Literal) -> Literal:
    op = BinaryOp(operator.text)
    place = left.place._replace(end=right.place.end)
    for side in (left, right):
        if side.type is Type.DURATION:
            message = "durations cannot be calculated with outside of { }"
            raise Fault(message, side.place, code="TR204", hint="Write the result: 1h30m.")
    if op in (BinaryOp.MOD, BinaryOp.POW):
        message = f"'{op}' needs an aggregate on one side"
        raise Fault(message, operator.place, code="TR204", hint="Write the result.")
    made = calculate(op, left, right, operator.place)
    return Literal(made.type, made.value, place=place)


def _compared(operator: Token, left: Part, right: Part, *, outermost: bool) -> Part | None:
    op, place = BinaryOp(operator.text), operator.place
    match left, right:
        case Literal(), Literal():
            message = "at least one side must hold an aggregate such as count()"
            raise Fault(message, place, code="TR206", hint="Write {} | count() > 3.")
        case (
            (Aggregate() | Literal() | ScalarOperation()),
            (Aggregate() | Literal() | ScalarOperation()),
        ):
            return ScalarFilter(op, left, right, place=place)
        case (
            (ScalarPipeline() | ScalarPipelineOperation()),
            (ScalarPipeline() | ScalarPipelineOperation() | Literal()),
        ):
            return ScalarPipelineFilter(op, left, right, place=place)
        case ((Metrics() | MetricsOperation() | MetricsExpression()), Literal()) if outermost:
            whole = place._replace(end=right.place.end)
            return with_seconds(left, (Threshold(op, right, place=whole),))
    return None


def with_seconds(
    metrics: Metrics | MetricsOperation | MetricsExpression, seconds: tuple[Second, ...]
) -> Metrics | MetricsExpression:
    """Return metrics with further thresholds or ranks behind those they have."""
    match metrics:
        case Metrics(pipeline, function, before):
            return Metrics(pipeline, function, (*before, *seconds), place=metrics.place)
        case MetricsOperation():
            return MetricsExpression(metrics, seconds, place=metrics.place)
        case MetricsExpression(operation, before):
            return MetricsExpression(operation, (*before, *seconds), place=metrics.place)


_NAMES: tuple[tuple[tuple[type, ...], str], ...] = (
    (_SPANSET, "a spanset"),
    ((ScalarFilter, ScalarPipelineFilter), "a comparison of aggregates"),
    ((By,), "by()"),
    ((Coalesce,), "coalesce()"),
    ((Select,), "select()"),
    (_PIPELINE, "a pipeline in brackets"),
    ((Aggregate, ScalarOperation), "an aggregate"),
    ((Literal,), "a number"),
    (_SCALAR_PIPELINE, "an aggregate of a pipeline"),
)


def describe(part: Part) -> str:
    """Return what a part is, as a message names it."""
    return next((name for kinds, name in _NAMES if isinstance(part, kinds)), "metrics")


def _misplaced(operator: Token, left: Part, right: Part) -> Fault:
    names = f"{describe(left)} and {describe(right)}"
    hint = ""
    if isinstance(left, (*_SPANSET, *_PIPELINE)) and isinstance(right, (*_SPANSET, *_PIPELINE)):
        hint = "Give both sides a stage: ({} | count() > 0); or write both without brackets."
    elif isinstance(left, _SCALAR_PIPELINE) and isinstance(right, _SCALAR):
        hint = "Write a comparison with a number last: ({} | count()) > 3."
    return Fault(
        f"'{operator.text}' cannot stand between {names}", operator.place, code="TR206", hint=hint
    )
