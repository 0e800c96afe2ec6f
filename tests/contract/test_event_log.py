"""What every event log keeps and gives back, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace.errors import NotFound, StoreError
from tailrace.events.attempts import NOBODY, AttemptRow, StreamChanges, StreamLog
from tailrace.events.event_json import new_event
from tailrace.events.ids import new_event_id
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import Event, EventCounts, EventFilter
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store.event_log import SqliteEventLog
from tailrace.store.event_rows import where
from tailrace.store.sqlite import shared_store
from tailrace.testing.event_log import MemoryEventLog

SECOND = 1_000_000_000
START = 1_795_244_123 * SECOND


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StreamLog]:
    if request.param == "memory":
        yield MemoryEventLog()
        return
    path = tmp_path / "tailrace.db"
    log = SqliteEventLog(path)
    assert log.owner
    yield log
    log.close()
    shared_store(path).close()


def make(number: int = 0, *, status: str = "success", **keys: Any) -> Event:
    ts_ns = START + number * SECOND
    return new_event(
        event_id=new_event_id(ts_ns),
        ts_ns=ts_ns,
        type=keys.pop("type", "action"),
        source=keys.pop("source", "svc"),
        status=status,
        keys=keys,
    )


def attempt(number: int = 1, **fields: Any) -> AttemptRow:
    row = AttemptRow(
        attempt_id=f"A-{number}",
        task_key="work",
        generation=0,
        attempt=number,
        state="running",
        started_ns=START,
    )
    return msgspec.structs.replace(row, **fields)


def test_events_come_back_whole_in_the_order_they_were_given(log: StreamLog) -> None:
    given = [make(number, data={"n": number}, tags=["t"], colour="red") for number in range(3)]
    stored = log.append(given[:1]) + log.append(given[1:])
    assert [event.seq for event in stored] == [1, 2, 3]
    found = log.events(EventFilter(), oldest_first=True)
    assert [event.event_id for event in found] == [event.event_id for event in given]
    assert found[1].body["data"] == {"n": 1}
    assert found[1].body["colour"] == "red"
    assert found[1].body["importance"] == 3
    assert "seq" not in found[1].body
    assert [event.seq for event in log.events(EventFilter(), limit=2)] == [3, 2]


def test_nothing_given_is_nothing_stored(log: StreamLog) -> None:
    assert log.append([]) == []
    assert log.counts(EventFilter()) == EventCounts()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(), 6),
        (EventFilter(status="failed"), 2),
        (EventFilter(type="note"), 1),
        (EventFilter(source="other"), 1),
        (EventFilter(category="transient"), 1),
        (EventFilter(fingerprint="v1:aaaa"), 1),
        (EventFilter(fingerprint="bbbb"), 1),
        (EventFilter(fingerprint="c"), 0),
        (EventFilter(tag="red"), 1),
        (EventFilter(tag="re"), 0),
        (EventFilter(parent="EVT-parent"), 1),
        (EventFilter(since_ns=START + 4 * SECOND), 2),
        (EventFilter(until_ns=START + 4 * SECOND), 4),
        (EventFilter(after_seq=4), 2),
        (EventFilter(status="failed", type="action", source="svc"), 2),
        (EventFilter(status="' OR 1 --"), 0),
    ],
)
def test_filters_match_all_that_is_given(
    wanted: EventFilter, expected: int, log: StreamLog
) -> None:
    error = {"category": "transient", "fp_site": "v1:aaaa11", "fp_template": "v1:bbbb22"}
    log.append(
        [
            make(0, type="note"),
            make(1, source="other"),
            make(2, status="failed", error_info=error),
            make(3, status="failed", error_info={"category": "permanent"}),
            make(4, tags=["red"]),
            make(5, parent_event_id="EVT-parent"),
        ]
    )
    assert len(log.events(wanted)) == expected
    assert log.counts(wanted).total == expected


def test_counts_are_exact(log: StreamLog) -> None:
    error = {"category": "transient"}
    log.append([make(number, status="failed", error_info=error) for number in range(250)])
    log.append([make(number, type="note") for number in range(250, 400)])
    assert log.counts(EventFilter()) == EventCounts(
        total=400,
        by_status={"failed": 250, "success": 150},
        by_category={"transient": 250},
        by_type={"action": 250, "note": 150},
        first_ns=START,
        last_ns=START + 399 * SECOND,
    )


def test_an_event_is_found_by_its_id_its_beginning_and_the_id_it_had(log: StreamLog) -> None:
    one, other = make(0), msgspec.structs.replace(make(100), legacy_id="EVT-20251105-155511-ec6a17")
    log.append([one, other])
    for prefix in (one.event_id, one.event_id[4:], one.event_id[:-3]):
        assert log.event(prefix).event_id == one.event_id
    assert log.event("EVT-20251105-155511-ec6a17").event_id == other.event_id
    for prefix in ("EVT-2026", "EVT-1999", ""):
        with pytest.raises(NotFound) as seen:
            log.event(prefix)
        assert seen.value.code == "TR513"


def test_a_purge_takes_what_is_old_and_leaves_what_is_young_or_open(log: StreamLog) -> None:
    run = {"attempt_id": "A-1", "task_key": "work"}
    log.commit(StreamChanges(events=(make(0, status="pending", run=run),), attempts=(attempt(),)))
    log.append(
        [make(number, status="failed" if number % 2 else "success") for number in range(1, 9)]
    )
    assert log.purge(until_ns=START + 5 * SECOND, statuses=["success"]) == 2
    assert log.purge(until_ns=START + 5 * SECOND) == 2
    assert log.purge(until_ns=START + 99 * SECOND) == 3
    left = log.events(EventFilter(), oldest_first=True)
    assert [event.status for event in left] == ["pending", "success"]
    assert log.append([make(10)])[0].seq == 10


def test_attempts_move_on_and_are_counted_by_work(log: StreamLog) -> None:
    log.commit(StreamChanges(attempts=(attempt(1),)))
    assert log.work().open == 1
    ended = attempt(1, state="failed", ended_ns=START)
    waiting = attempt(2, state="waiting", next_retry_ns=START + SECOND, body={"n": 1})
    log.commit(StreamChanges(attempts=(ended, waiting)))
    first, second = log.attempts("work")
    assert (first.owner, second.owner) == ("", log.owner)
    assert second.body == {"n": 1}
    log.commit(StreamChanges(attempts=(attempt(2, state="succeeded", ended_ns=START + SECOND),)))
    work = log.work()
    assert (work.total, work.succeeded, work.retries, work.healed) == (1, 1, 1, 1)
    assert work.success_rate == 1.0
    assert log.attempts("other") == []


def test_open_attempts_without_an_owner_are_taken_over_once(log: StreamLog) -> None:
    log.commit(StreamChanges(attempts=(attempt(1), attempt(2, owner=NOBODY, state="waiting"))))
    (row,) = log.take_lost()
    assert row.attempt == 2
    assert log.take_lost() == []


def test_a_whole_stream_runs_on_it(log: StreamLog) -> None:
    stream = ResilientEventStream(log, policy=RetryPolicy(max_attempts=2, base=0))
    calls: list[int] = []

    def act() -> dict[str, int]:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError
        return {"calls": len(calls)}

    assert stream.emit_with_retry("action", "svc", act).attempts == 3
    assert log.counts(EventFilter()).by_status == {"pending": 1, "retrying": 2, "success": 1}


def test_a_commit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.db"
    log = SqliteEventLog(path)
    event = make(0)
    log.append([event])
    with pytest.raises(StoreError):
        log.commit(StreamChanges(events=(make(1), event), attempts=(attempt(),)))
    assert log.counts(EventFilter()).total == 1
    assert log.attempts("work") == []
    log.close()
    shared_store(path).close()


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.db"
    log = SqliteEventLog(path)
    log.append([make(0)])
    writer = shared_store(path).writer
    with writer.lock, writer.transaction():
        assert log.counts(EventFilter()).total == 1
    log.close()
    shared_store(path).close()


@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(status="failed"),
        EventFilter(status="dead_letter", category="transient"),
        EventFilter(parent="EVT-x"),
    ],
)
def test_queries_of_failing_events_and_of_children_stay_on_an_index(
    wanted: EventFilter, tmp_path: Path
) -> None:
    path = tmp_path / "tailrace.db"
    log = SqliteEventLog(path)
    log.append([make(0)])
    condition, params = where(wanted)
    query = f"EXPLAIN QUERY PLAN SELECT body FROM stream_event WHERE {condition} ORDER BY seq DESC"  # noqa: S608 - placeholders only
    with log._file.reading() as db:
        plan = [row[3] for row in db.execute(query, params).fetchall()]
    assert len(plan) == 1, plan
    assert plan[0].startswith("SEARCH stream_event USING INDEX"), plan
    log.close()
    shared_store(path).close()
