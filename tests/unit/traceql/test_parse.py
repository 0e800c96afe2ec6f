"""Text to tree: the whole language, its precedence, and where it is wrong."""

from __future__ import annotations

import pytest

from tailrace.errors import QueryError
from tailrace.traceql import Dialect, parse, render
from tailrace.traceql.limits import MAX_HEIGHT, MAX_NESTING, MAX_QUERY
from tailrace.traceql.tree import (
    Attribute,
    Binary,
    Body,
    Filter,
    Intrinsic,
    IntrinsicName,
    Literal,
    Pipeline,
    Scope,
    SpansetOp,
    SpansetOperation,
    Type,
)


def condition_of(text: str) -> object:
    body = parse(text).body
    assert isinstance(body, Pipeline)
    assert isinstance(body.stages[0], Filter)
    return body.stages[0].condition


def value_of(text: str) -> Literal:
    comparison = condition_of(f"{{ .a = {text} }}")
    assert isinstance(comparison, Binary)
    assert isinstance(comparison.right, Literal)
    return comparison.right


def error_of(text: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        parse(text)
    return caught.value


CANONICAL = [
    ("{}", "{ }"),
    ("{ true }", "{ true }"),
    ("{.a=1&&.b=2||.c=3}", "{ .a = 1 && .b = 2 || .c = 3 }"),
    ("{ .a = 1 && (.b = 2 || .c = 3) }", "{ .a = 1 && (.b = 2 || .c = 3) }"),
    ("{ -.a * .b = 1 }", "{ -.a * .b = 1 }"),
    ("{ (-.a) * .b = 1 }", "{ (-.a) * .b = 1 }"),
    ("{ (-.a) + .b = 1 }", "{ -.a + .b = 1 }"),
    ("{ -(.a + .b) = 1 }", "{ -(.a + .b) = 1 }"),
    ("{ (!.a) = .b }", "{ !.a = .b }"),
    ("{ !(.a = .b) }", "{ !(.a = .b) }"),
    ("{ .a ^ (.b ^ .c) = 1 }", "{ .a ^ .b ^ .c = 1 }"),
    ("{ (.a ^ .b) ^ .c = 1 }", "{ (.a ^ .b) ^ .c = 1 }"),
    ("{ .a - (.b - .c) = 1 }", "{ .a - (.b - .c) = 1 }"),
    ("{ (.a - .b) - .c = 1 }", "{ .a - .b - .c = 1 }"),
    ("{ .a = nil || nil != .b || nil = nil }", "{ .a = nil || nil != .b || nil = nil }"),
    ("{ span:duration > 90m }", "{ duration > 1h30m }"),
    ("{ trace:rootService = `a\\b` }", '{ rootServiceName = "a\\\\b" }'),
    ("{ span:childCount > 1 && childCount < 5 }", "{ span:childCount > 1 && span:childCount < 5 }"),
    ("{ event:timeSinceStart > 1.5s }", "{ event:timeSinceStart > 1.5s }"),
    ('{ link:traceID = "a" } // last\n', '{ link:traceID = "a" }'),
    ("// first\n{ .a = 1 /* in */ && // then\n.b = 2 /**/ } /* * */ | // |\n count() /*/ */ > 1",
     "{ .a = 1 && .b = 2 } | count() > 1"),
    ('{ /* all */ instrumentation:version =~ "1.*" }', '{ instrumentation:version =~ "1.*" }'),
    ('{ span."my attr" = 1 && ."a b".c = 2 }', '{ span."my attr" = 1 && ."a b.c" = 2 }'),
    ("{ .a+b = 1 && .x[0] = 2 && .a/b = 3 }", "{ .a+b = 1 && .x[0] = 2 && .a/b = 3 }"),
    ("{ event.a = 1 && link.b = 2 && instrumentation.c = 3 }",
     "{ event.a = 1 && link.b = 2 && instrumentation.c = 3 }"),
    ("{ parent.span.a = 1 && parent.b = 2 && parent = nil }",
     "{ parent.span.a = 1 && parent.b = 2 && parent = nil }"),
    ("{ status = error && kind = client }", "{ status = error && kind = client }"),
    ("{ .duration = 1 && span.count = 2 }", "{ .duration = 1 && span.count = 2 }"),
    ("{.a} && {.b} >> {.c} || {.d}", "{ .a } && { .b } >> { .c } || { .d }"),
    ("{.a} && ({.b} || {.c})", "{ .a } && ({ .b } || { .c })"),
    ("({.a})", "{ .a }"),
    ("{} | by(.a) | coalesce() | select(.b, span:id)",
     "{ } | by(.a) | coalesce() | select(.b, span:id)"),
    ("by(.a) | {.b}", "by(.a) | { .b }"),
    ("{} | avg(duration) + 1 * 2 > -3", "{ } | avg(duration) + 2 > -3"),
    ("{} | 3 < (count() + 1) * sum(.a)", "{ } | 3 < (count() + 1) * sum(.a)"),
    ("max(.a) > 1s", "max(.a) > 1s"),
    ("{} | count() > 7 / 2", "{ } | count() > 3"),
    ("{} | count() > minInt", "{ } | count() > minInt"),
    ("({} | count() > 1)", "{ } | count() > 1"),
    ("({} | count() > 1) && (({.a} | count() > 2) || (by(.b)))",
     "({ } | count() > 1) && (({ .a } | count() > 2) || (by(.b)))"),
    ("({} | count()) + ({} | sum(.a)) >= 1", "({ } | count()) + ({ } | sum(.a)) >= 1"),
    ("{} | rate()", "{ } | rate()"),
    ("{} | rate() by (.a, name) | topk(3) > 0.5 | bottomk(1)",
     "{ } | rate() by(.a, name) | topk(3) > 0.5 | bottomk(1)"),
    ("{} | quantile_over_time(duration, .5, 0.99) by(name)",
     "{ } | quantile_over_time(duration, 0.5, 0.99) by(name)"),
    ("{} | histogram_over_time(span.x) < 5", "{ } | histogram_over_time(span.x) < 5"),
    ("{} | compare({ status = error })", "{ } | compare({ status = error })"),
    ("{} | compare({}, 5, 1, 2)", "{ } | compare({ }, 5, 1, 2)"),
    ("({} | rate())", "{ } | rate()"),
    ("({} | rate() > 1) | topk(2)", "{ } | rate() > 1 | topk(2)"),
    ("100 * ({.a} | rate()) / ({} | rate()) > 5 | topk(2)",
     "(100 * ({ .a } | rate())) / ({ } | rate()) > 5 | topk(2)"),
    ('{} with(a=1) with(most_recent=true, b="x")', '{ } with(most_recent=true, b="x")'),
    ("{} | rate() with(exemplars=10)", "{ } | rate() with(exemplars=10)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_a_query_has_one_canonical_text_which_means_the_same(text: str, canonical: str) -> None:
    query = parse(text)
    assert render(query) == canonical
    assert parse(canonical) == query


@pytest.mark.parametrize("op", list(SpansetOp))
def test_every_operator_between_spansets_is_read(op: SpansetOp) -> None:
    body = parse(f"{{.a}}{op}{{.b}}").body
    assert isinstance(body, Pipeline)
    operation = body.stages[0]
    assert isinstance(operation, SpansetOperation)
    assert operation.op is op


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("010", Type.INT, 10),
        ("9223372036854775807", Type.INT, 2**63 - 1),
        ("minInt", Type.INT, -(2**63)),
        (".5", Type.FLOAT, 0.5),
        ("1.", Type.FLOAT, 1.0),
        ("1e3", Type.FLOAT, 1000.0),
        ("100ms", Type.DURATION, 100_000_000),
        ("1h15m30.918s", Type.DURATION, 4_530_918_000_000),
        ("1y2w", Type.DURATION, 379 * 86_400 * 10**9),
        ("10µs", Type.DURATION, 10_000),
        ("0.1us", Type.DURATION, 100),
        (r'"a\x41\u00e9\"\101"', Type.STRING, 'aAé"A'),
        ('`a\\n"`', Type.STRING, 'a\\n"'),
    ],
)
def test_a_value_is_read_exactly(text: str, kind: Type, value: object) -> None:
    assert value_of(text) == Literal(kind, value)  # type: ignore[arg-type]


def test_keywords_are_names_where_a_name_stands() -> None:
    assert condition_of("{ span.status }") == Attribute(Scope.SPAN, "status")
    assert condition_of("{ .by }") == Attribute(Scope.ANY, "by")
    assert condition_of("{ span:id }") == Intrinsic(IntrinsicName.SPAN_ID)


def test_an_attribute_name_may_hold_anything_in_quotes() -> None:
    name = '漢 "x"\\ 🙂 {}|'
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert condition_of(f'{{ resource."{quoted}" }}') == Attribute(Scope.RESOURCE, name)


WRONG = [
    ("", 1, "TR202"),
    ("{", 2, "TR202"),
    ("{ .a = }", 8, "TR202"),
    ("{ .a == 1 }", 7, "TR202"),
    ("{ .a = 1 ", 10, "TR202"),
    ("{ .a = 1 } }", 12, "TR202"),
    ("{ duraton > 1s }", 3, "TR203"),
    ("{ span:nam = 1 }", 8, "TR203"),
    ("{ .a and .b }", 6, "TR202"),
    ("{ . foo }", 3, "TR201"),
    ("{ .a = 0x1f }", 8, "TR201"),
    ("{ .a = 1_000 }", 8, "TR201"),
    ("{ .a = 1.5d }", 8, "TR201"),
    ("{ .a = 1 h }", 10, "TR202"),
    ("{ .a = 9223372036854775808 }", 8, "TR201"),
    ("{ .a = 1e999 }", 8, "TR201"),
    ("{ .a = 'x' }", 8, "TR201"),
    ('{ .a = "x }', 8, "TR201"),
    (r'{ .a = "\q" }', 9, "TR201"),
    (r'{ .a = "\xff" }', 8, "TR201"),
    (r'{ ."a\n" = 1 }', 6, "TR201"),
    ("{ .a = 1 /* }", 10, "TR201"),
    ("{ .a = \0 }", 8, "TR201"),
    ("{ .a = \ud800 }", 8, "TR201"),
    ("{ nil }", 3, "TR217"),
    ("{ .a > nil }", 8, "TR217"),
    ("{} | count()", 13, "TR202"),
    ("count()", 8, "TR202"),
    ("{} | 1 > 2", 8, "TR206"),
    ("{} | limit 5", 6, "TR203"),
    ("{} | cont() > 1", 6, "TR203"),
    ("{} | topk(3)", 6, "TR206"),
    ("{} rate()", 4, "TR202"),
    ("rate()", 1, "TR206"),
    ("coalesce()", 1, "TR206"),
    ("{} | rate() | by(.a)", 15, "TR202"),
    ("{} | rate() | {}", 15, "TR202"),
    ("{} | quantile_over_time(duration)", 33, "TR202"),
    ("{} | compare({}, 1, 2)", 22, "TR202"),
    ("{} | rate(.a)", 11, "TR202"),
    ("{} | topk", 6, "TR206"),
    ("({} | count() > 1) >> {}", 20, "TR206"),
    ("({} | count() > 1) | {}", 2, "TR206"),
    ("{} && count() > 1", 4, "TR206"),
    ("({} | rate()) + 1s", 17, "TR204"),
    ("({} | rate()) % ({} | rate())", 15, "TR206"),
    ("5 < ({} | rate())", 3, "TR206"),
    ("(({} | rate()) > 5)", 16, "TR206"),
    ("{} | count() > 1s + 1s", 16, "TR204"),
    ("{} | count() > 1 / 0", 18, "TR207"),
    ("{} | select()", 13, "TR202"),
    ("{} with(most_recent)", 20, "TR202"),
    ("{} with()", 9, "TR202"),
    ("{} with(a=.b)", 11, "TR202"),
    (".a = 1", 1, "TR202"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "code"), WRONG)
def test_a_wrong_query_is_refused_at_its_place(text: str, column: int, code: str) -> None:
    error = error_of(text)
    assert (error.details["line"], error.details["column"], error.code) == (1, column, code)


def test_an_error_says_what_was_expected_and_what_stands_there() -> None:
    error = error_of("{ .a = 1 }\n  | duration > 1s")
    assert error.details["line"] == 2
    assert error.details["text"] == "duration"
    assert error.details["source"] == "  | duration > 1s"
    assert error.details["expected"] == ["a stage"]
    assert "line 2, column 5" in error.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{ duraton > 1s }", "'duration'"),
        ("{ .a == 1 }", "'=' once"),
        ("{ .a and .b }", "'&&'"),
        ("{ .a = 'x' }", "double quotes"),
        ("{} | topk(3)", "rate()"),
        ("{} | limit 5", "--limit"),
        ("{ .a = foo }", '"foo"'),
    ],
)
def test_a_common_mistake_gets_the_mend(text: str, hint: str) -> None:
    assert hint in error_of(text).hint


