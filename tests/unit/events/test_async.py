"""The same promises without blocking an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from tailrace.events import current_attempt
from tailrace.events.event_json import to_json
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store.event_log import SqliteEventLog


@pytest.fixture
def live(log: SqliteEventLog) -> ResilientEventStream:
    """A stream that really waits."""
    policy = RetryPolicy(max_attempts=3, base=0.3, jitter="none")
    return ResilientEventStream(log, policy=policy, rng=Random(1))


def _given(function: Callable[[], Any]) -> Any:
    return function()


def statuses(log: SqliteEventLog) -> list[str]:
    return [event.status for event in log.events(EventFilter(), limit=99, oldest_first=True)]


def test_the_loop_runs_on_while_a_retry_waits(
    live: ResilientEventStream, log: SqliteEventLog
) -> None:
    """A loop stood still for two backoffs."""
    calls: list[int] = []
    loop_runs = threading.Event()

    def blocking() -> dict[str, int]:
        calls.append(1)
        assert loop_runs.wait(30)
        if len(calls) == 1:
            raise ConnectionError
        return {"calls": len(calls)}

    async def look(seen: set[str]) -> None:
        while "retrying" not in seen:
            seen.add(statuses(log)[-1])
            if "pending" in seen:
                loop_runs.set()
            await asyncio.sleep(0)

    async def main() -> Any:
        await live.aemit("note", "x")
        looking = asyncio.ensure_future(look(set()))
        emitted = await live.aemit_with_retry("action", "svc", blocking)
        assert looking.done()
        return emitted

    assert asyncio.run(main()).result == {"calls": 2}
    assert statuses(log) == ["success", "pending", "retrying", "success"]


def test_a_coroutine_is_cancelled_at_its_deadline(
    live: ResilientEventStream, log: SqliteEventLog
) -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    emitted = asyncio.run(
        live.aemit_with_retry("action", "svc", slow, timeout_seconds=0.1, max_retries=0)
    )
    assert ended == ["cancelled"]
    error = to_json(log.event(emitted))["error_info"]
    assert (error["category"], error["class"]) == ("transient", "timeout")


@pytest.mark.parametrize("while_", ["running", "waiting"])
def test_a_cancel_is_recorded_at_once(
    while_: str, live: ResilientEventStream, log: SqliteEventLog
) -> None:
    async def act() -> None:
        if while_ == "waiting":
            raise ConnectionError
        await asyncio.Event().wait()

    async def main() -> None:
        policy = RetryPolicy(base=300, jitter="none")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                live.aemit_with_retry("action", "svc", act, policy=policy), timeout=0.15
            )

    asyncio.run(main())
    assert statuses(log)[-1] == "failed"
    newest = to_json(log.events(EventFilter())[0])
    assert newest["error_info"]["class"] == "cancelled"
    assert log.work().cancelled == 1
    assert log.work().open == 0


def test_a_function_that_returns_an_awaitable_is_awaited(live: ResilientEventStream) -> None:
    async def later() -> dict[str, Any]:
        attempt = current_attempt()
        assert attempt is not None
        return {"attempt": attempt.attempt}

    emitted = asyncio.run(live.aemit_with_retry("action", "svc", partial(_given, later)))
    assert emitted.result == {"attempt": 1}


def test_many_at_once_keep_their_results_apart(
    live: ResilientEventStream, log: SqliteEventLog
) -> None:
    async def main() -> list[Any]:
        async def one(number: int) -> dict[str, int]:
            await asyncio.sleep(0)
            return {"n": number}

        jobs = [live.aemit_with_retry("action", "svc", partial(one, n)) for n in range(30)]
        return [emitted.result["n"] for emitted in await asyncio.gather(*jobs)]

    assert asyncio.run(main()) == list(range(30))
    assert log.work().succeeded == 30
