"""What the stream promises where the older one failed."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest

from tailrace.errors import DefinitionError, PolicyValidationError, StoreError
from tailrace.events import current_attempt, stream_metrics
from tailrace.events.attempts import StreamChanges
from tailrace.events.event_json import to_json
from tailrace.events.stream import ResilientEventStream
from tailrace.model import Event
from tailrace.model.event import EventFilter, EventStatus
from tailrace.model.failure import FailureFilter
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog


class Flaky:
    """Fails as often as it has errors, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.calls = 0
        self._errors = errors

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= len(self._errors):
            raise self._errors[self.calls - 1]
        return {"calls": self.calls}


class BrokenLog(SqliteEventLog):
    """Cannot write for a while."""

    refuses = 0

    def commit(self, changes: StreamChanges) -> list[Event]:
        if type(self).refuses > 0:
            type(self).refuses -= 1
            raise StoreError("the disk is full", code="TR504")
        return super().commit(changes)

    def append(self, events: Sequence[Event]) -> list[Event]:
        return self.commit(StreamChanges(events=tuple(events)))


def given(function: Callable[[], Any]) -> Any:
    return function()


def bodies(log: SqliteEventLog) -> list[dict[str, Any]]:
    return [to_json(event) for event in log.events(EventFilter(), limit=100, oldest_first=True)]


def statuses(log: SqliteEventLog) -> list[str]:
    return [event["status"] for event in bodies(log)]


def test_that_an_action_begins_is_durable_before_it_runs(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    """A process that was killed inside of an action left no trace."""
    seen: list[tuple[str, str]] = []

    def action() -> None:
        (event,) = log.events(EventFilter())
        (attempt,) = log.attempts(event.event_id)
        seen.append((event.status, attempt.state))

    stream.emit_with_retry("action", "svc", action)
    assert seen == [("pending", "running")]
    assert statuses(log) == ["pending", "success"]


def test_the_next_attempt_is_durable_before_the_wait(
    stream: ResilientEventStream, log: SqliteEventLog, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed while it waited lost its task."""
    seen: list[tuple[str, str, int]] = []
    sleep = clock.sleep

    def look(seconds: float) -> None:
        newest = log.events(EventFilter())[0]
        key = newest.body["run"]["task_key"]
        waiting = log.attempts(key)[-1]
        assert waiting.next_retry_ns is not None
        assert abs(waiting.next_retry_ns - clock.now - seconds * 1e9) < 1e6
        seen.append((newest.status, waiting.state, waiting.attempt))
        sleep(seconds)

    monkeypatch.setattr(clock, "sleep", look)
    stream.emit_with_retry("action", "svc", Flaky(ConnectionError(), ConnectionError()))
    assert seen == [("retrying", "waiting", 2), ("retrying", "waiting", 3)]


def test_a_log_that_fails_after_the_action_never_runs_it_again(
    database: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The older program ran a finished action twice."""
    log = BrokenLog(database)
    stream = ResilientEventStream(log, clock=clock)
    action = Flaky()

    def act() -> dict[str, Any]:
        BrokenLog.refuses = 1
        return action()

    with caplog.at_level(logging.ERROR, "tailrace.events"):
        emitted = stream.emit_with_retry("action", "svc", act)
    assert action.calls == 1
    assert (emitted.is_success, emitted.is_durable, emitted.result) == (True, False, {"calls": 1})
    assert stream.unwritten == 1
    assert "could not be written" in caplog.text
    stream.emit("note", "svc")
    assert stream.unwritten == 0
    assert [event["status"] for event in bodies(log)] == ["pending", "success", "success"]
    assert log.event(emitted).type == "action"
    log.close()


def test_nothing_runs_when_its_beginning_cannot_be_written(database: Any, clock: Any) -> None:
    """The older program raised after the action had run."""
    log = BrokenLog(database)
    stream = ResilientEventStream(log, clock=clock)
    action = Flaky()
    BrokenLog.refuses = 1
    with pytest.raises(StoreError, match="disk is full"):
        stream.emit_with_retry("action", "svc", action)
    assert action.calls == 0
    assert stream.emit_with_retry("action", "svc", action).is_success
    log.close()


def test_flush_says_that_the_log_still_cannot_be_written(database: Any, clock: Any) -> None:
    log = BrokenLog(database)
    stream = ResilientEventStream(log, clock=clock)

    def act() -> None:
        BrokenLog.refuses = 2

    stream.emit_with_retry("action", "svc", act)
    with pytest.raises(StoreError, match="disk is full"):
        stream.flush()
    stream.flush()
    assert stream.unwritten == 0
    log.close()


def test_a_result_that_is_no_json_is_a_permanent_failure_of_an_action_that_is_done(
    stream: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters
) -> None:
    """Done once, recorded as failed, without a word that it was done."""
    calls: list[int] = []

    def act() -> Any:
        calls.append(1)
        return {"handle": object()}

    emitted = stream.emit_with_retry("action", "svc", act)
    assert len(calls) == 1
    event = to_json(log.event(emitted))
    assert event["status"] == "failed"
    assert event["error_info"]["category"] == "permanent"
    assert event["error_info"]["class"] == "serialization"
    assert event["error_info"]["context"]["side_effects"] == "done"
    assert "$.handle is an object" in event["error_info"]["message"]
    (letter,) = letters.letters(FailureFilter())
    assert (letter.reason, letter.class_) == ("permanent", "serialization")
    assert emitted.result["handle"]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (functools.partial, "Flaky"),
        (lambda action: lambda: dict(action()), "<lambda>"),
        (lambda action: action, "Flaky"),
        (lambda action: action.__call__, "__call__"),
    ],
)
def test_any_callable_keeps_its_name_and_its_error(
    make: Callable[[Flaky], Callable[[], Any]],
    name: str,
    stream: ResilientEventStream,
    log: SqliteEventLog,
) -> None:
    """``functools.partial`` made an AttributeError of a TimeoutError, and no event."""
    action = make(Flaky(TimeoutError("the original"), TimeoutError("the original")))
    emitted = stream.emit_with_retry("action", "svc", action, max_retries=1)
    event = to_json(log.event(emitted))
    assert event["data"]["attempted_action"] == name
    assert event["error_info"]["type"] == "TimeoutError"
    assert event["error_info"]["message"] == "the original"