@pytest.mark.parametrize(
    "text",
    [
        "{" + "(" * 5000 + ".a" + ")" * 5000 + "}",
        "(" * 5000 + "{}" + ")" * 5000,
        "{ " + "!" * 5000 + ".a }",
        "{ .a" + " ^ .a" * 5000 + " = 1 }",
        "{ .a" + " && .a" * 5000 + " }",
        "{}" + " && {}" * 5000,
        "{} | count()" + " + count()" * 5000 + " > 1",
        "{ }" + " " * MAX_QUERY,
    ],
)
def test_a_query_without_measure_is_refused(text: str) -> None:
    assert error_of(text).code == "TR208"


@pytest.mark.no_cover
def test_what_is_within_the_bounds_is_read() -> None:
    chain = "{ .a" + " && .a" * (MAX_HEIGHT - 5) + " }"
    deep = "{" + "(" * MAX_NESTING + ".a" + ")" * MAX_NESTING + "}"
    assert render(parse(chain)) == chain
    assert parse(deep) == parse("{ .a }")
    assert render(parse("{}" + " | {}" * 1000)).count("|") == 1000


def short(text: str) -> Body:
    query = parse(text)
    assert query.dialect is Dialect.SHORT
    return query.body


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("traces{}", "{}"),
        ('trace_id = "X"', '{ trace:id = "X" }'),
        ('trace_id == "X"', '{ trace:id = "X" }'),
        ('span.name == "a | b"', '{ name = "a | b" }'),
        ('span.kind == "SERVER"', "{ kind = server }"),
        ('span.attributes["a b"] == true', '{ span."a b" = true }'),
        ('span.attributes["k"] == 1.5 | span.name = "x"', '{ span.k = 1.5 && name = "x" }'),
        ('traces{} | span.attributes["k"] == "v" | limit 5', '{ span.k = "v" }'),
    ],
)
def test_the_short_form_means_a_filter(text: str, same: str) -> None:
    assert short(text) == parse(same).body


def test_the_short_form_chooses_columns_and_a_limit() -> None:
    query = parse("traces{} | pick(trace_id, root_service) | limit 50")
    assert (query.columns, query.limit) == (("trace_id", "root_service"), 50)


@pytest.mark.parametrize(
    ("text", "column", "code"),
    [
        ("traces{} | pick(trace_idd)", 17, "TR218"),
        ("traces{} | pick()", 12, "TR218"),
        ("traces{} | limit 0", 12, "TR207"),
        ("traces{} | limit x", 12, "TR218"),
        ("traces{} |", 11, "TR218"),
        ('span.kind == "servr"', 1, "TR203"),
        ("trace_id == 5", 1, "TR204"),
        ('span.name = "x" | { .a }', 19, "TR218"),
        ('span.attributes["k"] > 5', 1, "TR218"),
    ],
)
def test_a_wrong_short_form_is_refused_at_its_place(text: str, column: int, code: str) -> None:
    error = error_of(text)
    assert (error.details["column"], error.code) == (column, code)
