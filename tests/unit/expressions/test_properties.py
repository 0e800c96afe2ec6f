"""What holds for every text and every tree."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.errors import ExpressionError
from tailrace.flows.expressions import canonical, compile_expression, compile_value
from tailrace.flows.expressions.expression import compiled
from tailrace.flows.expressions.parse import parse
from tailrace.flows.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Conditional,
    Field,
    Filtered,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Not,
    Or,
    Sign,
    Tree,
)
from tailrace.flows.expressions.unparse import unparse
from tailrace.model import Evaluated

PARAMS: dict[str, Any] = {"a": 1, "b": "two", "c": [1, 2, {"d": None}], "e f": {"g": 0.5}}


class Params:
    """A scope with params and nothing else."""

    def lookup(self, name: str) -> Any:
        return {"params": PARAMS}[name]

    def names(self) -> Iterable[str]:
        return ("params",)


texts = st.text(max_size=8)
literals: st.SearchStrategy[Tree] = st.builds(
    Literal,
    st.none()
    | st.booleans()
    | st.integers(0, 10**30)
    | st.floats(0, allow_nan=False, allow_infinity=False)
    | texts,
)
paths: st.SearchStrategy[Tree] = st.builds(Name, st.sampled_from(["params", "nope", "日本"])) | (
    st.builds(Field, st.just(Name("params")), st.sampled_from(["a", "b", "c", "e f", "zzz", "1"]))
)
comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])


def _larger(parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    items = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Field, parts, texts.filter(bool)),
        st.builds(Index, parts, parts.filter(lambda tree: not _is_text(tree))),
        st.builds(ListOf, items),
        st.builds(
            MapOf,
            st.dictionaries(texts, parts, max_size=3).map(lambda pairs: tuple(pairs.items())),
        ),
        st.builds(Sign, st.sampled_from("+-"), parts),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/", "//", "%"]), parts, parts),
        st.builds(
            Comparison,
            parts,
            st.lists(st.tuples(comparisons, parts), min_size=1, max_size=3).map(tuple),
        ),
        st.builds(Not, parts),
        st.builds(And, parts, parts),
        st.builds(Or, parts, parts),
        st.builds(Conditional, parts, parts, parts),
        st.builds(Filtered, parts, st.sampled_from(["length", "first", "join"]), st.just(())),
        st.builds(Filtered, parts, st.just("default"), st.tuples(parts)),
    )


def _is_text(tree: Tree) -> bool:
    return isinstance(tree, Literal) and isinstance(tree.value, str)


trees: st.SearchStrategy[Tree] = st.recursive(literals | paths, _larger, max_leaves=12)


def _outcome(evaluate: Any) -> tuple[str, str]:
    """Return the value as text, or the code of the error."""
    try:
        return "value", repr(evaluate(Params()))
    except ExpressionError as error:
        return "error", error.code


def _refusal(read: Callable[[str], Any], text: str) -> ExpressionError | None:
    try:
        read(text)
    except ExpressionError as error:
        return error
    return None


@pytest.mark.no_cover
@given(trees)
def test_what_is_written_parses_to_the_same_tree(tree: Tree) -> None:
    text = unparse(tree)

    assert parse(text) == tree
    assert unparse(parse(text)) == text
    assert canonical(f"  {{{{ {text} }}}} ") == text


@pytest.mark.no_cover
@given(trees)
def test_the_canonical_text_evaluates_as_the_tree_does(tree: Tree) -> None:
    direct = compiled(tree)
    again = compile_expression(direct.source)

    assert _outcome(again.evaluate) == _outcome(direct.evaluate)
    assert again.references == direct.references


@given(st.text() | st.text("()[]{}.,|+-*/%<>=!\"'\\$ ab1_\n", max_size=60))
@settings(max_examples=times(200))
def test_no_text_crashes_the_parser(text: str) -> None:
    for read in (compile_expression, compile_value, canonical):
        error = _refusal(read, text)
        assert error is None or error.code.startswith("TR14")
        assert error is None or -1 <= error.column <= len(text)


@pytest.mark.no_cover
@given(
    st.lists(
        st.sampled_from(
            ["params", ".", "a", "c", "[", "]", "(", ")", "0", "-1", "'x'", "+", "*", "|", "join",
             "length", "default", "or", "and", "not", "in", "if", "else", "==", "<", ",", "{{",
             "}}", "{", "}", ":", "$ctx", "$", " "]
        ),
        max_size=14,
    )
)  # fmt: skip
@settings(max_examples=times(200))
def test_no_sequence_of_tokens_crashes_parser_or_evaluation(tokens: list[str]) -> None:
    text = " ".join(tokens)
    for raw in (text, f"{{{{ {text} }}}}", f"a {{{{ {text} }}}} b"):
        try:
            source = compile_value(raw)
        except ExpressionError:
            continue
        if isinstance(source, Evaluated):
            _outcome(source.expression.evaluate)


@given(trees)
def test_a_canonical_text_stays_as_it_is_with_a_root_for_bare_names(tree: Tree) -> None:
    once = canonical(unparse(tree), bare_root="params")

    assert canonical(once, bare_root="params") == once


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(json_values.filter(lambda value: not isinstance(value, str)))
def test_values_without_templates_are_constants(value: Any) -> None:
    source = compile_value(value)

    assert isinstance(source, Evaluated) or "$$" in repr(value) or source.value == value


@pytest.mark.no_cover
@pytest.mark.parametrize("depth", [10, 60, 5_000])
@pytest.mark.parametrize(
    "piece", ["(", "[", "-", "not ", "1 + ", "a.", "{{", '{"a": ', "a if b else "]
)
def test_depth_never_exhausts_the_stack(piece: str, depth: int) -> None:
    text = piece * depth + "a"
    for read in (compile_expression, compile_value, canonical):
        error = _refusal(read, text)
        assert error is None or error.code in {"TR140", "TR147", "TR148"}
