"""Stopping a run from outside."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from tailrace import Flow, OnError, Policy, RunCancelled, task
from tailrace.engine.capture import _Tee
from tailrace.model import RunStatus
from tailrace.testing import MemoryStore


def test_a_handle_cancels_what_runs_and_what_waits() -> None:
    started = threading.Event()

    @task
    def wait(ctx: Any) -> None:
        started.set()
        while not ctx.is_cancelled:
            threading.Event().wait(0.001)
        ctx.check_cancelled()

    @task
    def never() -> None:
        raise AssertionError("must not start")

    store = MemoryStore()
    handle = Flow("f", wait >> never).start(store=store)
    assert started.wait(30)
    handle.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        handle.result(30)
    spans = {span.name: span for span in store.trace(handle.run_id).spans}
    assert spans["node wait"].attributes["tailrace.state"] == "CANCELLED"
    assert spans["node never"].attributes["tailrace.state"] == "CANCELLED"
    assert store.runs()[0].status is RunStatus.CANCELLED


def test_a_task_that_ignores_cancellation_is_abandoned_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAILRACE_GRACE", "0.05")
    started, release = threading.Event(), threading.Event()

    @task(isolation="thread")
    def stubborn() -> None:
        started.set()
        release.wait(60)

    store = MemoryStore()
    handle = Flow("f", stubborn).start(store=store, raise_on_failure=False)
    assert started.wait(30)
    handle.cancel()
    result = handle.result(30)
    assert result.status is RunStatus.CANCELLED
    spans = {span.name: span for span in store.trace(result.run_id).spans}
    assert any(event.name == "abandoned" for event in spans["attempt stubborn"].events)
    release.set()


def test_async_tasks_that_swallow_cancellation_are_abandoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAILRACE_GRACE", "0.05")
    started = threading.Event()

    @task
    async def stubborn() -> None:
        started.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    handle = Flow("f", stubborn).start(store=MemoryStore(), raise_on_failure=False)
    assert started.wait(30)
    handle.cancel()
    assert handle.result(30).status is RunStatus.CANCELLED


def test_cancelling_the_awaiting_task_cancels_the_run() -> None:
    store = MemoryStore()

    async def main() -> None:
        entered = asyncio.Event()

        @task
        async def wait() -> None:
            entered.set()
            await asyncio.Event().wait()

        run = asyncio.ensure_future(Flow("f", wait).run_async(store=store))
        await entered.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert store.runs()[0].status is RunStatus.CANCELLED


def test_the_timeout_of_the_whole_run_cancels_it() -> None:
    @task
    async def wait() -> None:
        await asyncio.Event().wait()

    result = Flow("f", wait).run(store=MemoryStore(), timeout=0.05, raise_on_failure=False)
    assert (result.status, result.timed_out) == (RunStatus.CANCELLED, True)


def test_a_keyboard_interrupt_raised_by_a_task_is_recorded_and_raised_again() -> None:
    store = MemoryStore()

    @task
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Flow("f", interrupt).run(store=store)
    assert store.runs()[0].status is RunStatus.CANCELLED


def test_a_system_exit_is_a_failure_that_a_policy_may_handle() -> None:
    @task
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Flow("f", leave).run(store=MemoryStore())
    handled = leave.with_policy(Policy(on_error=OnError(action="continue", value=1)))
    assert Flow("f", handled).run(store=MemoryStore()).output == 1


def test_a_captured_stream_that_is_taken_apart_does_not_recurse() -> None:
    stream = _Tee("stdout", sys.stdout)
    del stream.original
    with pytest.raises(AttributeError):
        stream.flush()
