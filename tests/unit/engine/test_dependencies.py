"""Retries share a budget, and attempts wait while what they call is down."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tailrace import Context, Flow, Policy, Retry, foreach, task
from tailrace.engine import Run, RunRequest
from tailrace.engine.dependency import Dependencies
from tailrace.flows.compile import compile_flow
from tailrace.model import RunStatus, new_run_id
from tailrace.policy.breaker import Breaker, Breakers
from tailrace.policy.budget import Budgets, RetryBudget
from tailrace.testing import MemoryStore


def run(flow: Flow, dependencies: Dependencies) -> tuple[Any, MemoryStore]:
    store, run_id = MemoryStore(), new_run_id()
    request = RunRequest(plan=compile_flow(flow), run_id=run_id, dependencies=dependencies)
    return asyncio.run(Run(request, store.open_journal(run_id)).execute()), store


def test_a_retry_beyond_the_budget_is_given_up_and_says_so() -> None:
    calls: list[int] = []

    @task(policy=Policy(retry=Retry(max_attempts=5, budget="api")))
    def call(item: int) -> None:
        calls.append(item)
        raise ConnectionError("down")

    loop = foreach(list(range(50)), item="item")(call)
    flow = Flow("budget", loop, policy=Policy(fail_fast=False))
    budgets = Budgets(RetryBudget(share=0.2, per_second=0.001, ttl=10))
    end, _ = run(flow, Dependencies(budgets=budgets))

    assert end.status is RunStatus.FAILED
    assert end.failure.given_up in {"budget_exceeded", "max_attempts"}
    assert 50 + 9 <= len(calls) <= 50 + 11


def test_attempts_wait_while_the_breaker_is_open_and_none_is_used_up() -> None:
    state = {"calls": 0}

    @task(policy=Policy(retry=Retry(max_attempts=4, breaker="api")))
    def call(ctx: Context) -> int:
        state["calls"] += 1
        if state["calls"] <= 2:
            raise ConnectionError("down")
        return ctx.attempt

    breakers = Breakers(Breaker(threshold=2, cooldown=0.05))
    end, store = run(Flow("breaker", call), Dependencies(breakers=breakers))

    assert (end.status, end.output) == (RunStatus.COMPLETED, 3)
    events = [event.name for span in store.trace(end.run_id).spans for event in span.events]
    assert "parked" in events


def test_a_run_that_waits_for_a_breaker_can_be_cancelled() -> None:
    @task(policy=Policy(retry=Retry(max_attempts=4, breaker="api")))
    def call() -> int:
        return 1

    breakers = Breakers(Breaker(threshold=1, cooldown=600))
    breakers.failed("api", time.monotonic())
    store, run_id = MemoryStore(), new_run_id()
    request = RunRequest(
        plan=compile_flow(Flow("cancel", call)),
        run_id=run_id,
        dependencies=Dependencies(breakers=breakers),
        timeout=0.05,
    )
    end = asyncio.run(Run(request, store.open_journal(run_id)).execute())
    assert end.status is RunStatus.CANCELLED
