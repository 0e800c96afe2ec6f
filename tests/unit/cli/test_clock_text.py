import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.cli.clock_text import duration, utc_time
from tailrace.model.when import parse_instant

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND = 1_000_000_000
MS = 1_000_000


def epoch_ns(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "-"),
        (0, "0.00 ms"),
        (412_000, "0.41 ms"),
        (999_600, "1.0 ms"),
        (4_120_000, "4.1 ms"),
        (9_960_000, "10 ms"),
        (412_000_000, "412 ms"),
        (999_600_000, "1.00 s"),
        (6_520_000_000, "6.52 s"),
        (59_999_000_000, "1 m 00 s"),
        (724 * SECOND, "12 m 04 s"),
        (7_500 * SECOND, "2 h 05 m"),
    ],
)
def test_durations_read_well_at_every_size(ns: int | None, text: str) -> None:
    assert duration(ns) == text


def test_instants_in_utc_keep_their_nanoseconds() -> None:
    assert utc_time(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30s", 30), ("15m", 900), ("2h", 7_200), ("1.5h", 5_400), ("7d", 604_800), ("1w", 604_800)],
)
def test_an_age_counts_back_from_now(text: str, ago: float) -> None:
    assert parse_instant(text, now=NOW) == epoch_ns(NOW - timedelta(seconds=ago))


def test_a_date_is_the_moment_it_begins_or_has_passed() -> None:
    first = parse_instant("2026-11-20", now=NOW)
    passed = parse_instant("2026-11-20", now=NOW, end_of_day=True)
    assert passed == parse_instant("2026-11-21", now=NOW)
    assert passed > first


def test_a_time_with_a_zone_is_exact() -> None:
    moment = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    assert parse_instant("2026-11-20T08:00:00+00:00", now=NOW) == epoch_ns(moment)
    assert parse_instant("2026-11-20T08:00:00Z", now=NOW) == epoch_ns(moment)


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "2026-13-01", "-2h", "2h ago"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text, now=NOW)


@given(st.one_of(st.integers(0, 10**16), st.integers(0, 10_000).map(lambda s: s * SECOND - 1)))
@example(1_600 * MS)  # 1.60 s is no sixty
@example(59_995 * MS - 1)
@example(3_599_500 * MS)
def test_a_duration_never_shows_sixty_of_anything(ns: int) -> None:
    assert not re.search(r"(?<![\d.])60(\.0+)? [sm]\b", duration(ns))


@given(st.integers(0, 60 * SECOND))
@example(999_999)
@example(9_999_999)
@example(999_999_999)
def test_a_duration_below_a_minute_is_rounded_to_two_or_three_figures(ns: int) -> None:
    assert re.fullmatch(r"0\.\d\d ms|\d\.\d ms|\d{2,3} ms|\d\d?\.\d\d s|1 m 00 s", duration(ns))
