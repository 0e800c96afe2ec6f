"""What is left of a run that is over."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from tailrace import Flow, foreach, task
from tailrace.engine import Run, RunRequest
from tailrace.flows.compile import compile_flow
from tailrace.model import RunStatus, new_run_id
from tailrace.testing import MemoryStore


@task
def number(n: int = 1) -> int:
    return n


@task
def twice(n: int) -> int:
    return 2 * n


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "flow",
    [
        Flow("one", number),
        Flow("chain", number >> twice),
        Flow("loop", foreach([1, 2, 3], item="n")(twice)),
    ],
    ids=lambda flow: flow.name,
)
def test_a_run_that_is_over_goes_without_being_looked_for_as_garbage(flow: Flow) -> None:
    async def executed() -> weakref.ref[Run]:
        store, run_id = MemoryStore(), new_run_id()
        run = Run(RunRequest(plan=compile_flow(flow), run_id=run_id), store.open_journal(run_id))
        end = await run.execute()
        assert end.status is RunStatus.COMPLETED
        return weakref.ref(run)

    assert asyncio.run(executed())() is None
