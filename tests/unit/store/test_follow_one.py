"""Following one run tells all of it, however looks and writes meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model import Logged, RunId, Span, new_run_id
from tailrace.model.journal import AnyRecord
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.store.follow_one import OneRunFollower, Said, Step

Appends = Callable[..., list[list[AnyRecord]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "runs.db")) as opened:
        opened.open_journal(new_run_id()).close()
        yield opened


def follower_of(store: SqliteStore, run_id: RunId) -> OneRunFollower:
    return OneRunFollower(Path(store.writer.path), run_id)


def chatty(appends: list[list[AnyRecord]]) -> list[list[AnyRecord]]:
    """Let the first attempt say something after each append."""
    return [
        [*records, *([Logged(3, 5_000 + at, "stdout", {"message": str(at)})] if at else [])]
        if at + 1 < len(appends)
        else records
        for at, records in enumerate(appends)
    ]


@settings(
    max_examples=times(25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    length=st.integers(1, 20),
    looks=st.sets(st.integers(0, 25)),
    flushes=st.sets(st.integers(0, 25)),
)
def test_spans_are_told_as_they_stand_at_last_and_each_event_once(
    store: SqliteStore, chain: Appends, length: int, looks: set[int], flushes: set[int]
) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    spans: dict[str, Span] = {}
    said: list[Said] = []
    ends: list[bool] = []

    def take(step: Step) -> None:
        for span in step.spans:
            assert span.span_id not in spans or spans[span.span_id].end_ns is None
            spans[span.span_id] = span
        said.extend(step.said)
        ends.append(step.is_over)

    with closing(follower_of(store, run_id)) as follower:
        for number, records in enumerate(chatty(chain(run_id, length))):
            journal.append(records)
            if number in flushes:
                journal.flush()
            if number in looks:
                take(follower.look())
        journal.close()
        take(follower.look())
        assert any(ends)
        assert follower.look() == Step()
    with closing(SqliteTraceReader(Path(store.writer.path))) as reader:
        whole = reader.trace(run_id, events=True)
    assert {one.span_id: one.end_ns for one in whole.spans} == {
        place: span.end_ns for place, span in spans.items()
    }
    assert {one.span_id: one.attributes for one in whole.spans} == {
        place: span.attributes for place, span in spans.items()
    }
    assert [one.number for one in said] == [*range(len(said))]
    kept = [event for span in whole.spans for event in span.events]
    assert sorted(one.event.time_ns for one in said) == sorted(one.time_ns for one in kept)


def test_a_run_that_is_still_to_come_is_told_from_its_beginning(
    store: SqliteStore, chain: Appends
) -> None:
    run_id = new_run_id()
    with closing(follower_of(store, run_id)) as follower:
        assert follower.look() == Step()
        journal = store.open_journal(run_id)
        journal.append(chain(run_id, 2)[0])
        first = follower.look()
        assert [span.name for span in first.spans] == ["run chain", "node n0", "attempt n0"]
        assert not first.is_over
        assert follower.look() == Step()
        journal.close()
