"""Durations as people write them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.policy import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (1.5, 1.5),
        ("0s", 0.0),
        ("250ms", 0.25),
        ("5s", 5.0),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("1d", 86_400.0),
        (".5s", 0.5),
        (" 5s ", 5.0),
    ],
)
def test_numbers_are_seconds_and_texts_have_a_unit(written: Any, seconds: Any) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [
        True, False, None, [], {}, b"5s", "", "5", "s", "5 s", "5sec", "1h30m", "-5s", "+5s",
        "1e3s", "infs", "nan", "\uff15s", "5S", -1, -0.001, math.nan, math.inf, -math.inf, "367d",
        "9" * 5000 + "s", 10**400, 40_000_000,
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_is_allowed(written: Any) -> None:
    with pytest.raises(ValueError, match=r"'250ms'|longest duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (1, "1s"), (60, "1m"), (90, "90s"), (7200, "2h"), (86_400, "1d")],
)
def test_the_shortest_text_is_chosen(seconds: Any, text: Any) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=366 * 86_400.0).filter(lambda x: x == 0 or x > 1e-9))
def test_a_formatted_duration_reads_back_as_the_same_time(seconds: Any) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-9)


@given(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.booleans())
def test_any_input_gives_bounded_seconds_or_a_value_error(written: Any) -> None:
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - most texts are refused, some are not
    else:
        assert 0 <= seconds <= 366 * 86_400
