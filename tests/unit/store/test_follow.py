"""Following a file tells every span once, when it has ended, however looks and writes meet."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model import Logged, RunId, Span, SpanId, SpanType, new_run_id
from tailrace.model.journal import AnyRecord
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.store.access import Access
from tailrace.store.follow import SpanFollower
from tailrace.store.foreign import ForeignWriter
from tailrace.store.segments.seal import seal

Appends = Callable[..., list[list[AnyRecord]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "runs.db")) as opened:
        opened.open_journal(new_run_id()).close()
        yield opened


def told(follower: SpanFollower) -> list[str]:
    return [span.name for growth in follower.look() for span in growth.ended]


def elsewhere(trace: int, number: int, *, end: int | None, **changes: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": RunId(f"{trace:032x}"),
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": None,
        "name": f"op {number}",
        "type": SpanType.FOREIGN,
        "start_ns": 1_000 + number,
        "end_ns": end,
        "resource": {"service.name": "shop"},
    }
    return Span(**known | changes)


def path_of(store: SqliteStore) -> Path:
    return Path(store.writer.path)


@settings(
    max_examples=times(25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    length=st.integers(1, 30),
    looks=st.sets(st.integers(0, 40)),
    flushes=st.sets(st.integers(0, 40)),
)
def test_each_span_of_a_run_is_told_once_and_children_come_before_their_parents(
    store: SqliteStore, chain: Appends, length: int, looks: set[int], flushes: set[int]
) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    found: list[Span] = []
    with closing(SpanFollower(path_of(store))) as follower:
        follower.look()
        for number, records in enumerate(chain(run_id, length)):
            journal.append(records)
            if number in flushes:
                journal.flush()
            if number in looks:
                found += [span for growth in follower.look() for span in growth.ended]
        journal.close()
        found += [span for growth in follower.look() for span in growth.ended]
        assert follower.look() == []
    with closing(SqliteTraceReader(path_of(store))) as reader:
        spans = {span.span_id: span for span in reader.trace(run_id).spans}
    assert Counter(span.span_id for span in found) == Counter([*spans])
    assert all(span.end_ns == spans[span.span_id].end_ns for span in found)
    order = {span.span_id: place for place, span in enumerate(found)}
    assert all(
        span.parent_id not in order or order[span.span_id] < order[span.parent_id] for span in found
    )


def test_a_span_is_told_while_its_run_goes_on(store: SqliteStore, chain: Appends) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, 3)
    with closing(SpanFollower(path_of(store))) as follower:
        assert told(follower) == []
        journal.append(appends[0])
        assert told(follower) == []
        journal.append(appends[1])
        assert told(follower) == ["attempt n0", "node n0"]
        assert told(follower) == []
        journal.close()


def test_what_has_ended_before_is_told_only_since_a_time(
    store: SqliteStore, chain: Appends
) -> None:
    for at in (1_000, 9_000):
        run_id = new_run_id()
        journal = store.open_journal(run_id)
        for records in chain(run_id, 1, at=at):
            journal.append(records)
        journal.close()
    with closing(SpanFollower(path_of(store))) as follower:
        assert told(follower) == []
    with closing(SpanFollower(path_of(store), since_ns=5_000)) as follower:
        assert told(follower) == ["attempt n0", "node n0", "run chain"]


def test_of_a_run_that_goes_on_only_what_ends_from_now_on_is_told(
    store: SqliteStore, chain: Appends
) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, 3)
    journal.append(appends[0])
    journal.append(appends[1])
    with closing(SpanFollower(path_of(store))) as follower:
        assert told(follower) == []
        journal.append(appends[2])
        assert told(follower) == ["attempt n1", "node n1"]
        journal.flush()
        assert told(follower) == []
        journal.append(appends[3])
        assert told(follower) == ["attempt n2", "node n2", "run chain"]
        journal.close()


def test_events_come_with_their_span_wherever_they_stand(
    store: SqliteStore, chain: Appends
) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, 1)
    with closing(SpanFollower(path_of(store))) as follower:
        follower.look()
        journal.append(appends[0])
        journal.append([Logged(3, 1_001, "log", {"message": "one"})])
        journal.flush()
        follower.look()
        journal.append([Logged(3, 1_002, "log", {"message": "two"})])
        journal.append(appends[1])
        spans = {span.name: span for growth in follower.look() for span in growth.ended}
        journal.close()
    said = [event.attributes["message"] for event in spans["attempt n0"].events]
    assert said == ["one", "two"]


def test_a_run_whose_process_is_killed_is_told_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    code = (
        "import sys; from tailrace import Flow, task\n"
        "def wait():\n    print('there', flush=True); sys.stdin.read()\n"
        f"Flow('waits', task(wait)).run(db={str(path)!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    with closing(SpanFollower(path)) as follower:
        assert told(follower) == []
        process.kill()
        process.communicate()
        (growth,) = follower.look()
        assert growth.flow == "waits"
        assert {span.name for span in growth.ended} == {"run waits", "node wait", "attempt wait"}
        assert {span.message for span in growth.ended} == {"interrupted"}
        SqliteStore(path).close()
        assert follower.look() == []


def test_a_run_that_is_deleted_is_not_told_any_more(store: SqliteStore, chain: Appends) -> None:
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, 2)
    with closing(SpanFollower(path_of(store))) as follower:
        follower.look()
        journal.append(appends[0])
        follower.look()
        Access(path_of(store)).write(lambda writer: writer.db.execute("DELETE FROM run"))
        assert told(follower) == []
    journal.abandon()


def test_spans_from_elsewhere_are_told_once_when_they_have_ended(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(ForeignWriter(path)) as writer:
        writer.write([elsewhere(1, 1, end=2_000), elsewhere(2, 1, end=None)])
        with closing(SpanFollower(path)) as follower:
            assert told(follower) == []
            writer.write([elsewhere(3, 1, end=2_000), elsewhere(3, 2, end=None)])
            assert told(follower) == ["op 1"]
            seal(path, everything=True)
            assert told(follower) == []
            writer.write([elsewhere(3, 2, end=2_500), elsewhere(3, 1, end=2_000)])
            assert told(follower) == ["op 2"]
            late = 9_000_000_000_000_000_000
            writer.write([elsewhere(1, 7, end=late), elsewhere(1, 8, end=1_500)])
            assert told(follower) == ["op 7"]


def test_many_traces_from_elsewhere_are_told_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(ForeignWriter(path)) as writer:
        writer.write([elsewhere(1, 1, end=2_000)])
        with closing(SpanFollower(path)) as follower:
            follower.look()
            writer.write([elsewhere(number, 1, end=2_000) for number in range(2, 1_302)])
            seal(path, everything=True)
            looks = [len(told(follower))]
            while follower.is_behind:
                looks.append(len(told(follower)))
    assert len(looks) > 2
    assert sum(looks) == 1_300
