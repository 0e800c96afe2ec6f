import datetime as dt
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.json_text import compact, pretty


@dataclass
class Point:
    x: int
    y: int


class Place(msgspec.Struct):
    name: str
    at: Point


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": (1, 2)}, '{"a": [1, 2]}'),
        ({1: "x", None: "y"}, '{"1": "x", "None": "y"}'),
        ({"b", "a"}, '["a", "b"]'),
        (math.nan, '"nan"'),
        (dt.date(2026, 11, 21), '"2026-11-21"'),
        (Path("a/b"), '"a/b"'),
        (Point(1, 2), '{"x": 1, "y": 2}'),
        (Place("a", Point(1, 2)), '{"name": "a", "at": {"x": 1, "y": 2}}'),
        ("請求書", '"請求書"'),
    ],
)
def test_values_that_json_lacks_get_their_nearest_form(value: Any, text: str) -> None:
    assert compact(value) == text


@pytest.mark.parametrize("sign", ["\x9b", "\x85", "\u061c", "\u2028", "\u202e", "\u2066"])
def test_what_a_terminal_or_a_reader_of_lines_would_obey_is_spelled_out(sign: str) -> None:
    value = {"message": f"時{sign}31m"}
    for text in (compact(value), pretty(value)):
        assert f"時\\u{ord(sign):04x}31m" in text
        assert json.loads(text) == value
    assert compact(value).splitlines() == [compact(value)]


def test_integers_beyond_what_python_prints_are_written_in_hex() -> None:
    assert compact(1 << 20_000) == json.dumps(hex(1 << 20_000))


def test_a_value_that_holds_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    assert compact(value).startswith("[[[")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_values_come_back_unchanged(value: Any) -> None:
    assert json.loads(pretty(value)) == value
