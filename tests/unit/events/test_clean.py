"""Anything becomes JSON, nothing is lost silently, no secret is kept."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.events.clean import MOST_BYTES, clean, clean_text, cut, encode_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ANYTHING = st.recursive(
    PLAIN | st.binary() | st.dates() | st.decimals() | st.uuids() | st.sets(st.integers()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=8,
)


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


class Colour(Enum):
    RED = "red"


@given(ANYTHING)
def test_whatever_is_cleaned_every_reader_of_json_takes(value: Any) -> None:
    json.loads(encode_json(clean(value).value), parse_constant=pytest.fail)


@pytest.mark.no_cover
@given(ANYTHING)
def test_cleaning_twice_changes_nothing_more(value: Any) -> None:
    once = clean(value)
    again = clean(once.value)
    assert again.value == once.value
    assert set(again.flags.values()) <= {"redacted"}


@pytest.mark.parametrize(
    ("value", "kept", "flag"),
    [
        (math.nan, None, "nan"),
        (-math.inf, None, "nan"),
        (b"\xff\x00", "/wA=", "base64"),
        ("\ud800x", "\\ud800x", "surrogate"),
        (2**80, str(2**80), "int"),
        (date(2026, 11, 21), "2026-11-21", "text"),
        (Decimal("1.10"), "1.10", "text"),
        (UUID(int=1), str(UUID(int=1)), "text"),
        (Path("a/b"), "a/b", "text"),
    ],
)
def test_what_json_has_no_word_for_is_replaced_and_flagged(
    value: Any, kept: Any, flag: str
) -> None:
    found = clean({"a": [value]})
    assert found.value == {"a": [kept]}
    assert found.flags == {"$.a[0]": flag}


def test_enums_tuples_and_subclasses_become_what_they_hold() -> None:
    class Name(str):
        __slots__ = ()

    assert clean((Colour.RED, Name("x"), True)) == (["red", "x", True], {})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "an object"),
        ({1, 2}, "a set"),
        (Broken(), "a Broken"),
        (len, "a builtin_function_or_method"),
    ],
)
def test_what_has_no_json_form_is_named_with_its_place(value: Any, name: str) -> None:
    assert clean({"result": {"deep": value}}).lost.startswith(f"$.result.deep is {name}")
    assert clean(value).lost.startswith(f"it is {name}")


def test_a_value_that_holds_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    assert "nested too deep" in clean(value).lost


def test_secrets_are_hidden_by_name_and_inside_of_texts() -> None:
    found = clean({"password": "hunter2", "url": "postgres://u:hunter2@h/db", "n": 1})
    assert found.value == {
        "password": "[redacted]",
        "url": "postgres://u:[redacted]@h/db",
        "n": 1,
    }
    assert set(found.flags) == {"$.password", "$.url"}


def test_secrets_are_hidden_in_long_texts_too() -> None:
    text = "word " * 3000 + "token=abcdefghijklmnop " + "word " * 3000
    shown = clean_text(text)
    assert "abcdefghijklmnop" not in shown
    assert len(shown) > 29_000


def test_a_key_that_is_no_text_becomes_one() -> None:
    found = clean({1: "a", (2, 3): "b", Broken(): "c"})
    assert list(found.value) == ["1", "(2, 3)", "(Broken)"]


def test_what_is_too_long_is_cut_with_its_size_and_digest() -> None:
    value = {"text": "x" * MOST_BYTES}
    kept = cut(value)
    assert kept["cut"] is True
    assert kept["size"] == len(encode_json(value))
    assert kept["digest"].startswith("sha256:")
    assert len(kept["preview"]) == 1024
    assert cut({"text": "x"}) == {"text": "x"}
