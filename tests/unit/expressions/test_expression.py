"""Canonical text, references, messages and bounds."""

import threading
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tailrace.errors import ExpressionError
from tailrace.flows.expressions import canonical, compile_expression, compile_value
from tailrace.model import Evaluated


class Names:
    """A scope over a plain mapping."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def lookup(self, name: str) -> Any:
        return self._values[name]

    def names(self) -> Iterable[str]:
        return self._values


@pytest.mark.parametrize(
    ("text", "bare_root", "expected"),
    [
        ("mode", "params", "params.mode"),
        ("{{mode}}", "params", "params.mode"),
        ("{{ my_mode }}", "params", "params.my_mode"),
        ("my-mode", "params", 'params["my-mode"]'),
        ("{{ my-mode }}", "params", "my - mode"),
        ("params.mode", "params", "params.mode"),
        ("$mode", "params", "mode"),
        ("params", "params", "params"),
        ("loop", "params", "loop"),
        ("it.kind", "params", "it.kind"),
        ("true", "params", "true"),
        ("mode", None, "mode"),
        ("{{ $ctx.params.mode }}", "params", "params.mode"),
        ("$ctx.params.n>3 and  not $env.X", None, "params.n > 3 and not env.X"),
        ("results['poll']['done']", None, "results.poll.done"),
        ("((a+b))*c", None, "(a + b) * c"),
        ("'x'", None, '"x"'),
        ("{'a': None}", None, '{"a": null}'),
        ("a|default( 'x' )", None, 'a | default("x")'),
    ],
)
def test_the_canonical_text_is_one_spelling(
    text: str, bare_root: str | None, expected: str
) -> None:
    assert canonical(text, bare_root=bare_root) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("params.n", [("params", "n")]),
        ("$ctx.params.n + node.fetch.output.rows[0].id", [
            ("params", "n"), ("node", "fetch", "output", "rows"),
        ]),
        ("params.n or results.x", [("params",), ("results", "x")]),
        ("params.n | default(params.m)", [("params",), ("params", "m")]),
        ("'n' in params and params.n > 1", [("params",)]),
        ("params.n if 'n' in params else 0", [("params",)]),
        ("results.a.n if 'n' in results.a else params.m", [
            ("results", "a"), ("results",), ("params", "m"),
        ]),
        ("params.items[params.n].x", [("params", "n"), ("params", "items")]),
        ("(params.a or params.b).c", [("params",), ("params", "b")]),
        ("[1, 'x']", []),
    ],
)  # fmt: skip
def test_references_are_the_paths_that_must_exist(
    source: str, expected: list[tuple[str, ...]]
) -> None:
    assert list(compile_expression(source).references) == expected


def test_references_of_structures_and_texts_are_gathered() -> None:
    source = compile_value({"a": ["{{ params.x }}", "n{{ params.y }}"], "b": "$results.z"})

    assert isinstance(source, Evaluated)
    assert source.expression.references == (("params", "x"), ("params", "y"), ("results", "z"))
    assert source.expression.source == '{"a": [params.x, n{{ params.y }}], "b": results.z}'


def test_a_structure_is_a_new_one_each_time() -> None:
    source = compile_value(["$params.n", ["{{ params.n }}"]])
    assert isinstance(source, Evaluated)
    scope = Names(params={"n": 1})

    first = source.expression.evaluate(scope)
    first[1].append("changed by a task")

    assert source.expression.evaluate(scope) == [1, [1]]


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("parms.n", "nothing is named 'parms' (known: params, results); did you mean 'params'?",
         "Write params.parms"),
        ("params.cuont", "no 'cuont' (it has: count, fetch-day); did you mean 'count'?", ""),
        ("params.fetch", "params has no 'fetch'", 'write params["fetch-day"]'),
        ("params.count.x", "params.count is a number, so 'x' of it cannot be read", "dataclass"),
        ("results.none.x", "results.none is null, so it has no 'x'", "default"),
        ("results.rows[5]", "results.rows has 2 items, so there is none at [5]", "default"),
        ("1 + 'a'", "'+' does not fit a number and a text", "{{ a }}{{ b }}"),
        ("params.count | lenght", "there is no filter 'lenght'", ""),
        ("params.count / 0", "a number / a number has no value: division by zero", ""),
    ],
)  # fmt: skip
def test_messages_say_what_is_wrong_and_what_would_be_right(
    source: str, message: str, hint: str
) -> None:
    scope = Names(params={"count": 1, "fetch-day": 2}, results={"none": None, "rows": [1, 2]})

    with pytest.raises(ExpressionError) as caught:
        compile_expression(source).evaluate(scope)

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_error_of_evaluation_names_the_expression() -> None:
    with pytest.raises(ExpressionError, match=r"in 'params\.a \+ 1'") as caught:
        compile_expression("params.a+1").evaluate(Names(params={}))

    assert caught.value.details["expression"] == "params.a + 1"
    assert caught.value.details["column"] == caught.value.column == 6


def test_secret_values_do_not_appear_in_messages() -> None:
    scope = Names(params={"password": "hunter2", "n": 1})

    for source in ("params.password + 1", "params.password.x", "params.n < params.password"):
        with pytest.raises(ExpressionError) as caught:
            compile_expression(source).evaluate(scope)
        assert "hunter2" not in str(caught.value)


def test_no_default_is_inserted_into_a_mapping_that_makes_them() -> None:
    from collections import defaultdict

    made: defaultdict[str, int] = defaultdict(int)

    assert compile_expression("params.x or 'none'").evaluate(Names(params=made)) == "none"
    assert not made


def test_an_error_of_a_foreign_value_becomes_an_expression_error() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparing")

        __hash__ = None  # type: ignore[assignment]  # nothing here needs one

    with pytest.raises(ExpressionError, match="RuntimeError: no comparing"):
        compile_expression("params.x == 1").evaluate(Names(params={"x": Odd()}))


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let evaluations end after so few steps that a test that reaches the bound is quick."""
    monkeypatch.setattr("tailrace.flows.expressions.evaluation.MAX_STEPS", 20_000)


