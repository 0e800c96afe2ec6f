"""The language, row by row: what a text gives in a scope, or with which code it is refused."""

import datetime as dt
import enum
from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from tailrace.errors import ExpressionError
from tailrace.flows.expressions import compile_expression, compile_value
from tailrace.model import Constant, Evaluated


class Names:
    """A scope over a plain mapping."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def lookup(self, name: str) -> Any:
        return self._values[name]

    def names(self) -> Iterable[str]:
        return self._values


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Row:
    city: str
    _hidden: str = "out of reach"

    @property
    def computed(self) -> str:
        return "no field"

    def method(self) -> str:
        return "no field"


class Station(msgspec.Struct):
    code: str


Pair = namedtuple("Pair", ["left", "right"])  # noqa: PYI024 - untyped ones exist in user code


class Plain:
    visible = "an attribute that is no declared field"


VALUES: dict[str, Any] = {
    "params": {
        "n": 3,
        "zero": 0,
        "ratio": 0.5,
        "yes": True,
        "nothing": None,
        "name": "Ada",
        "empty": "",
        "items": [10, 20, 30],
        "nested": {"list": [{"id": 1}, {"id": 2}], "a b": "spaced", "a-b": "dashed"},
        "by_number": {2024: "int key", "2025": "text key"},
        "day": dt.date(2024, 2, 29),
        "price": Decimal("1.10"),
        "path": PurePosixPath("/tmp/x"),  # noqa: S108 - a value, not a file
        "row": Row("Oslo"),
        "station": Station("SEA"),
        "pair": Pair(1, 2),
        "plain": Plain(),
        "tags": {"b", "a"},
        "none": [],
        "colour": Colour.RED,
        "日本": "語",
        "big": list(range(100_000)),
        "raw": b"bytes",
    },
    "results": MappingProxyType({"fetch": {"rows": [1, 2]}, "fetch-data": 7}),
    "node": {"fetch": {"output": {"items": ["first", "second"]}}, "fetch-data": {"output": 8}},
    "payload": {"fetch": "p"},
    "joins": {"merge": {"clean": "c"}},
    "scratch": {"raw": "s"},
    "artifacts": {},
    "env": {"TOKEN": "t"},
    "loop": {"index": 1, "iteration": 2, "item": "it", "path": "each[1]"},
    "loops": [{"index": 0}, {"index": 1}],
    "it": {"kind": "loop variable"},
    "deep": [[[]]],
}

VALUE_ROWS: list[tuple[str, Any]] = [
    # Literals
    ("1", 1), ("1_000", 1000), ("007", 7), ("1.5", 1.5), ("1e3", 1000.0), ("2.5E-1", 0.25),
    ("'a'", "a"), ('"a\\"b"', 'a"b'), (r"'\n\t\\\u00e9'", "\n\t\\é"), (r'"\ud83d\ude00"', "😀"),
    ("true", True), ("True", True), ("false", False), ("null", None), ("None", None),
    ("none", None), ("[]", []), ("[1, 'a', [2],]", [1, "a", [2]]), ("{}", {}),
    ('{"a": 1, "b": {"c": params.n}}', {"a": 1, "b": {"c": 3}}), ("(1)", 1),
    # Paths
    ("params.n", 3), ("$params.n", 3), ("ctx.params.n", 3), ("$ctx.params.n", 3),
    ('ctx["params"].n', 3), ("params['n']", 3), ("params . n", 3), ("params.items[0]", 10),
    ("params.items[-1]", 30), ("params.items[params.n - 1]", 30), ("params.items.1", 20),
    ("params.nested.list[1].id", 2), ('params.nested["a b"]', "spaced"),
    ('params.nested["a-b"]', "dashed"), ("params.by_number.2024", "int key"),
    ("params.by_number[2024]", "int key"), ("params.by_number.2025", "text key"),
    ("params.日本", "語"), ("params.none", []), ("params.name[0]", "A"),
    ("node.fetch.output.items[0]", "first"), ("results.fetch.rows[-2]", 1),
    ('results["fetch-data"]', 7), ("payload.fetch", "p"), ("joins.merge.clean", "c"),
    ("env.TOKEN", "t"), ("$env.TOKEN", "t"), ("loop.index", 1), ("loops[-1].index", 1),
    ("it.kind", "loop variable"), ("$ctx.it.kind", "loop variable"),
    ("params.items[loop.index]", 20), ("(params.items)[0]", 10), ("[1, 2][1]", 2),
    ('{"a": 1}.a', 1), ('{"a": 1}["a"]', 1),
    # Declared fields of objects
    ("params.row.city", "Oslo"), ("params.station.code", "SEA"), ("params.pair.right", 2),
    ("params.pair[0]", 1),
    # Arithmetic
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 // 2", 3), ("-7 // 2", -4), ("7 % 3", 1),
    ("1 / 4", 0.25), ("- 3 + 1", -2), ("--3", 3), ("+3", 3), ("-params.n", -3),
    ("10 - 3 - 2", 5), ("2 * 3 % 4", 2), ("'a' + 'b'", "ab"), ("'ab' * 2", "abab"),
    ("2 * [0]", [0, 0]), ("[1] + [2]", [1, 2]), ("true + 1", 2), ("'x' * -1", ""),
    ("params.price * 2", Decimal("2.20")), ("params.day - params.day", dt.timedelta(0)),
    # Comparisons
    ("1 == 1.0", True), ("1 != 2", True), ("1 < 2 <= 2 < 3", True), ("3 > 2 > 2", False),
    ("'a' < 'b'", True), ("params.n >= 3", True), ("[1, 2] == [1, 2]", True),
    ("'1' == 1", False), ("null == false", False), ("params.nothing == null", True),
    ("params.day > params.day", False), ("$ctx.params.n > 2 and $env.TOKEN == 't'", True),
    # Membership
    ("20 in params.items", True), ("5 not in params.items", True), ("'n' in params", True),
    ("'d' in params.name", True), ("'a' in params.tags", True), ("[1] in [[1], [2]]", True),
    ("1 in params.pair", True), ("not 1 in [2]", True),
    # Logic
    ("1 and 2", 2), ("0 and 2", 0), ("0 or 'x'", "x"), ("1 or params.n", 1), ("not 0", True),
    ("not true or true", True), ("not (true or true)", False), ("false or null", None),
    ("true and not false", True), ("0 or 0.0 or ''", ""),
    # Conditionals
    ("1 if true else 2", 1), ("1 if false else 2 if false else 3", 3),
    ("'a' if params.n > 2 and params.yes else 'b'", "a"), ("(1 if 0 else 2) + 1", 3),
    ("1 if true else params.missing", 1),
    # What may be missing
    ("params.missing or 'd'", "d"), ("params.missing | default('d')", "d"),
    ("params.missing.deeper[0].x or 'd'", "d"), ("params.nothing.x | default(1)", 1),
    ("params.nothing | default(1)", None), ("params.zero | default(1)", 0),
    ("params.zero or 1", 1), ("params.items[9] | default(0)", 0),
    ("params.none | first | default('e')", "e"), ("(params.missing + 1) | default(0)", 0),
    ("params.a or params.b or params.n", 3), ("params.a | default(params.b) | default(4)", 4),
    ("env.MISSING or 'x'", "x"), ("1 + (params.missing | default(1))", 2),
    ("results.none or []", []),
    # Filters
    ("params.items | length", 3), ("params.items | length > 2", True), ("'é' | upper", "É"),
    ("'ÀB' | lower", "àb"), ("params.items | join(', ')", "10, 20, 30"),
    ("['a', null, true] | join", "anulltrue"), ("params.items | first", 10),
    ("params.items | last", 30), ("'abc' | last", "c"), ("params.nested | length", 3),
    ("params.tags | length", 2), ('{"a": [1, null]} | tojson', '{"a": [1, null]}'),
    ("params.day | tojson", '"2024-02-29"'), ("params.row | tojson", '{"city": "Oslo"}'),
    ("params.tags | tojson", '["a", "b"]'), ("params.colour | tojson", '"red"'),
    ("params.items | tojson | length", 12), ("(params.nested.list | first).id", 1),
    ("params.name | upper | lower", "ada"), ("1 + params.items | length", 4),
    ("params.by_number | tojson", '{"2024": "int key", "2025": "text key"}'),
    ("(params.day - params.day) | tojson", "0.0"), ("{'a': params.pair} | tojson | length", 30),
    ("params.items | length()", 3), ("-params.items | length", -3),
]  # fmt: skip

ERROR_ROWS: list[tuple[str, str, int]] = [
    # TR140, shape
    ("", "TR140", 0), ("   ", "TR140", 3), ("1 +", "TR140", 3), ("(1", "TR140", 2),
    ("1)", "TR140", 1), ("[1 2]", "TR140", 3), ("a b", "TR140", 2), ("1 if 2", "TR140", 6),
    ("and 1", "TR140", 0), ("1 not 2", "TR140", 6), ("params.", "TR140", 7),
    ("params.[0]", "TR140", 7), ("{a: 1}", "TR140", 1), ('{"a" 1}', "TR140", 5),
    ('{"a": 1, "a": 2}', "TR140", 9), ("1 + not 2", "TR140", 4), ("a is null", "TR140", 2),
    ("[x for x in a]", "TR140", 3), ("ctx", "TR140", 0), ("1 |", "TR140", 3),
    ("a | first.name", "TR140", 9), ("lambda: 1", "TR140", 0), ("a[]", "TR140", 2),
    # TR141, characters, numbers, texts
    ("'abc", "TR141", 0), ('"abc', "TR141", 0), (r"'a\d'", "TR141", 2), ("12abc", "TR141", 0),
    ("1e999", "TR141", 0), ("a # b", "TR141", 2), ("$", "TR141", 0), ("$1", "TR141", 0),
    ("$true", "TR141", 0), (r"'\ud83d'", "TR141", 0), ("a \\ b", "TR141", 2), ("€", "TR141", 0),
    # TR142, what other languages have
    ("2 ** 3", "TR142", 2), ("f(1)", "TR142", 1), ("params.name.upper()", "TR142", 17),
    ("a = 1", "TR142", 2), ("a && b", "TR142", 2), ("a || b", "TR142", 2), ("!a", "TR142", 0),
    ("a[1:2]", "TR142", 3), ("a[:2]", "TR142", 2), ("a ~ b", "TR142", 2), ("a ? b : c", "TR142", 2),
    # TR143, filters
    ("1 | nope", "TR143", 4), ("1 | default", "TR143", 4), ("1 | length(1)", "TR143", 4),
    ("1 | join(1, 2)", "TR143", 4),
    # TR144 and TR145, names and keys
    ("parms.n", "TR144", 0), ("1 + nope", "TR144", 4), ("nope or 1", "TR144", 0),
    ("nope | default(1)", "TR144", 0), ("ctx.nope", "TR144", 3), ("ctx['a b']", "TR144", 3),
    ("params.nme", "TR145", 6), ("params.items[3]", "TR145", 12), ("env.HOME", "TR145", 3),
    ("params.nothing.x", "TR145", 14), ("[] | first", "TR145", 5),
    ("results.fetch-data", "TR144", 14),
    ("params.row.cty", "TR145", 10), ("params.pair.middle", "TR145", 11),
    ("1 + params.missing", "TR145", 10), ("params.missing and 1", "TR145", 6),
    ("not params.missing", "TR145", 10), ("'' or params.missing", "TR145", 12),
    # TR146, operands
    ("1 + 'a'", "TR146", 2), ("'a' - 'b'", "TR146", 4), ("'%s' % 1", "TR146", 5),
    ("1 / 0", "TR146", 2), ("1 % 0", "TR146", 2), ("1 < 'a'", "TR146", 2), ("-'a'", "TR146", 0),
    ("1 in 2", "TR146", 2), ("1 in 'a'", "TR146", 2), ("1 | upper", "TR146", 4),
    ("1 | length", "TR146", 4), ("'ab' | join('-')", "TR146", 7), ("[1] | join(2)", "TR146", 6),
    ("params[[1]]", "TR146", 6), ("params.price + 0.5", "TR146", 13), ("1.5 * 'a'", "TR146", 4),
    ("params.raw | tojson", "TR146", 13), ("params.plain | tojson", "TR146", 15),
    ("1e308 * 10 // 1 % 0", "TR146", 16), ("params.n | first", "TR146", 11),
    ("[params.plain] | join", "TR146", 17), ("[1] < ['a']", "TR146", 4),
    # TR147, bounds
    ("9" * 2000, "TR147", 0), ("'ab' * 1000000", "TR147", 5), ("[0] * 1000000", "TR147", 4),
    ("params.big + [1]", "TR147", 11), ("(" * 60 + "1" + ")" * 60, "TR147", 50),
    (" + ".join(["1"] * 200), "TR147", 310), ("-" * 60 + "1", "TR147", 50),
    (" * ".join(["9" * 1000] * 2), "TR147", 1001), ("(['x' * 900000] * 3) | tojson", "TR147", 23),
    ("'a' + 'b' * 999999 + 'cc'", "TR147", 19),
    # TR149, values without keys
    ("params.n.x", "TR149", 8), ("params.name.upper", "TR149", 11), ("params.n[0]", "TR149", 8),
    ("params.items.x", "TR149", 12), ("params.items['x']", "TR149", 12),
    ("params.plain.visible", "TR149", 12), ("params.plain.__class__", "TR149", 12),
    ("params.row.method", "TR145", 10), ("params.row.computed", "TR145", 10),
    ("params.row._hidden", "TR145", 10), ("params.row.__dict__", "TR145", 10),
    ("params.items[true]", "TR149", 12), ("(1).real", "TR149", 3), ("params.__class__", "TR145", 6),
]  # fmt: skip


def as_written(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return ids that name what is compiled; values may be long, or hold an address."""
    return [f"{row[0] if isinstance(row[0], str) else repr(row[0]):.40}" for row in rows]


