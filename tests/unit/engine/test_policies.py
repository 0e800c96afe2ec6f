"""Retry, timeout, on_error and fail_fast as the engine honours them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tailrace import Flow, OnError, Policy, Retry, RunFailed, foreach, task
from tailrace.model import RunStatus
from tailrace.testing import MemoryStore


def run(flow: Flow, **inputs: Any) -> Any:
    return flow.run(store=MemoryStore(), raise_on_failure=False, **inputs)


def failing(times: int) -> tuple[Any, list[int]]:
    calls: list[int] = []

    def flaky(ctx: Any) -> str:
        calls.append(ctx.attempt)
        if len(calls) <= times:
            raise ValueError("bad row 17")
        return "done"

    return task(flaky), calls


def test_nothing_is_retried_unless_asked() -> None:
    flaky, calls = failing(1)
    assert run(Flow("f", flaky)).status is RunStatus.FAILED
    assert calls == [1]


def test_max_attempts_counts_the_tries_after_the_first() -> None:
    flaky, calls = failing(5)
    result: Any = run(Flow("f", flaky, policy=Policy(retry=Retry(max_attempts=2))))
    assert calls == [1, 2, 3]
    assert result.report.attempt == 3
    assert result.report.attempts == 3
    assert "attempt 3 of 3" in result.report.summary


def test_a_healed_failure_marks_the_attempt_only() -> None:
    store = MemoryStore()
    flaky, calls = failing(1)
    flow = Flow("f", flaky, policy=Policy(retry=Retry(max_attempts=3)))
    result: Any = flow.run(store=store)
    assert calls == [1, 2]
    assert result.output == "done"
    spans = store.trace(result.run_id).spans
    attempts = [span for span in spans if span.name == "attempt flaky"]
    assert [span.status.value for span in attempts] == ["error", "unset"]
    assert next(s for s in spans if s.name == "node flaky").status.value == "unset"


def test_the_node_policy_wins_over_the_flag_which_wins_over_the_flow() -> None:
    flaky, calls = failing(9)
    node = flaky.with_policy(Policy(retry=Retry(max_attempts=1)))
    flow = Flow("f", node, policy=Policy(retry=Retry(max_attempts=5)))
    run(flow, policy=Policy(retry=Retry(max_attempts=3)))
    assert calls == [1, 2]
    flaky, calls = failing(9)
    flow = Flow("f", flaky, policy=Policy(retry=Retry(max_attempts=5)))
    run(flow, policy=Policy(retry=Retry(max_attempts=3)))
    assert len(calls) == 4


def test_a_thread_that_overruns_its_timeout_is_abandoned() -> None:
    release = threading.Event()

    @task(policy=Policy(timeout="100ms"))
    def hang() -> None:
        release.wait(30)

    store = MemoryStore()
    started = time.monotonic()
    result: Any = Flow("f", hang).run(store=store, raise_on_failure=False)
    assert time.monotonic() - started < 10
    release.set()
    assert result.report.category == "timeout"
    attempt = next(s for s in store.trace(result.run_id).spans if s.name == "attempt hang")
    assert attempt.attributes["timeout"] is True
    assert any(event.name == "abandoned" for event in attempt.events)


def test_async_work_is_cancelled_at_its_timeout() -> None:
    cleaned: list[bool] = []

    @task(policy=Policy(timeout="50ms"))
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    assert run(Flow("f", hang)).report.category == "timeout"
    assert cleaned == [True]


def test_total_timeout_bounds_the_node_with_its_retries() -> None:
    flaky, calls = failing(1_000)
    policy = Policy(total_timeout="300ms", retry=Retry(max_attempts=999, delay="100ms"))
    result: Any = run(Flow("f", flaky, policy=policy))
    assert result.status is RunStatus.FAILED
    assert len(calls) <= 4


def test_continue_runs_dependents_on_the_value_given() -> None:
    @task(policy=Policy(on_error=OnError(action="continue", value=5)))
    def broken() -> int:
        raise ValueError("no")

    @task
    def double(value: int) -> int:
        return value * 2

    result: Any = run(Flow("f", broken >> double))
    assert (result.status, result.output, result.handled_failures) == (RunStatus.COMPLETED, 10, 1)


def test_continue_without_a_value_passes_the_nodes_own_input() -> None:
    @task
    def one() -> int:
        return 1

    @task(policy=Policy(on_error=OnError(action="continue")))
    def broken(value: int) -> int:
        raise ValueError("no")

    @task
    def double(value: int) -> int:
        return value * 2

    assert run(Flow("f", one >> broken >> double)).output == 2


def test_isolate_skips_dependents_and_lets_the_others_go_on() -> None:
    ran: list[str] = []

    @task(policy=Policy(on_error=OnError(action="isolate")))
    def broken() -> None:
        raise ValueError("no")

    @task
    def after_broken() -> None:
        ran.append("after_broken")

    @task
    def fine() -> None:
        ran.append("fine")

    @task
    def after_fine() -> None:
        ran.append("after_fine")

    result: Any = run(Flow("f", (broken >> after_broken) & (fine >> after_fine)))
    assert result.status is RunStatus.COMPLETED
    assert ran == ["fine", "after_fine"]


@task
def rescue(ctx: Any) -> str:
    return "rescued"


def test_fallback_replaces_the_result_of_the_node() -> None:
    @task(policy=Policy(on_error=OnError(action="fallback", target="rescue")))
    def broken() -> str:
        raise ValueError("no")

    @task
    def shout(text: str) -> str:
        return text.upper()

    result: Any = run(Flow("f", broken >> shout, handlers=[rescue]))
    assert (result.status, result.output) == (RunStatus.COMPLETED, "RESCUED")
    assert result.outputs["broken"] == "rescued"


def test_goto_runs_the_target_in_the_place_of_the_dependents() -> None:
    ran: list[str] = []

    @task(policy=Policy(on_error=OnError(action="goto", target="rescue")))
    def broken() -> str:
        raise ValueError("no")

    @task
    def never(text: str) -> None:
        ran.append(text)

    result: Any = run(Flow("f", broken >> never, handlers=[rescue]))
    assert (result.status, result.output, ran) == (RunStatus.COMPLETED, "rescued", [])


def test_goto_with_rejoin_goes_on_at_that_node() -> None:
    @task(policy=Policy(on_error=OnError(action="goto", target="rescue", rejoin="last")))
    def broken() -> str:
        raise ValueError("no")

    @task
    def between(text: str) -> str:
        return "between"

    @task
    def last(text: str) -> str:
        return f"last saw {text}"

    result: Any = run(Flow("f", broken >> between >> last, handlers=[rescue]))
    assert result.output == "last saw rescued"


def test_goto_may_jump_forward_in_the_graph() -> None:
    @task(policy=Policy(on_error=OnError(action="goto", target="last")))
    def broken() -> str:
        raise ValueError("no")

    @task
    def between() -> str:
        return "between"

    @task
    def last(ctx: Any) -> str:
        return "last"

    result: Any = run(Flow("f", broken >> between >> last))
    assert (result.status, result.output) == (RunStatus.COMPLETED, "last")


def test_fail_fast_cancels_what_runs_and_what_waits() -> None:
    started = threading.Event()
    cancelled: list[bool] = []

    @task
    def slow(ctx: Any) -> None:
        started.set()
        while not ctx.is_cancelled:
            time.sleep(0.005)
        cancelled.append(True)

    @task
    def broken() -> None:
        started.wait(30)
        raise ValueError("no")

    @task
    def late() -> None:
        raise AssertionError("must not start")

    store = MemoryStore()
    flow = Flow("f", (slow >> late) & broken)
    result: Any = flow.run(store=store, raise_on_failure=False)
    assert result.status is RunStatus.FAILED
    assert result.report.failed_node_id == "broken"
    assert cancelled == [True]


def test_without_fail_fast_the_other_branches_finish_first() -> None:
    ran: list[str] = []

    @task
    def broken() -> None:
        raise ValueError("no")

    @task
    def fine() -> str:
        return "fine"

    @task
    def after(text: str) -> None:
        ran.append(text)

    result: Any = run(Flow("f", broken & (fine >> after), policy=Policy(fail_fast=False)))
    assert result.status is RunStatus.FAILED
    assert ran == ["fine"]


def test_a_failing_iteration_stops_the_loop_and_names_its_path() -> None:
    @task
    def check(value: int) -> int:
        if value == 3:
            raise ValueError("three")
        return value

    result: Any = run(
        Flow("f", foreach("{{ params.items }}", name="each")(check)), items=[1, 2, 3, 4]
    )
    assert result.report.node_path == "each[2].check"
    assert result.report.failed_node_id == "check"


def test_max_parallel_bounds_the_attempts_that_run_at_the_same_time() -> None:
    lock = threading.Lock()
    running, most = 0, 0
    barrier = threading.Barrier(2, timeout=30)

    @task
    def work(value: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()
        with lock:
            running -= 1

    flow = Flow("f", foreach("{{ params.n }}", concurrency=8)(work), max_parallel=2)
    assert run(flow, n=list(range(8))).status is RunStatus.COMPLETED
    assert most == 2


def test_a_failed_run_raises_with_its_report() -> None:
    @task
    def broken() -> None:
        raise ValueError("bad row 17")

    with pytest.raises(RunFailed, match="bad row 17") as caught:
        Flow("f", broken).run(store=MemoryStore())
    report = caught.value.report
    assert report.error_type == "ValueError"
    assert "test_policies.py" in report.location
    assert 'raise ValueError("bad row 17")' in report.source_line
