"""What a query means, and what means nothing."""

from __future__ import annotations

import json

import pytest

from tailrace.errors import QueryError
from tailrace.traceql import CheckedQuery, check, parse, to_document
from tailrace.traceql.checked import (
    And,
    Bound,
    Calculation,
    Chain,
    Comparison,
    Contrast,
    Either,
    Exists,
    First,
    Group,
    Keep,
    Matches,
    Merge,
    Negative,
    Not,
    Operand,
    Or,
    Points,
    Rate,
    Related,
    Relation,
    Series,
    SeriesMath,
    SeriesResult,
    Show,
    Side,
    Step,
    Together,
)
from tailrace.traceql.tree import (
    AggregateName,
    Attribute,
    BinaryOp,
    Filter,
    Hint,
    Intrinsic,
    IntrinsicName,
    Literal,
    MeasureName,
    Pipeline,
    Query,
    RankName,
    Scope,
    Type,
)

A, B = Attribute(Scope.ANY, "a"), Attribute(Scope.ANY, "b")
TRUE, FALSE = Literal(Type.BOOL, value=True), Literal(Type.BOOL, value=False)


def checked(text: str) -> CheckedQuery:
    return check(parse(text))


def steps(text: str) -> tuple[Step, ...]:
    plan = checked(text).plan
    assert isinstance(plan, Chain)
    return plan.stages


def condition(text: str) -> Operand:
    (step,) = steps(f"{{ {text} }}")
    assert isinstance(step, Keep)
    return step.condition


def series(text: str) -> Series:
    plan = checked(text).plan
    assert isinstance(plan, Series)
    return plan


VALID = [
    "{ .a }", "{ !.a }", "{ .a + .b }", "{ .a = 1 || .b }", "{ .a = .b = true }",
    "{ duration > 1 }", "{ duration > 1.5 }", "{ .a > duration }", "{ 1 < 2.5 }",
    "{ duration != nil }", "{ resource.service.name != nil }", "{ span.service.name = nil }",
    '{ name > "a" }', '{ name =~ "a|b" }', '{ "a" =~ "b" }', "{ status != ok }",
    "{ kind = server }", "{ nil = nil }", "{ -duration < 1s }", "{ nestedSetParent = -1 }",
    "{ !.a = 3 }", "{ (.a = 1) = .b }", '{ .a + .b = "x" }', '{ trace:id = "1" }',
    "{} | by(.a = 1)", "{} | by(1 + .a)", "{} | count() > 1s", "{} | max(.a) = -1.5",
    "{} | avg(duration) > 1", "{} | sum(.a + 1) > 1", "{} | count() > 1 + 2 * 3",
    "{} | rate() by(.a,.b,.c,.d,.e)", "{} | quantile_over_time(.a, 0, 1) by(.a,.b,.c,.d)",
    "{} | compare({ .a }, 1000)", "({} | rate()) * 2.5", "{} | select(event.a, link:spanID)",
    "{ .a = 1 } >> { .b } | select(.c) | { .d }", "{ 7 / 2 = 3 }", "{} with(foo=1)",
]  # fmt: skip


@pytest.mark.parametrize("text", VALID)
def test_a_valid_query_is_accepted(text: str) -> None:
    assert json.loads(json.dumps(to_document(checked(text))))["gives"] in ("traces", "metrics")