@pytest.mark.parametrize(("source", "expected"), VALUE_ROWS, ids=as_written(VALUE_ROWS))
def test_the_expression_gives_its_value_and_type(source: str, expected: Any) -> None:
    value = compile_expression(source).evaluate(Names(VALUES))

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("source", "code", "column"), ERROR_ROWS, ids=as_written(ERROR_ROWS))
def test_the_expression_is_refused_with_its_code_and_column(
    source: str, code: str, column: int
) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source).evaluate(Names(VALUES))

    assert (caught.value.code, caught.value.column) == (code, column)


TEMPLATE_ROWS: list[tuple[Any, Any]] = [
    ("{{ params.n }}", 3), ("  {{ params.items }}\n", [10, 20, 30]), ("{{params.n}}", 3),
    ("n={{ params.n }}", "n=3"), ("{{ params.n }}{{ params.n }}", "33"),
    ("{{ params.name }}!", "Ada!"), ("<{{ params.nothing }}>", "<null>"),
    ("<{{ params.yes }}>", "<true>"), ("<{{ params.ratio }}>", "<0.5>"),
    ("<{{ params.items }}>", "<[10, 20, 30]>"), ('<{{ {"a": "é"} }}>', '<{"a": "é"}>'),
    ("<{{ params.day }}>", "<2024-02-29>"), ("<{{ params.path }}>", "</tmp/x>"),
    ("<{{ params.price }}>", "<1.10>"), ("<{{ params.colour }}>", "<red>"),
    ("<{{ params.empty }}>", "<>"), ("{{ '{{' }} and {{ '}}' }}", "{{ and }}"),
    ('{{ {"a": {"b": 1}} }}', {"a": {"b": 1}}), ('{{{"a": {"b": 1}}}}', {"a": {"b": 1}}),
    ("$params.n", 3), ("$ctx.params.n", 3), ("$params", VALUES["params"]),
    ("$node.fetch.output.items[0]", "first"), ("$node.fetch-data.output", 8),
    ("$results['fetch-data']", 7), ("$results.fetch-data", 7), ("$loops[-1].index", 1),
    ("$ctx.it.kind", "loop variable"), ("$payload.fetch", "p"), ("$joins.merge.clean", "c"),
    ("$env.TOKEN", "t"), ("$params.n ", 3),
    (["{{ params.n }}", "x", ["$params.name"]], [3, "x", ["Ada"]]),
    ({"a": {"b": "v{{ params.n }}"}, 1: "$params.n"}, {"a": {"b": "v3"}, 1: 3}),
    (("{{ params.n }}", 1), (3, 1)), ("$$5 {{ params.n }}", "$5 3"),
]  # fmt: skip

