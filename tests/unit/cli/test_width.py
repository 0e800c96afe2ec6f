import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.width import cells, clean, cut, pad


def test_wide_characters_take_two_cells_and_marks_none() -> None:
    assert cells("abc") == 3
    assert cells("外部API呼出") == 11
    assert cells("e\u0301") == 1
    assert cells("한글") == 4


def test_joined_emoji_count_as_one_sign_of_two_cells() -> None:
    assert cells("👩\u200d👩\u200d👧") == 2
    assert cells("👍🏽") == 2
    assert cells("✔\ufe0f") == 2


def test_control_and_bidi_characters_are_spelled_out() -> None:
    assert clean("a\x1b]0;title\x07b") == "a\\x1b]0;title\\x07b"
    assert clean("one\ntwo\tthree\r") == "one\\ntwo\\tthree\\r"
    assert clean("\u202eevil\u2066") == "\\u202eevil\\u2066"
    assert clean("\x9b31m") == "\\x9b31m"
    assert clean("\ud800") == "\\ud800"
    assert clean("a\u2028b") == "a\\u2028b"


def test_ordinary_text_of_any_script_is_left_alone() -> None:
    for text in ("plain", "請求書作成", "مرحبا", "naïve", "👩\u200d👧"):
        assert clean(text) == text


def test_a_cut_never_splits_a_wide_character() -> None:
    assert cut("日本語", 4) == "日…"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 6) == "日本語"
    assert cut("abcdef", 4, ellipsis="...") == "a..."
    assert cut("abcdef", 0) == ""


def test_padding_counts_cells() -> None:
    assert pad("日本", 6) == "日本  "
    assert pad("日本", 6, right=True) == "  日本"
    assert pad("toolong", 3) == "toolong"


@given(st.text(), st.integers(0, 60))
def test_a_cut_text_always_fits(text: str, width: int) -> None:
    assert cells(cut(clean(text), width)) <= width


@given(st.text())
def test_cleaned_text_holds_nothing_that_moves_the_cursor(text: str) -> None:
    kept = {unicodedata.category(character) for character in clean(text)}
    assert not kept & {"Cc", "Cs", "Zl", "Zp"}
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(clean(text))


@given(st.text(), st.text())
def test_width_of_two_texts_is_never_more_than_that_of_each(first: str, second: str) -> None:
    assert cells(first + second) <= cells(first) + cells(second) + 1