@pytest.mark.usefixtures("few_steps")
def test_values_that_hold_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    scope = Names(params={"loop": loop})

    for source in ("params.loop | tojson", "params.loop == [params.loop]", "[1] in params.loop"):
        with pytest.raises(ExpressionError) as caught:
            compile_expression(source).evaluate(scope)
        assert caught.value.code == "TR147"


@pytest.mark.usefixtures("few_steps")
def test_lists_that_share_their_parts_cost_bounded_work() -> None:
    shared: list[Any] = [1]
    other: list[Any] = [1]
    for _ in range(40):
        shared, other = [shared, shared], [other, other]
    scope = Names(params={"a": shared, "b": other})

    for source in ("params.a == params.b", "params.a in [params.b]", "params.a | tojson"):
        with pytest.raises(ExpressionError) as caught:
            compile_expression(source).evaluate(scope)
        assert caught.value.code == "TR147"


def test_large_lists_of_real_data_can_be_searched() -> None:
    scope = Names(params={"ids": list(range(1_000_000))})

    assert compile_expression("999999 in params.ids").evaluate(scope) is True
    assert compile_expression("params.ids | length").evaluate(scope) == 1_000_000


def test_other_mappings_and_sequences_are_read_like_dicts_and_lists() -> None:
    class Rows(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"a": range(3)}[key]

        def __iter__(self) -> Any:
            return iter(("a",))

        def __len__(self) -> int:
            return 1

    scope = Names(params=MappingProxyType({"rows": Rows()}))

    assert compile_expression("params.rows.a[-1]").evaluate(scope) == 2
    assert compile_expression("'n={{ params.rows }}'").evaluate(scope) == "n={{ params.rows }}"
    text = compile_value("n={{ params.rows }}")
    assert isinstance(text, Evaluated)
    assert text.expression.evaluate(scope) == 'n={"a": [0, 1, 2]}'


def test_one_expression_serves_many_threads() -> None:
    expression = compile_expression("params.n * 2 + (params.missing | default(1))")
    wrong: list[int] = []

    def work(n: int) -> None:
        scope = Names(params={"n": n})
        wrong.extend(n for _ in range(500) if expression.evaluate(scope) != n * 2 + 1)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.no_cover
def test_long_literals_and_texts_stay_quick() -> None:
    started = time.thread_time()
    numbers = ", ".join(str(n) for n in range(10_000))
    text = "row {{ params.n }}, " * 5_000

    assert len(compile_expression(f"[{numbers}]").evaluate(Names())) == 10_000
    source = compile_value(text)
    assert isinstance(source, Evaluated)
    assert len(source.expression.evaluate(Names(params={"n": 1}))) == 35_000
    with pytest.raises(ExpressionError, match="limit"):
        compile_expression("1" + " " * 200_000)
    assert time.thread_time() - started < 10
