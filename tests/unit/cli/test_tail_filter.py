"""Which spans ``trace tail --traceql`` shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.cli import tail_filter
from tailrace.cli.tail_filter import TailFilter
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanType
from tailrace.store import SqliteSearch
from tailrace.store.follow import SpanFollower
from tailrace.store.follow_runs import Growth, LateSpans
from tailrace.store.foreign import ForeignWriter
from tailrace.traceql.budget import OutOfBudget

TRACE = RunId("5b8efff798038103d269b633813fc60c")


class Clock:
    """A clock that goes on by ``pace`` whenever somebody looks at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pace = 0.0

    def monotonic(self) -> float:
        self.now += self.pace
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tail_filter, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def span(number: int) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=SpanId(f"{number:016x}"),
        parent_id=None if number == 1 else SpanId(f"{1:016x}"),
        name=f"op {number}",
        type=SpanType.FOREIGN,
        start_ns=1_700_000_000_000_000_000 + number,
        end_ns=1_700_000_000_000_100_000 + number,
    )


def grow(db: Path, *numbers: int) -> Growth:
    spans = [span(number) for number in numbers]
    with closing(ForeignWriter(db)) as writer:
        writer.write(spans)
    return Growth(trace_id=TRACE, flow="shop", ended=spans)


def names(spans: list[Span]) -> list[str]:
    return [one.name for one in spans]


def test_a_span_is_shown_once_and_late_when_the_rest_comes_late(tmp_path: Path) -> None:
    db = tmp_path / "runs.db"
    chosen = TailFilter('{ name = "op 1" } > { }', db)
    assert names(chosen.choose(grow(db, 2))) == []
    assert names(chosen.choose(grow(db, 1))) == ["op 2"]
    assert names(chosen.choose(grow(db, 3))) == ["op 3"]
    assert [*chosen.late()] == []


def test_a_trace_that_takes_long_waits_for_its_turn_and_then_shows_all(
    tmp_path: Path, clock: Clock
) -> None:
    db = tmp_path / "runs.db"
    chosen = TailFilter("{ } !> { }", db)
    clock.pace = 10.0
    assert names(chosen.choose(grow(db, 2))) == ["op 2"]
    clock.pace = 0.0
    assert names(chosen.choose(grow(db, 3))) == []
    assert [*chosen.late()] == []
    clock.now += 60.0
    assert [(flow, one.name) for flow, one in chosen.late()] == [("shop", "op 3")]
    assert [*chosen.late()] == []


def test_the_end_of_a_trace_does_not_wait(tmp_path: Path, clock: Clock) -> None:
    db = tmp_path / "runs.db"
    chosen = TailFilter("{ } ~ { }", db)
    clock.pace = 10.0
    chosen.choose(grow(db, 2))
    clock.pace = 0.0
    assert names(chosen.choose(grow(db, 3))) == []
    assert names(chosen.choose(grow(db, 1))) == ["op 2", "op 3"]


def test_a_trace_that_is_too_large_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def give_up(*_: object, **__: object) -> None:
        raise OutOfBudget

    db = tmp_path / "runs.db"
    chosen = TailFilter("{ } !> { }", db)
    monkeypatch.setattr(SqliteSearch, "matching", give_up)
    monkeypatch.setattr(tail_filter, "say", told.append)
    assert chosen.choose(grow(db, 1)) == []
    assert chosen.choose(grow(db, 2)) == []
    assert len(told) == 1
    assert f"trace {TRACE} is too large" in told[0]


def test_of_a_large_trace_only_what_is_shown_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_filter, "_MANY", 3)
    db = tmp_path / "runs.db"
    grow(db, *range(1, 9))
    made: list[str] = []
    with closing(SpanFollower(db, since_ns=1, lazily=True)) as follower:
        (growth,) = follower.look()
        assert isinstance(growth.ended, LateSpans)
        make = growth.ended._make

        def counted(row: Any) -> Span:
            made.append(row.name)
            return make(row)

        monkeypatch.setattr(growth.ended, "_make", counted)
        for query, expected in {
            '{ name =~ "op [36]" }': ["op 3", "op 6"],
            '{ name = "op 1" } > { name = "op 7" }': ["op 7"],
        }.items():
            made.clear()
            chosen = TailFilter(query, db)
            assert names(chosen.choose(growth)) == expected
            assert made == expected
            chosen.close()
        assert names([*tail_filter.every(growth)]) == [f"op {number}" for number in range(1, 9)]
