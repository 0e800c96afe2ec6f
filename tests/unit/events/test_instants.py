"""Ids that are unique and sort, instants that go out and come back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.events.ids import event_id_of, new_event_id
from tailrace.events.instants import local_text, parse_instant, utc_text

NS = 1_795_244_123_281_787_000
MICROSECONDS = st.integers(0, 4_000_000_000_000_000)


def test_an_id_has_its_second_and_80_random_bits() -> None:
    assert re.fullmatch(r"EVT-20261121-065523-[0-9a-hjkmnp-tv-z]{16}", new_event_id(NS))


@pytest.mark.no_cover
def test_100_000_ids_of_one_instant_are_distinct() -> None:
    """The older program made 92 duplicates."""
    assert len({new_event_id(NS) for _ in range(100_000)}) == 100_000


def test_an_imported_line_has_always_the_same_id() -> None:
    assert event_id_of(NS, b"a") == event_id_of(NS, b"a") != event_id_of(NS, b"b")


@given(MICROSECONDS)
def test_utc_text_is_read_back_exactly(microseconds: int) -> None:
    ns = microseconds * 1000
    assert parse_instant(utc_text(ns), None) == (ns, False)


@given(MICROSECONDS)
def test_local_text_is_read_back_exactly_outside_of_the_hour_that_is_twice(
    microseconds: int,
) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    ns = microseconds * 1000
    assert parse_instant(local_text(ns, zone), zone) == (ns, True)


def test_offsets_are_obeyed() -> None:
    expected = int(datetime(2025, 11, 6, 3, 34, 56, 789_000, UTC).timestamp() * 1000) * 1_000_000
    assert parse_instant("2025-11-06T12:34:56.789+09:00", None) == (expected, False)


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00+23:00x"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text, None)