def test_a_timeout_really_ends_the_attempt(log: SqliteEventLog) -> None:
    """A timeout of 0.1 s let an action of a second succeed."""
    stream = ResilientEventStream(log)
    release = threading.Event()
    emitted = stream.emit_with_retry(
        "action", "svc", lambda: release.wait(60), timeout_seconds=0.1, max_retries=0
    )
    release.set()
    error = to_json(log.event(emitted))["error_info"]
    assert (error["category"], error["class"]) == ("transient", "timeout")
    assert error["context"]["abandoned_thread"].startswith("tailrace-event-")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), CancelledError()])
def test_what_must_not_be_swallowed_is_recorded_and_goes_on(
    error: BaseException, stream: ResilientEventStream, log: SqliteEventLog, clock: Any
) -> None:
    """No event at all."""
    with pytest.raises(type(error)):
        stream.emit_with_retry("action", "svc", Flaky(error, error))
    assert statuses(log) == ["pending", "failed"]
    event = bodies(log)[-1]
    assert event["error_info"]["class"] == "cancelled"
    assert event["error_info"]["category"] == "unknown"
    assert log.attempts(event["run"]["task_key"])[-1].state == "cancelled"
    assert clock.slept == []


def test_an_interrupt_while_waiting_is_recorded_and_goes_on(
    stream: ResilientEventStream,
    log: SqliteEventLog,
    clock: Any,
    letters: SqliteDeadLetters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stream.emit_with_retry("action", "svc", Flaky(ConnectionError()))
    assert statuses(log) == ["pending", "retrying", "failed"]
    assert log.work().cancelled == 1
    assert letters.letters(FailureFilter()) == []


def test_attempts_share_a_key_a_chain_a_trail_and_their_recovery_actions(
    stream: ResilientEventStream, log: SqliteEventLog, failures: SqliteFailureLog
) -> None:
    """Transient, then permanent: an empty end, and attempts that knew nothing of each other."""
    parent = stream.emit("intent", "user")
    action = Flaky(ConnectionError("away"), ValueError("bad input"))
    emitted = stream.emit_with_retry("action", "svc", action, parent_event_id=parent)
    first, pending, retrying, failed = bodies(log)
    assert first["event_id"] == pending["parent_event_id"]
    assert pending["event_id"] == retrying["parent_event_id"]
    assert retrying["event_id"] == failed["parent_event_id"]
    keys = {event["run"]["task_key"] for event in (pending, retrying, failed)}
    assert keys == {emitted.task_key} == {pending["event_id"]}
    assert failed["retry_info"]["count"] == 1
    assert failed["retry_info"]["attempt"] == 2
    (recovery,) = failed["recovery_actions"]
    assert recovery["action"] == "exponential_backoff"
    assert recovery["event_id"] == retrying["event_id"]
    assert [hop["directive"] for hop in failed["failure"]["trail"]] == ["retry", "stop"]
    retried, final = reversed(failures.failures(FailureFilter()))
    assert (retried.disposition, final.disposition) == ("retried", "terminal")
    for snapshot in (retried, final):
        assert len(snapshot.trail) == snapshot.stage.hops() == 1
        assert snapshot.origin.path[:-1] == snapshot.path
    assert failed["failure"]["failure_id"] == final.failure_id


def test_counts_are_exact_beyond_100(stream: ResilientEventStream, log: SqliteEventLog) -> None:
    """250 failed and 250 dead letters were shown as 100 and 100, and no candidate."""
    error = {"category": "transient"}
    for _ in range(150):
        stream.emit("a", "x", status=EventStatus.DEAD_LETTER, error_info=error)
    for _ in range(100):
        stream.emit("a", "x", status="dead_letter", error_info={"category": "permanent"})
    for _ in range(250):
        stream.emit("a", "x", status="failed", error_info={"category": "permanent"})
    counts = log.counts(EventFilter())
    assert counts.by_status == {"dead_letter": 250, "failed": 250}
    assert log.counts(EventFilter(status="dead_letter", category="transient")).total == 150
    candidates = EventFilter(status="dead_letter", category="transient")
    assert log.events(candidates, limit=1, oldest_first=True)[0].seq == 1


def test_an_empty_stream_has_numbers_too(log: SqliteEventLog, stream: ResilientEventStream) -> None:
    """The older program raised a KeyError."""
    assert log.owner
    found = stream_metrics(log)
    assert (found["total_events"], found["success_rate"]) == (0, None)
    assert found["work"]["total"] == 0


def test_one_task_with_three_retries_is_one_success(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    """A success rate of 25 %, and 6 retries."""
    emitted = stream.emit_with_retry("a", "x", Flaky(*[ConnectionError()] * 3))
    assert emitted.attempts == 4
    found = stream_metrics(log)
    assert found["success_rate"] == 100.0
    assert found["work"]["retries"] == 3
    assert found["work"]["healed"] == 1


@pytest.mark.parametrize("schedule", ["exponential", "fibonacci"])
def test_attempt_5000_is_reached_without_an_exception(
    schedule: str, log: SqliteEventLog, clock: Any, stream: ResilientEventStream
) -> None:
    """OverflowError at attempt 1,024, RecursionError at 1,500."""
    policy = RetryPolicy(max_attempts=6000, schedule=schedule, max_delay=300)
    record = stream._judge(ConnectionError())
    delays = [
        policy.decide(
            record.category, attempt=attempt, elapsed=0.0, rng=stream._rng, retryable=True
        )
        for attempt in (1, 1024, 1500, 5000)
    ]
    assert all(0 <= decision.delay <= 300 for decision in delays)  # type: ignore[union-attr]


def test_the_retry_after_of_the_other_side_is_obeyed_and_named(
    stream: ResilientEventStream, log: SqliteEventLog, clock: Any
) -> None:
    error = ConnectionError("busy")
    error.retry_after = 12  # type: ignore[attr-defined]
    error.retryable = True  # type: ignore[attr-defined]
    stream.emit_with_retry("a", "x", Flaky(error))
    retrying = bodies(log)[1]
    assert sum(clock.slept) >= 12
    assert retrying["retry_info"]["source"] == "retry_after"
    assert retrying["retry_info"]["backoff_seconds"] >= 12


def test_an_exhausted_action_leaves_a_letter_that_can_be_run_again(
    stream: ResilientEventStream, log: SqliteEventLog, letters: SqliteDeadLetters
) -> None:
    action = functools.partial(float, "not a number")
    assert stream.emit_with_retry("a", "x", action).status == "failed"
    emitted = stream.emit_with_retry("a", "svc", Flaky(*[TimeoutError("t")] * 3), max_retries=2)
    event = to_json(log.event(emitted))
    assert (event["status"], event["importance"]) == ("dead_letter", 5)
    assert event["tags"] == ["error", "max_retries_exceeded"]
    assert event["retry_info"]["exhausted"] is True
    exhausted, permanent = letters.letters(FailureFilter())
    assert (exhausted.kind, exhausted.reason, exhausted.attempts_total) == (
        "event",
        "max_attempts",
        3,
    )
    assert exhausted.failure_id == event["failure"]["failure_id"]
    assert exhausted.task_key == emitted.task_key
    assert exhausted.source["event_id"] == str(emitted)
    assert exhausted.code_version == "sha256:0123456789abcdef"
    assert exhausted.policy["max_attempts"] == 2
    assert permanent.reason == "permanent"


def test_a_policy_without_letters_leaves_a_failed_event(
    stream: ResilientEventStream, letters: SqliteDeadLetters
) -> None:
    policy = RetryPolicy(max_attempts=1, on_exhausted="fail")
    emitted = stream.emit_with_retry("a", "x", Flaky(*[OSError()] * 2), policy=policy)
    assert emitted.status == "failed"
    assert letters.letters(FailureFilter()) == []


def test_an_override_of_the_classification_goes_before_all_rules(
    log: SqliteEventLog, clock: Any
) -> None:
    class Mine(ResilientEventStream):
        def _classify_error(self, error: Exception) -> Any:
            if isinstance(error, ValueError):
                return "transient"
            return super()._classify_error(error)

    stream = Mine(log, clock=clock)
    assert stream.emit_with_retry("a", "x", Flaky(ValueError("soon better"))).is_success
    assert bodies(log)[1]["error_info"]["rule"] == "override:_classify_error"
    assert stream.emit_with_retry("a", "x", Flaky(KeyError("k"))).status == "failed"


def test_an_override_that_raises_leaves_it_to_the_rules(
    log: SqliteEventLog, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Mine(ResilientEventStream):
        def _classify_error(self, error: Exception) -> Any:
            raise ZeroDivisionError from error

    with caplog.at_level(logging.WARNING, "tailrace.events"):
        assert Mine(log, clock=clock).emit_with_retry("a", "x", Flaky(OSError())).is_success
    assert "the rules decide" in caplog.text


def test_a_budget_that_is_used_up_ends_the_retries(
    log: SqliteEventLog, clock: Any, letters: SqliteDeadLetters
) -> None:
    policy = RetryPolicy(max_attempts=50, base=0, jitter="none", budget="api.of.this.test")
    stream = ResilientEventStream(log, clock=clock)
    errors = [ConnectionError()] * 60
    emitted = stream.emit_with_retry("a", "x", Flaky(*errors), policy=policy)
    assert 10 <= emitted.attempts <= 12  # one a second, for ten seconds
    (letter,) = letters.letters(FailureFilter())
    assert letter.reason == "budget_exceeded"
    assert bodies(log)[1]["retry_info"]["budget_key"] == "api.of.this.test"


def test_an_action_knows_its_attempt(stream: ResilientEventStream) -> None:
    seen: list[Any] = []

    def act() -> None:
        seen.append(current_attempt())
        if len(seen) < 2:
            raise ConnectionError

    emitted = stream.emit_with_retry("a", "x", act, timeout_seconds=5)
    assert [(one.task_key, one.attempt, one.generation) for one in seen] == [
        (emitted.task_key, 1, 0),
        (emitted.task_key, 2, 0),
    ]
    assert current_attempt() is None


def test_the_observer_is_told_of_what_is_final_and_cannot_disturb(
    log: SqliteEventLog, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, str]] = []

    def observe(snapshot: Any, error: BaseException | None) -> None:
        seen.append((snapshot.given_up, type(error).__name__))
        raise ZeroDivisionError

    stream = ResilientEventStream(log, clock=clock, on_failure=observe)
    with caplog.at_level(logging.WARNING, "tailrace.events"):
        stream.emit_with_retry("a", "x", Flaky(OSError()))
        stream.emit_with_retry("a", "x", Flaky(ValueError()))
    assert seen == [("permanent", "ValueError")]


def test_the_retry_is_announced(
    stream: ResilientEventStream, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tailrace.events"):
        stream.emit_with_retry("a", "x", Flaky(ConnectionError()))
    assert "attempt failed; retry 1/3 in " in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "no function"}, "'no function', which cannot be called"),
        ({"timeout_seconds": -1}, "timeout_seconds is -1"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_runs(
    arguments: dict[str, Any], message: str, stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    with pytest.raises(DefinitionError, match=message) as seen:
        stream.emit_with_retry("a", "x", **{"action": Flaky(), **arguments})
    assert seen.value.code == "TR338"
    stream.emit("a", "x")
    assert len(bodies(log)) == 1


def test_a_coroutine_function_is_referred_to_the_variant_that_awaits(
    stream: ResilientEventStream,
) -> None:
    async def later() -> None: ...

    with pytest.raises(DefinitionError, match="later gives a coroutine") as seen:
        stream.emit_with_retry("a", "x", later)
    assert "aemit_with_retry" in seen.value.hint


def test_a_function_that_returns_a_coroutine_fails_and_says_so(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    async def later() -> None: ...

    emitted = stream.emit_with_retry("a", "x", functools.partial(given, later))
    assert "only aemit_with_retry awaits" in to_json(log.event(emitted))["error_info"]["message"]


def test_fewer_than_no_retries_are_refused(stream: ResilientEventStream) -> None:
    with pytest.raises(PolicyValidationError, match="max_attempts"):
        stream.emit_with_retry("a", "x", Flaky(), max_retries=-1)


def test_threads_emit_at_once_without_loss(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    def work() -> None:
        for number in range(100):
            stream.emit("a", threading.current_thread().name, {"n": number})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = log.events(EventFilter(), limit=1000, oldest_first=True)
    assert len({event.event_id for event in found}) == 800
    for name in {event.source for event in found}:
        numbers = [event.body["data"]["n"] for event in found if event.source == name]
        assert numbers == list(range(100))


def test_the_newest_events_come_first(stream: ResilientEventStream, log: SqliteEventLog) -> None:
    """The older query with a limit gave the oldest."""
    for number in range(20):
        stream.emit("a", "x", {"n": number})
    newest = log.events(EventFilter(), limit=5)
    assert [event.body["data"]["n"] for event in newest] == [19, 18, 17, 16, 15]
