"""A tree to its canonical text, with no more brackets than it needs."""

from __future__ import annotations

from typing import assert_never

from tailrace.traceql.numerals import write_number
from tailrace.traceql.parse_field import ATOM, LEVELS, NOT, POWER, PRODUCT, SUM
from tailrace.traceql.quotes import write_attribute, write_text
from tailrace.traceql.tree import (
    Aggregate,
    Attribute,
    Binary,
    By,
    Coalesce,
    Compare,
    Expr,
    Filter,
    Intrinsic,
    Literal,
    Measure,
    Metrics,
    MetricsExpression,
    MetricsOperation,
    MetricsTree,
    Node,
    Pipeline,
    PipelineOperation,
    PipelineTree,
    Query,
    Rank,
    Scalar,
    ScalarFilter,
    ScalarOperation,
    ScalarPipeline,
    ScalarPipelineFilter,
    ScalarPipelineOperation,
    ScalarPipelineTree,
    Second,
    Select,
    Spanset,
    SpansetOp,
    SpansetOperation,
    Stage,
    Threshold,
    Type,
    Unary,
    UnaryOp,
)


def render(query: Query) -> str:
    """Return the canonical TraceQL of a query; what ``pick`` and ``limit`` asked is not in it."""
    match query.body:
        case Pipeline():
            text = _pipeline(query.body)
        case PipelineOperation():
            text = _pipelines(query.body)
        case ScalarPipelineFilter(op, left, right):
            side = write_number(right) if isinstance(right, Literal) else _scalar_pipeline(right)
            text = f"{_scalar_pipeline(left)} {op} {side}"
        case Metrics():
            text = _metrics(query.body)
        case MetricsExpression(operation, seconds):
            text = _metrics_operation(operation) + _seconds(seconds)
        case _:
            assert_never(query.body)
    if query.hints:
        hints = ", ".join(f"{hint.name}={render_expression(hint.value)}" for hint in query.hints)
        text += f" with({hints})"
    return text


def render_expression(expr: Expr) -> str:
    """Return the canonical text of a field expression."""
    match expr:
        case Literal():
            return _literal(expr)
        case Attribute():
            return write_attribute(expr)
        case Intrinsic(name):
            return name.value
        case Unary(op, operand):
            level = NOT if op is UnaryOp.NEGATE else PRODUCT
            return f"{op}{_side(operand, level)}"
        case Binary(op, left, right):
            level = LEVELS[op]
            low, high = (level + 1, level) if level == POWER else (level, level + 1)
            return f"{_side(left, low)} {op} {_side(right, high)}"
        case _:
            assert_never(expr)


def _side(expr: Expr, minimum: int) -> str:
    text = render_expression(expr)
    return f"({text})" if _level(expr) < minimum else text


def _level(expr: Expr) -> int:
    match expr:
        case Binary(op):
            return LEVELS[op]
        case Unary(op):
            return SUM if op is UnaryOp.NEGATE else NOT
        case _:
            return ATOM


def _literal(literal: Literal) -> str:
    match literal.type:
        case Type.NIL:
            return "nil"
        case Type.BOOL:
            return "true" if literal.value else "false"
        case Type.STRING:
            return write_text(str(literal.value))
        case Type.STATUS | Type.KIND:
            return str(literal.value)
        case _:
            return write_number(literal)


def _spanset(spanset: Spanset) -> str:
    match spanset:
        case Filter(None):
            return "{ }"
        case Filter(condition):
            assert condition is not None  # noqa: S101 - the case above has no condition
            return f"{{ {render_expression(condition)} }}"
        case SpansetOperation(op, left, right):
            level = _spanset_level(spanset)
            sides = [
                f"({_spanset(side)})" if _spanset_level(side) < least else _spanset(side)
                for side, least in ((left, level), (right, level + 1))
            ]
            return f"{sides[0]} {op} {sides[1]}"
        case _:
            assert_never(spanset)


