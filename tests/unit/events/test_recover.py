"""Work of processes that died: none of it vanishes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tailrace.events.action import Action, describe_action
from tailrace.events.attempts import NOBODY, AttemptRow, StreamChanges
from tailrace.events.event_json import to_json
from tailrace.events.order import Order
from tailrace.events.recover import Recovery
from tailrace.events.stream import ResilientEventStream
from tailrace.events.work import Work, new_work
from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.policy.retry import RetryAfter
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store import SqliteDeadLetters
from tailrace.store.event_log import SqliteEventLog

POLICY = RetryPolicy(max_attempts=3, base=0.001, jitter="none")
NOW = 1_795_244_123_000_000_000


class Jobs(ModuleType):
    """A module with a function."""

    calls: list[Any]
    fails: int = 0


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    module = Jobs("jobs_of_a_dead_process")
    module.calls = []

    def work(number: int = 0) -> dict[str, int]:
        module.calls.append(number)
        if len(module.calls) <= module.fails:
            raise ConnectionError
        return {"n": number}

    work.__module__, work.__qualname__ = module.__name__, "work"
    module.work = work  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def live(log: SqliteEventLog, letters: SqliteDeadLetters) -> ResilientEventStream:
    return ResilientEventStream(log, letters=letters, policy=POLICY, worker_id="w2", rng=Random(1))


def work_of(action: Action, policy: RetryPolicy = POLICY) -> Work:
    order = Order(
        event_type="action", source="svc", action=action, policy=policy, tags=("t",), worker_id="w1"
    )
    return new_work(order)


def orphaned(row: AttemptRow) -> AttemptRow:
    return msgspec.structs.replace(row, owner=NOBODY) if row.ended_ns is None else row


def leave(log: SqliteEventLog, changes: StreamChanges) -> None:
    """Write what a process wrote before it died."""
    rows = tuple(orphaned(row) for row in changes.attempts)
    log.commit(msgspec.structs.replace(changes, attempts=rows))


def left_running(log: SqliteEventLog, action: Action, policy: RetryPolicy = POLICY) -> Work:
    work = work_of(action, policy)
    leave(log, work.begin(NOW))
    return work


def left_waiting(
    log: SqliteEventLog, stream: ResilientEventStream, action: Action, delay: float
) -> Work:
    work = work_of(action)
    leave(log, work.begin(NOW))
    record = stream._judge(ConnectionError("away"))
    leave(log, work.fail(record, RetryAfter(delay), stream.clock.now_ns()).changes)
    return work


def bodies(log: SqliteEventLog) -> list[dict[str, Any]]:
    return [to_json(event) for event in log.events(EventFilter(), limit=99, oldest_first=True)]


def test_what_was_running_becomes_visible_and_runs_again(
    live: ResilientEventStream, log: SqliteEventLog, jobs: Jobs
) -> None:
    from functools import partial

    work = left_running(log, describe_action(partial(jobs.work, number=7)))
    assert live.recover(wait=True) == Recovery(resumed=1)
    assert jobs.calls == [7]
    assert [event["status"] for event in bodies(log)] == ["pending", "retrying", "success"]
    lost = bodies(log)[1]
    assert lost["error_info"]["class"] == "worker_lost"
    assert lost["parent_event_id"] == bodies(log)[0]["event_id"]
    assert [(row.attempt, row.state) for row in log.attempts(work.key)] == [
        (1, "lost"),
        (2, "succeeded"),
    ]


def test_what_waited_keeps_its_time_and_its_number(
    live: ResilientEventStream, log: SqliteEventLog, jobs: Jobs
) -> None:
    work = left_waiting(log, live, describe_action(jobs.work), delay=0.2)
    due = log.attempts(work.key)[-1].next_retry_ns
    assert due is not None
    live.recover(wait=True)
    assert [event["status"] for event in bodies(log)] == [
        "pending",
        "retrying",
        "retrying",
        "success",
    ]
    taken_over = bodies(log)[2]
    assert (
        taken_over["retry_info"]["next_retry_at"] == bodies(log)[1]["retry_info"]["next_retry_at"]
    )
    assert taken_over["recovery_actions"][-1]["action"] == "worker_lost"
    last = log.attempts(work.key)[-1]
    assert last.attempt == 2
    assert 0 <= last.started_ns - due < 1_000_000_000


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_what_no_other_process_can_call_becomes_a_dead_letter(
    state: str, live: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters
) -> None:
    action = describe_action(lambda: None)
    if state == "running":
        left_running(log, action)
    else:
        left_waiting(log, live, action, delay=30)
    assert live.recover(wait=True) == Recovery(given_up=1)
    (letter,) = letters.letters(FailureFilter())
    assert (letter.reason, letter.class_, letter.task_ref) == ("worker_lost", "worker_lost", "")
    assert bodies(log)[-1]["status"] == "dead_letter"
    assert log.work().open == 0


def test_a_module_that_is_gone_is_named(
    live: ResilientEventStream, log: SqliteEventLog, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_running(log, describe_action(jobs.work))
    monkeypatch.delitem(sys.modules, jobs.__name__)
    live.recover(wait=True)
    trail = bodies(log)[-1]["failure"]["trail"]
    assert "jobs_of_a_dead_process" in trail[-1]["reason"]


def test_work_that_takes_three_processes_down_is_poison(
    live: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    work = left_running(log, describe_action(jobs.work), RetryPolicy(max_attempts=99, base=0))
    for _ in range(3):
        rows = [orphaned(row) for row in log.attempts(work.key)]
        running = [msgspec.structs.replace(row, state="running") for row in rows[-1:]]
        log.commit(StreamChanges(attempts=tuple(running)))
        (row,) = log.take_lost()
        live._take_over(row)
    (letter,) = letters.letters(FailureFilter())
    assert (letter.reason, letter.crash_attempts) == ("poison", 3)
    assert jobs.calls == []


def test_what_fails_after_it_was_taken_over_goes_on_with_its_retries(
    live: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    jobs.fails = 99
    work = left_running(log, describe_action(jobs.work))
    live.recover(wait=True)
    assert len(jobs.calls) == 3
    assert [row.state for row in log.attempts(work.key)] == ["lost", "failed", "failed", "failed"]
    assert letters.letters(FailureFilter())[0].attempts_total == 4


def test_what_lives_is_left_alone(
    live: ResilientEventStream, log: SqliteEventLog, jobs: Jobs
) -> None:
    log.commit(work_of(describe_action(jobs.work)).begin(NOW))
    assert live.recover(wait=True) == Recovery()


def test_a_stream_that_is_closed_leaves_what_it_has_not_started_to_others(
    live: ResilientEventStream, log: SqliteEventLog, jobs: Jobs
) -> None:
    left_waiting(log, live, describe_action(jobs.work), delay=3600)
    assert live.recover().resumed == 1
    live.close()
    other = ResilientEventStream(log, policy=POLICY)
    assert other.recover().resumed == 1
    other.close()
    assert jobs.calls == []


def test_a_redrive_whose_process_died_leaves_no_second_letter(
    live: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters, jobs: Jobs
) -> None:
    work = work_of(describe_action(jobs.work))
    work.letter = "DL-01ARZ3NDEKTSV4RRFFQ69G5FAV"
    leave(log, work.begin(NOW))
    assert live.recover(wait=True) == Recovery(given_up=1)
    assert letters.letters(FailureFilter()) == []
    assert jobs.calls == []


def test_each_lost_attempt_has_one_taker(log: SqliteEventLog, database: Path, jobs: Jobs) -> None:
    left_running(log, describe_action(jobs.work))
    assert len(log.take_lost()) == 1
    other = SqliteEventLog(database)
    assert other.take_lost() == []
    other.close()
