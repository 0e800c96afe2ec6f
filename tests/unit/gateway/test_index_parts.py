"""The parts of an index that need no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import QueryError
from tailrace.gateway.index.cursor import cursor_of, read_cursor
from tailrace.gateway.index.held import HeldNews
from tailrace.gateway.index.overlay import Overlay
from tailrace.gateway.index.reading import Clock
from tailrace.model.remote import Job, RunState
from tailrace.store.remote import Batch, Queued, Stands

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)


@given(st.lists(st.integers(0, 4 * 10**15), min_size=1))
def test_times_of_the_server_are_read_to_the_microsecond(instants: list[int]) -> None:
    clock = Clock()
    for micros in instants:
        moment = EPOCH + micros * MICRO
        text = f"{moment:%Y-%m-%dT%H:%M:%S}"
        assert clock.micros(f"{text}.{moment.microsecond:06d}789Z") == micros
        assert clock.micros(f"{text}Z") == micros - moment.microsecond


@pytest.mark.parametrize(
    ("fraction", "micros"), [(".5Z", 500_000), (".000001Z", 1), (".12345678Z", 123_456)]
)
def test_fractions_may_be_short(fraction: str, micros: int) -> None:
    assert Clock().micros(f"1970-01-01T00:00:01{fraction}") == 1_000_000 + micros


@given(st.integers(0, 10**17))
def test_a_cursor_comes_back(sequence: int) -> None:
    assert read_cursor(cursor_of(sequence)) == sequence


@given(st.text(max_size=30))
def test_any_other_text_is_no_cursor_or_one_of_ours(text: str) -> None:
    try:
        found = read_cursor(text)
    except QueryError:
        return
    assert found >= 0


def test_the_overlay_shows_the_newest_first_until_they_are_confirmed() -> None:
    overlay = Overlay()
    for name in "abc":
        overlay.add(Job(run_id=name, flow_name="f"))
    overlay.confirm(["b", "x"])

    assert [job.run_id for job in overlay.newest_first()] == ["c", "a"]


def stands(sequence: int, run_id: str, status: str) -> Stands:
    return Stands(sequence, 0, RunState(job=Job(run_id=run_id, flow_name="f"), status=status))


def test_news_of_a_run_wait_for_its_end_and_hold_the_position_back() -> None:
    held = HeldNews()
    claim, batch = stands(3, "a", "RUNNING"), Batch(4, "a", 1, b"")
    assert held.take([Queued(2, 0, Job(run_id="a", flow_name="f")), claim, batch]) == []
    assert held.before(9) == 2

    end, other = stands(7, "a", "COMPLETED"), stands(8, "b", "FAILED")
    assert held.take([end, other]) == [claim, batch, end, other]
    assert held.before(9) == 9


def test_news_of_a_run_that_goes_on_wait_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldNews()
    claim = stands(3, "a", "RUNNING")
    assert held.take([claim]) == []
    monkeypatch.setattr("tailrace.gateway.index.held._PATIENCE", 0.0)
    assert held.due() == []

    monkeypatch.setattr("tailrace.gateway.index.held._MOST", 0)
    assert held.due() == [claim]
    assert len(held) == 0