INVALID = [
    ("{ 1 }", 3, "TR204"),
    ("{ .a + 1 }", 6, "TR204"),
    ("{ name }", 3, "TR204"),
    ('{ duration = "1s" }', 12, "TR204"),
    ('{ .a + 1 = "x" }', 10, "TR204"),
    ("{ status = 2 }", 10, "TR204"),
    ('{ status = "ok" }', 10, "TR204"),
    ("{ status > ok }", 10, "TR204"),
    ("{ kind = ok }", 8, "TR204"),
    ("{ true > false }", 8, "TR204"),
    ('{ .a && "x" }', 6, "TR204"),
    ("{ .a =~ 1 }", 6, "TR204"),
    ('{ name + "x" = "y" }', 8, "TR204"),
    ("{ !duration }", 3, "TR204"),
    ("{ !.a = 1 && !1 }", 14, "TR204"),
    ("{ -name = 1 }", 3, "TR204"),
    ("{ .a =~ .b }", 6, "TR205"),
    ('{ .a =~ "(" }', 9, "TR205"),
    ('{ .a =~ "(?<=a)b" }', 9, "TR205"),
    ('{ .a !~ "(a)\\\\1" }', 9, "TR205"),
    ("{ name = nil }", 8, "TR217"),
    ("{ nil = span:id }", 7, "TR217"),
    ("{ resource.service.name = nil }", 25, "TR217"),
    ("{ parent.a = 1 }", 3, "TR209"),
    ("{ parent = nil }", 3, "TR209"),
    ("{} | select(parent.span.a)", 13, "TR209"),
    ("{} | by(1)", 9, "TR216"),
    ("{} | avg(1 + 2) > 1", 12, "TR216"),
    ("{} | avg(name) > 1", 10, "TR204"),
    ("{} | max(status) > 1", 10, "TR204"),
    ("{} | 3 < count()", 8, "TR209"),
    ("{} | min(.a) < max(.b)", 14, "TR209"),
    ("{} | count() + 1 > 3", 18, "TR209"),
    ("({} | count()) + ({} | count()) = 1", 33, "TR209"),
    ("({} | count()) > 1", 16, "TR209"),
    ("{} | rate() by(.a,.b,.c,.d,.e,.f)", 31, "TR207"),
    ("{} | avg_over_time(.x) by(.a,.b,.c,.d,.e)", 39, "TR207"),
    ("{} | quantile_over_time(.a, 1.5)", 29, "TR207"),
    ("{} | quantile_over_time(.a, -1)", 29, "TR207"),
    ("{} | sum_over_time(name)", 20, "TR204"),
    ("{} | rate() | topk(0)", 20, "TR207"),
    ("{} | compare({ 1 })", 16, "TR204"),
    ("{} | compare({}, 0)", 18, "TR207"),
    ("{} | compare({}, 1001)", 18, "TR207"),
    ("{} | compare({}) | topk(1)", 20, "TR206"),
    ("({} | compare({})) * 2", 7, "TR206"),
    ("{ 1 / 0 = 1 }", 5, "TR207"),
    ("{ 2 ^ 63 = .a }", 5, "TR207"),
    ("{ 2 ^ 65 = .a }", 5, "TR207"),
    ("{ 0 ^ -1 = .a }", 5, "TR207"),
    ("{ 1.5 / 0 = .a }", 7, "TR207"),
    ("{ 1.5 % 0 = .a }", 7, "TR207"),
    ("{ 1e300 * 1e300 = .a }", 9, "TR207"),
    ("{ -.5 ^ 1e300 = .a && 2.5 ^ 1e300 = .a }", 27, "TR207"),
    ("{ -minInt = .a }", 3, "TR207"),
    ("{ maxInt + 1 = .a }", 10, "TR207"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "code"), INVALID)
def test_what_means_nothing_is_refused_at_its_place(text: str, column: int, code: str) -> None:
    query = parse(text)
    with pytest.raises(QueryError) as caught:
        check(query)
    assert (caught.value.details["column"], caught.value.code) == (column, code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 = 7", TRUE),
        ("2 ^ 3 = 8", TRUE),
        ("7 / 2 = 3 && -7 / 2 = -3 && -7 % 3 = -1", TRUE),
        ("7 / 2.0 = 3.5", TRUE),
        ("2.0 ^ 0.5 > 1.4 && 7.5 % 2 = 1.5 && 1.5 + 2 - 0.5 * 2 = 2.5", TRUE),
        ("2 ^ -1 = 0 && 0 ^ 0 = 1 && 0 ^ 5 = 0 && -1 + 0 ^ 3 = -1", TRUE),
        ("2s - 500ms = 1.5s && 3 * 100ms = 300ms && 1s / 4 = 250ms", TRUE),
        ('"b" >= "a" && 1 <= 1 && 2 > 1.5 && !(1 != 1)', TRUE),
        ("1s + 500ms = 1.5s", TRUE),
        ("nil = nil || nil != nil", FALSE),
        ("1 != nil", TRUE),
        ('!("a" < "b")', FALSE),
        ('"ab" =~ "a"', FALSE),
        ('"ab" !~ "a"', TRUE),
        ("ok = error", FALSE),
        (".a", A),
        ("!.a", Not(A)),
        (".a = -1", Comparison(BinaryOp.EQ, A, Literal(Type.INT, -1))),
        ("-.a > 1 && .b", And(Comparison(BinaryOp.GT, Negative(A), Literal(Type.INT, 1)), B)),
        (".a = nil || .b != nil", Or(Exists(A, negated=True), Exists(B, negated=False))),
        (
            ".a + 2 * 3 >= .b",
            Comparison(
                BinaryOp.GE, Calculation(BinaryOp.ADD, A, Literal(Type.INT, 6)), B
            ),
        ),
        (
            'trace:id != "00AB"',
            Comparison(
                BinaryOp.NE,
                Intrinsic(IntrinsicName.TRACE_ID),
                Literal(Type.STRING, "ab".zfill(32)),
            ),
        ),
        (
            'span:id = "no id"',
            Comparison(
                BinaryOp.EQ, Intrinsic(IntrinsicName.SPAN_ID), Literal(Type.STRING, "no id")
            ),
        ),
    ],
)  # fmt: skip
def test_a_condition_is_folded_to_what_it_means(text: str, expected: Operand) -> None:
    assert condition(text) == expected


