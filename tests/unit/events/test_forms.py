"""The ``with`` block and the decorator."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tailrace.events import current_attempt
from tailrace.events.action import describe_action, find_action
from tailrace.events.event_json import to_json
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog
from tailrace.store.event_log import SqliteEventLog


def events(log: SqliteEventLog) -> list[dict[str, Any]]:
    return [to_json(event) for event in log.events(EventFilter(), limit=99, oldest_first=True)]


def test_a_block_is_recorded_from_its_beginning_to_its_result(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    with stream.attempting("action", "svc", name="deploy", tags=["prod"]) as attempt:
        (pending,) = events(log)
        assert pending["status"] == "pending"
        current = current_attempt()
        assert current is not None
        assert current.task_key == attempt.task_key
        attempt.result = {"version": 3}
    assert current_attempt() is None
    done = events(log)[-1]
    assert (done["status"], done["data"], done["tags"]) == ("success", {"version": 3}, ["prod"])
    assert str(attempt.emitted) == done["event_id"]
    assert pending["data"] == {"attempted_action": "deploy"}


def test_what_a_block_raises_is_recorded_and_goes_on(
    stream: ResilientEventStream,
    log: SqliteEventLog,
    failures: SqliteFailureLog,
    letters: SqliteDeadLetters,
) -> None:
    with (
        pytest.raises(ConnectionError, match="away"),
        stream.attempting("action", "svc") as attempt,
    ):
        raise ConnectionError("away")
    assert [event["status"] for event in events(log)] == ["pending", "failed"]
    (failure,) = failures.failures(FailureFilter())
    assert attempt.emitted is not None
    assert attempt.emitted.failure is not None
    assert failure.failure_id == attempt.emitted.failure.failure_id
    assert letters.letters(FailureFilter()) == []


def test_a_block_can_stand_in_a_coroutine(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    async def main() -> None:
        async with stream.attempting("action", "svc") as attempt:
            attempt.result = {"ok": True}
        async with stream.attempting("action", "svc"):
            raise KeyError("gone")

    with pytest.raises(KeyError):
        asyncio.run(main())
    assert [event["status"] for event in events(log)] == ["pending", "success", "pending", "failed"]


def test_a_decorated_function_is_tried_again_and_returns_its_value(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    calls: list[tuple[int, int]] = []

    @stream.resilient("fetch", source="svc", max_retries=2)
    def add(first: int, second: int = 1) -> int:
        """Add."""
        calls.append((first, second))
        if len(calls) == 1:
            raise ConnectionError
        return first + second

    assert add(2, second=3) == 5
    assert calls == [(2, 3), (2, 3)]
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert events(log)[-1]["data"] == {"result": 5}
    assert events(log)[0]["event_type"] == "fetch"


def test_a_decorated_function_raises_what_its_last_attempt_raised(
    stream: ResilientEventStream, letters: SqliteDeadLetters
) -> None:
    @stream.resilient(max_retries=1)
    def broken() -> None:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError, match="away"):
        broken()
    assert letters.letters(FailureFilter())[0].reason == "max_attempts"


def test_a_decorated_function_that_takes_too_long_raises_a_timeout(
    stream: ResilientEventStream,
) -> None:
    import threading

    release = threading.Event()

    @stream.resilient(max_retries=0, timeout_seconds=0.05)
    def slow() -> None:
        release.wait(5)

    with pytest.raises(TimeoutError, match="not finished within its timeout"):
        slow()
    release.set()


def test_a_decorated_coroutine_function_stays_one(stream: ResilientEventStream) -> None:
    calls: list[int] = []

    @stream.resilient(max_retries=2)
    async def fetch(number: int) -> int:
        calls.append(number)
        if len(calls) == 1:
            raise ConnectionError
        return number

    assert asyncio.run(fetch(7)) == 7
    assert calls == [7, 7]


def test_a_value_that_cannot_be_recorded_is_returned_all_the_same(
    stream: ResilientEventStream, log: SqliteEventLog
) -> None:
    @stream.resilient()
    def handle() -> set[int]:
        return {1}

    assert handle() == {1}
    assert events(log)[-1]["error_info"]["class"] == "serialization"


def test_a_decorated_function_of_a_module_is_found_without_its_decoration(
    stream: ResilientEventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Any = json.dumps
    decorated = stream.resilient()(plain)
    monkeypatch.setattr(json, "dumps", decorated)
    action = describe_action(plain)
    assert action.task_ref == "json:dumps"
    assert find_action("json:dumps", None).call is plain