CONSTANT_ROWS: list[tuple[Any, Any]] = [
    (1, 1), (None, None), ("a }} b", "a }} b"), ("plain", "plain"), ("", ""), ("$5", "$5"),
    ("$", "$"), ("$HOME is here", "$HOME is here"), ("$it.kind", "$it.kind"),
    ("costs $params.n", "costs $params.n"),
    ("$$params.n", "$params.n"), ("$$$", "$$"), ("$env:PATH", "$env:PATH"), ("{ a }", "{ a }"),
    ("$node is great", "$node is great"),
    (["a", {"b": ["$$x"]}], ["a", {"b": ["$x"]}]), ({}, {}),
    (dt.date(2024, 1, 1), dt.date(2024, 1, 1)),
]  # fmt: skip

BROKEN_ROWS: list[tuple[Any, str, int]] = [
    ("{{ params.n", "TR148", 0), ("a {{ b {{ c", "TR148", 2), ("a {{ 'x }}", "TR141", 5),
    ("{{ }}", "TR140", 3), ("a {{}}", "TR140", 4), ("$params.n + 1", "TR148", 7),
    ("$params.", "TR148", 8), ("$ctx.", "TR148", 5), ("$ctx", "TR140", 0),
    ("$node.", "TR148", 6), ("$params.n is fun", "TR148", 10), ("x {{ 1 ** 2 }}", "TR142", 7),
    (["ok", "{{ 1 + }}"], "TR140", 7), ({"a": "{{ f(x) }}"}, "TR142", 4),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), TEMPLATE_ROWS, ids=as_written(TEMPLATE_ROWS))
def test_the_value_as_written_is_evaluated(raw: Any, expected: Any) -> None:
    source = compile_value(raw)

    assert isinstance(source, Evaluated)
    value = source.expression.evaluate(Names(VALUES))
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("raw", "expected"), CONSTANT_ROWS, ids=as_written(CONSTANT_ROWS))
def test_the_value_as_written_is_a_constant(raw: Any, expected: Any) -> None:
    assert compile_value(raw) == Constant(expected)


@pytest.mark.parametrize(("raw", "code", "column"), BROKEN_ROWS, ids=as_written(BROKEN_ROWS))
def test_the_value_as_written_is_refused(raw: Any, code: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_value(raw)

    assert (caught.value.code, caught.value.column) == (code, column)