def _spanset_level(spanset: Spanset) -> int:
    if isinstance(spanset, Filter):
        return 3
    return 1 if spanset.op in (SpansetOp.AND, SpansetOp.OR) else 2


def _scalar(scalar: Scalar, minimum: int = 0) -> str:
    match scalar:
        case Aggregate(function, None):
            return f"{function}()"
        case Aggregate(function, operand):
            assert operand is not None  # noqa: S101 - the case above has no operand
            return f"{function}({render_expression(operand)})"
        case Literal():
            return write_number(scalar)
        case ScalarOperation(op, left, right):
            level = LEVELS[op]
            low, high = (level + 1, level) if level == POWER else (level, level + 1)
            text = f"{_scalar(left, low)} {op} {_scalar(right, high)}"
            return f"({text})" if level < minimum else text
        case _:
            assert_never(scalar)


def _stage(stage: Stage) -> str:
    match stage:
        case Filter() | SpansetOperation():
            return _spanset(stage)
        case ScalarFilter(op, left, right):
            return f"{_scalar(left)} {op} {_scalar(right)}"
        case By(operand):
            return f"by({render_expression(operand)})"
        case Coalesce():
            return "coalesce()"
        case Select(fields):
            return f"select({_list(fields)})"
        case _:
            assert_never(stage)


def _list(fields: tuple[Attribute | Intrinsic, ...]) -> str:
    return ", ".join(render_expression(field) for field in fields)


def _pipeline(pipeline: Pipeline) -> str:
    return " | ".join(_stage(stage) for stage in pipeline.stages)


def _pipelines(tree: PipelineTree) -> str:
    match tree:
        case Pipeline():
            return f"({_pipeline(tree)})"
        case PipelineOperation(op, left, right):
            sides = [f"({_pipelines(s)})" if _joined(s) else _pipelines(s) for s in (left, right)]
            return f"{sides[0]} {op} {sides[1]}"
        case _:
            assert_never(tree)


def _joined(tree: Node) -> bool:
    return isinstance(tree, PipelineOperation | ScalarPipelineOperation | MetricsOperation)


def _scalar_pipeline(tree: ScalarPipelineTree) -> str:
    match tree:
        case ScalarPipeline(pipeline, aggregate):
            return f"({_pipeline(pipeline)} | {_scalar(aggregate)})"
        case ScalarPipelineOperation(op, left, right):
            sides = [
                f"({_scalar_pipeline(s)})" if _joined(s) else _scalar_pipeline(s)
                for s in (left, right)
            ]
            return f"{sides[0]} {op} {sides[1]}"
        case _:
            assert_never(tree)


def _metrics(metrics: Metrics) -> str:
    function = metrics.function
    match function:
        case Measure(name, operand, quantiles, by):
            arguments = [] if operand is None else [render_expression(operand)]
            arguments += [write_number(quantile) for quantile in quantiles]
            text = f"{name}({', '.join(arguments)})" + (f" by({_list(by)})" if by else "")
        case Compare(selection, top, start, end):
            numbers = [write_number(n) for n in (top, start, end) if n is not None]
            text = f"compare({', '.join([_spanset(selection), *numbers])})"
        case _:
            assert_never(function)
    return f"{_pipeline(metrics.pipeline)} | {text}{_seconds(metrics.seconds)}"


def _seconds(seconds: tuple[Second, ...]) -> str:
    text = ""
    for second in seconds:
        match second:
            case Rank(function, count):
                text += f" | {function}({write_number(count)})"
            case Threshold(op, value):
                text += f" {op} {write_number(value)}"
            case _:
                assert_never(second)
    return text


def _metrics_operation(tree: MetricsTree) -> str:
    match tree:
        case Metrics():
            return f"({_metrics(tree)})"
        case Literal():
            return write_number(tree)
        case MetricsOperation(op, left, right):
            sides = [
                f"({_metrics_operation(s)})" if _joined(s) else _metrics_operation(s)
                for s in (left, right)
            ]
            return f"{sides[0]} {op} {sides[1]}"
        case _:
            assert_never(tree)