def test_a_regular_expression_is_compiled_once() -> None:
    found = condition('.a !~ "x.*"')
    assert isinstance(found, Matches)
    assert (found.operand, found.regex.pattern, found.negated) == (A, "x.*", True)


@pytest.mark.parametrize(
    ("op", "relation", "side"),
    [
        (">", Relation.CHILD, Side.RIGHT),
        (">>", Relation.DESCENDANT, Side.RIGHT),
        ("<", Relation.PARENT, Side.RIGHT),
        ("<<", Relation.ANCESTOR, Side.RIGHT),
        ("~", Relation.SIBLING, Side.RIGHT),
        ("!>", Relation.CHILD, Side.UNRELATED),
        ("!<<", Relation.ANCESTOR, Side.UNRELATED),
        ("!~", Relation.SIBLING, Side.UNRELATED),
        ("&>>", Relation.DESCENDANT, Side.BOTH),
        ("&<", Relation.PARENT, Side.BOTH),
        ("&~", Relation.SIBLING, Side.BOTH),
    ],
)
def test_a_structural_operator_is_a_relation_and_a_side(
    op: str, relation: Relation, side: Side
) -> None:
    assert steps(f"{{ .a }} {op} {{ .b }}") == (Related(relation, side, Keep(A), Keep(B)),)


def test_spansets_join_from_the_left_on_one_level() -> None:
    a, b = Keep(A), Keep(B)
    assert steps("{.a} || {.b} && {.a}") == (Together(Either(a, b), a),)
    assert steps("({.a} | count() > 1) && ({.b} | coalesce())") == (
        Together(
            Chain(
                (a, Bound(AggregateName.COUNT, None, BinaryOp.GT, Literal(Type.INT, 1), "count()"))
            ),
            Chain((b, Merge())),
        ),
    )


def test_stages_keep_their_order_and_name_what_they_add() -> None:
    assert steps("{} | by(.a) | avg(duration) > 1s | select(.b)") == (
        Keep(TRUE),
        Group(A, "by(.a)"),
        Bound(
            AggregateName.AVG,
            Intrinsic(IntrinsicName.DURATION),
            BinaryOp.GT,
            Literal(Type.DURATION, 10**9),
            "avg(duration)",
        ),
        Show((B,)),
    )


def test_metrics_hold_their_function_and_seconds() -> None:
    found = series("{} | quantile_over_time(.a, .5) by(.b) > 100ms | bottomk(2)")
    assert found.function == Rate(MeasureName.QUANTILE, A, (0.5,), (B,))
    assert found.seconds == (Points(BinaryOp.GT, 0.1), First(RankName.BOTTOM, 2))
    assert series("{} | compare({ .a })").function == Contrast(A, 10, None, None)
    assert series("{} | compare({ .a }, 5, 1, 2)").function == Contrast(A, 5, 1, 2)


def test_arithmetic_between_metrics_is_a_tree() -> None:
    plan = checked("({} | rate()) / ({} | rate()) * 100 | topk(1)").plan
    assert isinstance(plan, SeriesResult)
    assert plan.math.op is BinaryOp.MUL
    assert isinstance(plan.math.left, SeriesMath)
    assert plan.seconds == (First(RankName.TOP, 1),)


def test_known_hints_are_kept_and_others_are_named() -> None:
    query = checked("{} with(most_recent=true, job_size=5)")
    assert query.hints == (("most_recent", True),)
    assert query.ignored_hints == ("job_size",)
    assert not query.is_metrics


def test_a_tree_made_by_a_program_is_checked_without_places() -> None:
    body = Pipeline((Filter(Literal(Type.INT, 1)),))
    with pytest.raises(QueryError) as caught:
        check(Query(body, (Hint("sample", TRUE),)))
    assert "column" not in caught.value.details
    assert check(Query(Pipeline((Filter(A),)))).plan == Chain((Keep(A),))
