"""How workers are, by the clock of the server that has kept what they said."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tailrace.gateway.board import WorkerBoard
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.model.remote import WorkerRecord

TIMEOUT = 20.0


class Registry:
    """Workers, and a clock that is not the gateway's."""

    def __init__(self, ahead: float, **seen: tuple[str, float]) -> None:
        self.ahead = ahead
        self.seen = seen

    async def now(self) -> float:
        return time.time() + self.ahead

    async def workers(self) -> dict[str, tuple[WorkerRecord, bool]]:
        now = await self.now()
        return {
            name: (
                WorkerRecord(worker_id=name, instance_id="i", state=state, last_seen_at=now - age),
                False,
            )
            for name, (state, age) in self.seen.items()
        }


def states(registry: Registry) -> dict[str, str]:
    async def ask() -> list[dict[str, Any]]:
        board = WorkerBoard(cast("JetStreamRegistry", registry), timeout=TIMEOUT)
        return await board.workers()

    return {one["worker_id"]: one["state"] for one in asyncio.run(ask())}


@given(st.floats(-7200, 7200), st.floats(0, 3600).filter(lambda age: abs(age - TIMEOUT) > 1))
def test_a_worker_is_lost_when_the_server_has_not_heard_of_it_whatever_clocks_say(
    ahead: float, age: float
) -> None:
    found = states(
        Registry(ahead, idle=("IDLE", age), runs=("RUNNING", age), over=("STOPPED_GRACEFUL", age))
    )
    lost = age > TIMEOUT
    assert found == {
        "idle": "DISCONNECTED" if lost else "IDLE",
        "runs": "DISCONNECTED" if lost else "RUNNING",
        "over": "STOPPED_GRACEFUL",
    }
