"""A program of the older kind moves over by changing its import."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace.compat import resonant
from tailrace.compat.resonant import ErrorCategory, EventStatus, ResilientEventStream
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store.sqlite import shared_store

AT_ONCE = RetryPolicy(max_attempts=3, base=0, jitter="none")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRACE_DB", raising=False)
    resonant.get_stream.cache_clear()
    resonant.get_resilient_stream.cache_clear()
    yield tmp_path
    for path in tmp_path.rglob("*.db"):
        shared_store(path).close()


def test_the_demo_gives_the_counts_and_statuses_it_always_gave() -> None:
    stream = ResilientEventStream(policy=AT_ONCE)
    calls = {"count": 0}

    def successful_action() -> dict[str, Any]:
        return {"result": "success", "data": {"value": 42}}

    def transient_error_action() -> dict[str, Any]:
        calls["count"] += 1
        if calls["count"] < 3:
            raise ConnectionError("Network temporarily unavailable")
        return {"result": "recovered", "attempts": calls["count"]}

    def permanent_error_action() -> None:
        raise ValueError("Invalid input parameters")

    def always_fails_action() -> None:
        raise TimeoutError("Service unavailable")

    ids = [
        stream.emit_with_retry(event_type="action", source="demo", action=action, **options)
        for action, options in (
            (successful_action, {"tags": ["demo", "success"]}),
            (transient_error_action, {"tags": ["demo", "transient_error"]}),
            (permanent_error_action, {"tags": ["demo", "permanent_error"]}),
            (always_fails_action, {"tags": ["demo", "dead_letter"], "max_retries": 2}),
        )
    ]
    found = {event["event_id"]: event for event in stream.query(limit=1000)}
    assert [found[event_id]["status"] for event_id in ids] == [
        "success",
        "success",
        "failed",
        "dead_letter",
    ]
    told = [event["status"] for event in reversed(found.values()) if event["status"] != "pending"]
    assert told == [
        *["success", "retrying", "retrying", "success", "failed"],
        *["retrying", "retrying", "dead_letter"],
    ]
    assert len(stream.get_failed_events()) == 1
    assert len(stream.get_dead_letter_queue()) == 1
    assert len(stream.get_retry_candidates()) == 1
    (dead,) = stream.get_dead_letter_queue()
    assert dead["error_info"]["message"] == "Service unavailable"
    assert dead["retry_info"]["count"] == 2
    assert len(found[ids[1]]["recovery_actions"]) == 2


def test_the_examples_of_the_older_manual_run_with_only_the_import_changed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = textwrap.dedent(
        """
        from tailrace.compat.resonant import get_stream
        stream = get_stream()
        event_id = stream.emit(event_type="action", source="service", data={"key": "value"})
        """
    )
    after = textwrap.dedent(
        """
        from tailrace.compat.resonant import get_resilient_stream
        stream = get_resilient_stream()
        event_id = stream.emit(event_type="action", source="service", data={"key": "value"})
        def my_action():
            return {"result": "success"}
        event_id = stream.emit_with_retry(
            event_type="action", source="my_service", action=my_action,
            max_retries=3, tags=["important"],
        )
        """
    )
    for script in (before, after):
        exec(script, {})  # noqa: S102 - the text above
    events = resonant.get_resilient_stream().query()
    assert [event["status"] for event in events] == ["success", "pending", "success", "pending"]
    assert (project / ".tailrace" / "tailrace.db").is_file()


def test_arguments_may_be_given_by_position_as_ever() -> None:
    stream = ResilientEventStream(policy=AT_ONCE)
    parent = stream.emit("intent", "user", {"a": 1}, None, "HYP-1", ["t"], 5, EventStatus.PENDING)
    child = stream.emit_with_retry("action", "svc", dict, parent, "HYP-1", ["t"], 4, 0, 5.0)
    chain = stream.trace_causality(child)
    assert [event["event_type"] for event in chain] == ["intent", "action", "action"]
    assert chain[0]["status"] == "pending"
    assert [event["importance"] for event in chain] == [5, 4, 4]
    assert len(stream.get_timeline("HYP-1")) == 3
    assert stream.trace_causality("EVT-unknown") == []


def test_the_oldest_stream_tells_its_status_from_what_it_is_given() -> None:
    stream = resonant.get_stream()
    stream.emit("a", "x", {})
    stream.emit("a", "x", {}, None, None, None, 12, 0)
    stream.emit("a", "x", {}, exit_code=2)
    stream.emit("a", "x", {}, error_info={"message": "m"})
    stream.emit("a", "x", {}, retry_info={"count": 1})
    statuses = [event["status"] for event in reversed(stream.query())]
    assert statuses == ["pending", "success", "failed", "failed", "retrying"]
    assert stream.query(limit=2)[0]["status"] == "retrying"


def test_queries_give_the_newest_that_match() -> None:
    stream = ResilientEventStream(policy=AT_ONCE)
    for number in range(10):
        stream.emit("a", "x" if number % 2 else "y", {"n": number}, tags=[f"t{number}"])
    assert [event["data"]["n"] for event in stream.query(limit=2)] == [9, 8]
    assert [event["data"]["n"] for event in stream.query(source="y", limit=2)] == [8, 6]
    assert [event["data"]["n"] for event in stream.query(tags=["t1", "t3"])] == [3, 1]
    later = datetime.now(UTC) + timedelta(hours=1)
    assert stream.query(since=later) == []


def test_a_subclass_classifies_its_own_errors() -> None:
    class Mine(ResilientEventStream):
        def _classify_error(self, error: Exception) -> ErrorCategory:
            if isinstance(error, ZeroDivisionError):
                return ErrorCategory.TRANSIENT
            return ErrorCategory(super()._classify_error(error).value)

    calls: list[int] = []

    def act() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError

    stream = Mine(policy=AT_ONCE)
    assert stream.emit_with_retry("a", "x", act).is_success
    assert len(calls) == 2


def test_a_stream_of_its_own_file_keeps_its_database_beside_it(project: Path) -> None:
    stream = ResilientEventStream(
        project / "logs" / "event_stream.jsonl",
        project / "logs" / "dead_letter_queue.jsonl",
        max_retries=1,
    )
    stream.emit("a", "x", {})
    assert (project / "logs" / "event_stream.db").is_file()
    assert stream.policy.max_attempts == 1


def test_the_waits_grow_as_they_did() -> None:
    stream = ResilientEventStream(retry_backoff_base=2.0)
    record = stream._judge(ConnectionError())
    for attempt, middle in ((1, 2), (2, 4), (3, 8)):
        decision = stream.policy.decide(
            record.category, attempt=attempt, elapsed=0, rng=stream._rng
        )
        assert 0.8 * middle <= decision.delay <= 1.2 * middle  # type: ignore[union-attr]


def test_an_older_strategy_says_how_long_to_wait() -> None:
    class Constant:
        def get_backoff_with_jitter(self, attempt: int) -> float:
            return 5.0 + attempt

    stream = ResilientEventStream(retry_strategy=Constant())
    decision = stream.policy.decide("transient", attempt=1, elapsed=0, rng=stream._rng)
    assert decision.delay == 5.0  # type: ignore[union-attr]


def test_module_functions_use_the_projects_stream() -> None:
    event_id = resonant.emit("a", "x", {"n": 1}, tags=["t"])
    done = resonant.emit_with_retry("a", "x", dict, max_retries=0)
    assert done.is_success
    assert json.dumps(resonant.get_resilient_stream().trace_causality(event_id))
