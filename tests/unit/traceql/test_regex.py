"""RE2's regular expressions: accepted exactly, and meaning what RE2 means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.traceql.regex import BadRegex, compile_regex


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(compile_regex(pattern).python, text) is not None


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", "", "a"),
        ("a", "a", "ab"),
        ("a|bc", "bc", "ac"),
        ("a|", "", "b"),
        (".*", "a\nb", None),
        ("(?-s).*", "ab", "a\nb"),
        ("(?i)AbC", "aBc", "abd"),
        ("(?i:a)b", "Ab", "AB"),
        ("a(?i)b|c", "C", "A"),
        ("((?i)a)b", "Ab", "AB"),
        (r"\d{3}", "123", "١٢٣"),
        (r"\w+", "a_1", "é"),
        (r"\S\D", "ab", "a1"),
        ("[[:alpha:]_]+", "a_", "1"),
        ("[^[:^digit:]]", "5", "a"),
        ("[]a]+", "]a", "b"),
        ("[a-]+", "a-", "b"),
        (r"[\d\-x]+", "1-x", "y"),
        (r"\x41\x{1F642}\101\n", "A🙂A\n", "A"),
        (r"\pL+", "aé漢", "1"),
        (r"\p{^Lu}\P{Nd}", "aa", "A1"),
        (r"\Qa.b\E+", "a.bb", "axb"),
        (r"^a$", "a", "a\n"),
        (r"(?m)a$\n^b", "a\nb", "ab"),
        (r"\Aa\z", "a", "a\n"),
        (r"a\b.*", "a b", "ab"),
        ("(?P<n>a)(?<m>b)", "ab", "a"),
        ("a*?b+?c??", "abc", "ac"),
        ("(?U)a+b", "aab", "b"),
        ("a{2,}", "aaa", "a"),
        ("a{,2}", "a{,2}", "a"),
        ("a{", "a{", "a"),
        (r"\.\_\-", "._-", "a"),
        (r"[^\x00-\x{10FFFF}]|a", "a", "b"),
    ],
)
def test_a_pattern_matches_what_re2_matches(pattern: str, yes: str, no: str | None) -> None:
    assert matches(pattern, yes)
    assert no is None or not matches(pattern, no)


@pytest.mark.parametrize(
    ("pattern", "word", "at"),
    [
        ("a(?=b)", "lookahead", 1),
        ("(?!a)", "lookahead", 0),
        ("(?<!a)", "lookbehind", 0),
        ("(?>a)", "atomic", 0),
        (r"(a)\1", "backreference", 3),
        ("(?P=n)", "backreference", 0),
        ("(?(1)a|b)", "condition", 0),
        ("(a", "never closed", 0),
        ("a)", "closes nothing", 1),
        ("[a", "never closed", 0),
        ("[b-a]", "backwards", 2),
        ("*a", "nothing stands before", 0),
        ("a|+", "nothing stands before", 2),
        ("a**", "repetition", 0),
        ("a{2}{3}", "repetition", 0),
        ("a{1001}", "repetition", 1),
        ("a{3,2}", "repetition", 1),
        ("(a{100}){100}", "repetitions", 8),
        (r"\Z", "RE2", 0),
        (r"\é", "RE2", 0),
        ("\\", "at the end", 0),
        (r"\p{Greek}", "general category", 0),
        ("[[:nope:]]", "no class", 1),
        ("(?z)", "begins no group", 0),
        ("(?P<n>a)(?P<n>b)", "two groups", 8),
        ("(" * 100 + ")" * 100, "brackets", 60),
        ("a" * 10_001, "limit", 0),
    ],
)
def test_what_re2_does_not_have_is_refused_where_it_stands(
    pattern: str, word: str, at: int
) -> None:
    with pytest.raises(BadRegex, match=re.escape(word)) as caught:
        compile_regex(pattern)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("pattern", "nested"),
    [("(a+)+b", True), ("((a|b)*c)*", True), ("(a+b)?c*", False), ("a*b*", False),
     ("(a{2,})*", True)],
)  # fmt: skip
def test_a_repetition_in_a_repetition_is_marked(pattern: str, nested: bool) -> None:
    assert compile_regex(pattern).nested is nested


@given(st.text(alphabet=r"ab()[]{}*+?|\.^$-,:=!<>pPQEdw1&s i", max_size=40))
def test_any_text_is_a_pattern_or_is_refused(pattern: str) -> None:
    written = refusal = None
    try:
        written = compile_regex(pattern)
    except BadRegex as error:
        refusal = error
    assert written is None or re.compile(written.python).groups == 0
    assert refusal is None or 0 <= refusal.at <= len(pattern)
