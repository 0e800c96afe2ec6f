"""A tree to a checked tree: what a query means, or why it means nothing."""

from __future__ import annotations

from typing import assert_never

from tailrace.traceql.check_field import (
    NUMERIC,
    check_condition,
    check_expression,
    check_named,
    refers_to_span,
)
from tailrace.traceql.check_metrics import check_expression_of_metrics, check_metrics
from tailrace.traceql.checked import (
    Bound,
    Chain,
    CheckedQuery,
    Either,
    Group,
    Keep,
    Merge,
    Operand,
    Plan,
    Related,
    Relation,
    Show,
    Side,
    Spans,
    Step,
    Together,
)
from tailrace.traceql.fault import Fault, to_error
from tailrace.traceql.height import check_height
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import (
    Aggregate,
    Body,
    By,
    Coalesce,
    Expr,
    Filter,
    Hint,
    Literal,
    Metrics,
    MetricsExpression,
    Pipeline,
    PipelineOperation,
    PipelineTree,
    Query,
    ScalarFilter,
    ScalarPipelineFilter,
    Select,
    Spanset,
    SpansetOp,
    SpansetOperation,
    Stage,
    Type,
)

HINTS = (
    "sample", "trace_sample", "span_sample", "exemplars", "most_recent", "extrapolate",
    "exact_quantiles",
)  # fmt: skip
"""Hints that are listened to; all others are accepted and ignored."""
_RELATIONS = {">": Relation.CHILD, ">>": Relation.DESCENDANT, "<": Relation.PARENT,
              "<<": Relation.ANCESTOR, "~": Relation.SIBLING}  # fmt: skip


def check(query: Query) -> CheckedQuery:
    """Return the query checked.

    Raises:
        QueryError: it means nothing, or asks for what is not supported; ``details`` say where.
    """
    try:
        if not query.text:
            check_height(query.body)
        plan = _plan(query.body)
        hints = tuple(_hint(hint) for hint in query.hints if hint.name in HINTS)
    except Fault as fault:
        raise to_error(fault, query.text) from None
    ignored = tuple(hint.name for hint in query.hints if hint.name not in HINTS)
    return CheckedQuery(plan, hints, ignored, query)


def _hint(hint: Hint) -> tuple[str, bool | int | float | str]:
    value = hint.value.value
    return hint.name, "nil" if value is None else value


def _plan(body: Body) -> Plan:
    match body:
        case Pipeline():
            return check_pipeline(body)
        case PipelineOperation():
            return Chain((_pipelines(body),))
        case ScalarPipelineFilter():
            message = "comparing aggregates of pipelines is not supported"
            hint = "Compare with a number inside: ({} | count() > 3) && ({} | count() < 9)."
            raise Fault(message, body.place, code="TR209", hint=hint)
        case Metrics():
            return check_metrics(body, check_pipeline(body.pipeline))
        case MetricsExpression():
            return check_expression_of_metrics(body, check_pipeline)
        case _:
            assert_never(body)


def check_pipeline(pipeline: Pipeline) -> Chain:
    """Return the stages of a pipeline checked.

    Raises:
        Fault: one of them means nothing.
    """
    return Chain(tuple(_step(stage) for stage in pipeline.stages))


def _pipelines(tree: PipelineTree) -> Spans:
    match tree:
        case Pipeline():
            return check_pipeline(tree)
        case PipelineOperation(op, left, right):
            return _joined(op, _pipelines(left), _pipelines(right))
        case _:
            assert_never(tree)


def _joined(op: SpansetOp, left: Spans, right: Spans) -> Spans:
    if op is SpansetOp.AND:
        return Together(left, right)
    if op is SpansetOp.OR:
        return Either(left, right)
    side = {"!": Side.UNRELATED, "&": Side.BOTH}.get(op.value[0], Side.RIGHT)
    return Related(_RELATIONS[op.value.lstrip("!&")], side, left, right)


def _step(stage: Stage) -> Step:
    match stage:
        case Filter() | SpansetOperation():
            return _spanset(stage)
        case ScalarFilter():
            return _bound(stage)
        case By(operand):
            return _group(stage, _of_span(operand, "by()"))
        case Coalesce():
            return Merge()
        case Select(fields):
            for field in fields:
                check_named(field)
            return Show(fields)
        case _:
            assert_never(stage)


def _spanset(spanset: Spanset) -> Spans:
    match spanset:
        case Filter(None):
            return Keep(Literal(Type.BOOL, value=True))
        case Filter(condition):
            assert condition is not None  # noqa: S101 - the case above has no condition
            return Keep(check_condition(condition))
        case SpansetOperation(op, left, right):
            return _joined(op, _spanset(left), _spanset(right))
        case _:
            assert_never(spanset)


def _group(stage: By, checked: tuple[Operand, Type]) -> Group:
    return Group(checked[0], f"by({render_expression(stage.operand)})")


def _of_span(expr: Expr, what: str) -> tuple[Operand, Type]:
    checked = check_expression(expr)
    if not refers_to_span(expr):
        message = f"{what} needs a field of the span; this is always the same"
        raise Fault(message, expr.place, code="TR216", hint="Name one, such as .name.")
    return checked


def _bound(stage: ScalarFilter) -> Bound:
    aggregate, value = stage.left, stage.right
    if not (isinstance(aggregate, Aggregate) and isinstance(value, Literal)):
        message = "only one aggregate on the left can be compared with one number on the right"
        hint = "Write the aggregate first: count() > 3."
        raise Fault(message, stage.place, code="TR209", hint=hint)
    name = f"{aggregate.function}()"
    if aggregate.operand is None:
        return Bound(aggregate.function, None, stage.op, value, name)
    operand, kind = _of_span(aggregate.operand, name)
    if kind is not Type.ATTRIBUTE and kind not in NUMERIC:
        message = f"{name} needs numbers or durations; this is a {kind.value}"
        raise Fault(message, aggregate.operand.place, code="TR204")
    label = f"{aggregate.function}({render_expression(aggregate.operand)})"
    return Bound(aggregate.function, operand, stage.op, value, label)
