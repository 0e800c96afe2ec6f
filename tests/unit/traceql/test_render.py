"""What a tree is written as is read as the same tree; no text makes the reader fail otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import QueryError
from tailrace.traceql import check, parse, render, to_document
from tailrace.traceql.limits import MAX_INT
from tailrace.traceql.names import KINDS, STATUSES
from tailrace.traceql.numerals import read_duration, write_duration
from tailrace.traceql.tree import (
    ARITHMETIC,
    COMPARISONS,
    Aggregate,
    AggregateName,
    Attribute,
    Binary,
    BinaryOp,
    By,
    Coalesce,
    Compare,
    Expr,
    Filter,
    Hint,
    Intrinsic,
    IntrinsicName,
    Literal,
    Measure,
    MeasureName,
    Metrics,
    MetricsExpression,
    MetricsOperation,
    Pipeline,
    PipelineOperation,
    Query,
    Rank,
    RankName,
    Scalar,
    ScalarFilter,
    ScalarOperation,
    ScalarPipeline,
    ScalarPipelineFilter,
    Scope,
    Select,
    SpansetOp,
    SpansetOperation,
    Threshold,
    Type,
    Unary,
    UnaryOp,
)

NIL = Literal(Type.NIL, None)
whole = st.builds(Literal, st.just(Type.INT), st.integers(0, MAX_INT))
floats = st.builds(Literal, st.just(Type.FLOAT), st.floats(0, 1e300, allow_subnormal=True).map(abs))
durations = st.builds(Literal, st.just(Type.DURATION), st.integers(0, MAX_INT))
numbers = whole | floats | durations
signed = numbers.map(lambda n: Literal(n.type, -n.value if n.value else n.value)) | numbers  # type: ignore[operator]
plain = signed.filter(lambda n: n.type is not Type.DURATION)
literals = (
    numbers
    | st.builds(Literal, st.just(Type.STRING), st.text(max_size=8))
    | st.builds(Literal, st.just(Type.BOOL), st.booleans())
    | st.builds(Literal, st.just(Type.STATUS), st.sampled_from(STATUSES))
    | st.builds(Literal, st.just(Type.KIND), st.sampled_from(KINDS))
)
names = st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name) | st.sampled_from(
    ["span.x", "resource.a", "1", "a b", 'q"', "b\\", "a.b-c/d", "名前", "🙂", "a|b", "//", "nil"]
)
attributes = st.builds(Attribute, st.sampled_from(Scope), names)
fields: st.SearchStrategy[Any] = attributes | st.builds(Intrinsic, st.sampled_from(IntrinsicName))


def named(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same strategy with a short name, as Hypothesis writes out all that one is made of."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        return draw(strategy)

    return drawn()


def operations(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    equal = st.sampled_from([BinaryOp.EQ, BinaryOp.NE])
    return (
        st.builds(Binary, st.sampled_from(BinaryOp), inner, inner)
        | st.builds(Unary, st.sampled_from(UnaryOp), inner)
        | st.builds(Binary, equal, inner, st.just(NIL))
        | st.builds(Binary, equal, st.just(NIL), inner)
    )


expressions: st.SearchStrategy[Expr] = st.recursive(fields | literals, operations, max_leaves=8)
filters = named(st.builds(Filter, st.none() | expressions))
spansets: st.SearchStrategy[Any] = st.recursive(
    filters,
    lambda inner: st.builds(SpansetOperation, st.sampled_from(SpansetOp), inner, inner),
    max_leaves=4,
)
aggregates = st.just(Aggregate(AggregateName.COUNT)) | st.builds(
    Aggregate, st.sampled_from([AggregateName.MIN, AggregateName.AVG]), expressions
)
arithmetic = st.sampled_from(sorted(ARITHMETIC))
comparisons = st.sampled_from(sorted(COMPARISONS))
scalars: st.SearchStrategy[Scalar] = st.recursive(
    aggregates,
    lambda inner: (
        st.builds(ScalarOperation, arithmetic, inner, inner | signed)
        | st.builds(ScalarOperation, arithmetic, signed, inner)
    ),
    max_leaves=3,
)
heads = (
    spansets
    | st.builds(ScalarFilter, comparisons, scalars, scalars | signed)
    | st.builds(By, expressions)
    | st.builds(Select, st.lists(fields, min_size=1, max_size=3).map(tuple))
)
stages = st.lists(heads | st.just(Coalesce()), max_size=2).map(tuple)
pipelines = named(st.builds(lambda head, rest: Pipeline((head, *rest)), heads, stages))
bracketed = pipelines.filter(
    lambda tree: len(tree.stages) > 1 or not isinstance(tree.stages[0], Filter | SpansetOperation)
)
joined: st.SearchStrategy[Any] = st.recursive(
    st.builds(PipelineOperation, st.sampled_from(SpansetOp), bracketed, bracketed),
    lambda inner: st.builds(
        PipelineOperation, st.sampled_from(SpansetOp), inner, bracketed | inner
    ),
    max_leaves=2,
)
groups = st.lists(fields, max_size=2).map(tuple)
measures = (
    st.builds(Measure, st.just(MeasureName.RATE), by=groups)
    | st.builds(Measure, st.just(MeasureName.SUM), fields, by=groups)
    | st.builds(
        Measure,
        st.just(MeasureName.QUANTILE),
        fields,
        st.lists(signed, min_size=1, max_size=2).map(tuple),
        groups,
    )
    | st.builds(Compare, filters, whole, whole, whole)
    | st.builds(Compare, filters, st.none() | whole)
)
seconds = st.lists(
    st.builds(Rank, st.sampled_from(RankName), whole) | st.builds(Threshold, comparisons, signed),
    max_size=2,
).map(tuple)
metrics = named(st.builds(Metrics, pipelines, measures, seconds))
metric_ops = st.sampled_from([BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL, BinaryOp.DIV])
combined: st.SearchStrategy[Any] = st.recursive(
    st.builds(MetricsOperation, metric_ops, metrics, metrics | plain),
    lambda inner: st.builds(MetricsOperation, metric_ops, plain | inner, inner | metrics),
    max_leaves=2,
)
scalar_pipelines = st.builds(ScalarPipeline, pipelines, aggregates)
bodies = (
    pipelines
    | joined
    | metrics
    | st.builds(MetricsExpression, combined, seconds)
    | st.builds(ScalarPipelineFilter, comparisons, scalar_pipelines, scalar_pipelines | signed)
)
hints = st.lists(st.builds(Hint, st.sampled_from(["sample", "by"]), literals), max_size=2).map(
    tuple
)
queries = st.builds(Query, bodies, hints)


@pytest.mark.no_cover
@settings(max_examples=times(100), deadline=None)
@given(queries)
def test_a_tree_is_read_back_from_its_text(query: Query) -> None:
    text = render(query)
    again = parse(text)
    assert again == query, text
    assert render(again) == text


@given(st.integers(0, MAX_INT))
def test_a_duration_is_read_back_from_its_text(nanoseconds: int) -> None:
    assert read_duration(write_duration(nanoseconds)) == nanoseconds


PIECES = [
    "{", "}", "(", ")", "|", "&&", "||", ">>", "!>", "&~", "=", "!=", "=~", ">", "-", "!", "*",
    "^", ",", ".a", "span.b", 'resource."x y"', "duration", "status", "nil", "error", "1", "2.5",
    "10ms", '"t"', '"("', "true", "count()", "avg(", "by(", "select(", "coalesce()", "rate()",
    "topk(", "compare(", "with(", "quantile_over_time(", "traces{}", "pick(", "limit 5", "//",
    "trace_id", "span.name", "'", '"', "\\", "\n", "parent.", "trace:", "maxInt", "é", "\ud800",
]  # fmt: skip


@pytest.mark.no_cover
@settings(max_examples=times(150), deadline=None)
@example("(" * 100_000)
@example('{ .a =~ "' + "(" * 9000 + '" }')
@example("1" * 100_000)
@example("{ .a = " + "1h" * 50_000 + "}")
@example('span.attributes["' * 5000)
@example('traces{}|"' + '|"' * 30_000)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(max_size=30))
def test_any_text_is_a_query_or_a_query_error_with_a_place(text: str) -> None:
    refusal: QueryError | None = None
    try:
        document = to_document(check(parse(text)))
    except QueryError as error:
        refusal = error
    if refusal is None:
        assert document["gives"] in ("traces", "metrics")
    else:
        assert 0 <= refusal.details["start"] <= refusal.details["end"] <= len(text)
        assert refusal.code.startswith("TR2")
        assert refusal.message
