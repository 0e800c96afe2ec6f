"""Regular expressions mean the same in both matchers, and none takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import QueryError
from tailrace.traceql.automaton import Automaton, read
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.matcher import matcher, prefix
from tailrace.traceql.regex import compile_regex

atoms = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", r"\w", r"\s", "(?i:A)", "^", "$", r"\b", r"\B", "(?m:^)",
     "(?m:$)", r"\n", "(?-s:.)", r"\Qa\E", r"[[:upper:]]"]
)  # fmt: skip
marks = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{1,}"])
patterns = st.recursive(
    atoms,
    lambda inner: (
        st.builds(lambda a, b: a + b, inner, inner)
        | st.builds(lambda a, b: f"({a}|{b})", inner, inner)
        | st.builds(lambda a, mark: f"(?:{a}){mark}", inner, marks)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(patterns, st.text("abA \n", max_size=7))
def test_the_automaton_matches_what_re_matches(pattern: str, text: str) -> None:
    python = compile_regex(pattern).python
    assert Automaton(read(python)).matches(text, Budget()) == bool(re.fullmatch(python, text))


@pytest.mark.parametrize(
    "pattern",
    ["(a|a)*b", "(a*)*b", "(a|ab|b)*c", "(.*)(.*)(.*)(.*)(.*)x", "(a?){30}a{30}b", "(a+a+)+b",
     ".*a.*a.*a.*a.*a.*b"],
)  # fmt: skip
def test_a_pattern_that_tries_everything_ends(pattern: str) -> None:
    holds = matcher(compile_regex(pattern), Budget())
    assert not holds("a" * 20_000)


def test_a_long_text_is_matched() -> None:
    holds = matcher(compile_regex(".*foo.*(bar|baz)+.*"), Budget())
    assert holds("foo" * 20_000 + "bar")
    assert not holds("foo" * 20_000)


def test_many_characters_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.traceql.automaton._MOST_TRANSITIONS", 100)
    holds = matcher(compile_regex("(.|x)*y"), Budget())
    text = "".join(map(chr, range(0x4E00, 0x5200)))
    assert not holds(text)
    assert holds(text + "y")


@pytest.mark.parametrize(
    ("pattern", "begin"),
    [
        ("user-1.*", "user-1"), ("a", "a"), ("", ""), (".*", ""), ("ab?", "a"), ("a|b", ""),
        (r"a\.b[c]", "a.b"), ("(?i)abc", ""), ("(ab)c", ""), (r"\Qx[y\E+", "x["), ("^a", ""),
        (r"a\nb\x41", "a\nbA"),
    ],
)  # fmt: skip
def test_a_pattern_says_what_texts_begin_with(pattern: str, begin: str) -> None:
    assert prefix(compile_regex(pattern)) == begin


def test_matching_counts_against_the_budget() -> None:
    holds = matcher(compile_regex("(a|a)*b"), Budget(rows=1000))
    with pytest.raises(OutOfBudget):
        holds("a" * 2000)


@pytest.mark.no_cover
def test_a_pattern_that_is_too_large_is_an_error() -> None:
    holds = matcher(compile_regex("(" + "a?b{1000}" * 300 + "|x)*"), Budget())
    with pytest.raises(QueryError, match="too large"):
        holds("x" * 100)
