"""Slots of ``max_parallel``: none is lost, and no more run than there are, whatever the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from tailrace import Flow, foreach, task
from tailrace.model import AnyRecord, RunId, RunStatus
from tailrace.testing import MemoryStore
from tailrace.testing.memory import MemoryJournal


class SlowJournal(MemoryJournal):
    """Is durable some turns of the loop later, as one behind a network."""

    _appended = 0

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:  # type: ignore[override]
        super().append(records)
        self._appended += 1
        return self._later(self._appended % 7)

    async def _later(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)


class SlowStore(MemoryStore):
    """Gives such journals."""

    def open_journal(self, run_id: RunId) -> MemoryJournal:
        records: list[AnyRecord] = []
        self._runs[run_id] = records
        return SlowJournal(records)


def loop_of(items: int, *, concurrency: int, parallel: int) -> tuple[Flow, list[int]]:
    running = 0
    seen: list[int] = []

    @task
    async def leaf(item: int) -> int:
        nonlocal running
        running += 1
        seen.append(running)
        await asyncio.sleep(0)
        running -= 1
        return item

    each = foreach("{{ params['items'] }}", item="item", concurrency=concurrency, name="leaves")(
        leaf
    )
    items_of_run: dict[str, Any] = {"items": list(range(items))}
    return Flow("slots", each, defaults=items_of_run, max_parallel=parallel), seen


@pytest.mark.parametrize("store", [MemoryStore, SlowStore])
@pytest.mark.parametrize(("concurrency", "parallel"), [(16, 8), (5, 2), (3, 3), (8, 1)])
def test_a_loop_wider_than_the_slots_comes_to_its_end_and_keeps_to_them(
    store: type[MemoryStore], concurrency: int, parallel: int
) -> None:
    flow, seen = loop_of(60, concurrency=concurrency, parallel=parallel)
    result = flow.run(store=store(), timeout=10)
    assert result.status is RunStatus.COMPLETED
    assert result.output == list(range(60))
    assert max(seen) <= parallel
