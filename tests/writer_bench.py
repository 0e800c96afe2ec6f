"""A writer of a run, and everything around it, without NATS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tailrace.errors import Conflict, StoreError, TransportError
from tailrace.model import NodeState, RunStatus, new_run_id
from tailrace.model.journal import AnyRecord, NodeFinished, RunFinished, RunStarted
from tailrace.model.remote import Job, RunState
from tailrace.testing import MemoryStates
from tailrace.worker.journal import Entry
from tailrace.worker.writer import RunWriter

RUN = new_run_id()


class Watch:
    def __init__(self) -> None:
        self.seen: list[AnyRecord] = []
        self.has_ended = False
        self.error: Conflict | None = None
        self.refusals: list[TransportError] = []
        self.is_given_up = False

    def see(self, records: Sequence[AnyRecord]) -> None:
        self.seen += records

    def before_end(self, state: RunState, end: RunFinished) -> None:
        state.letter = "DL-X" if end.failure is not None else ""

    def ended_soon(self) -> bool:
        return False

    async def ended(self, _: RunWriter) -> None:
        self.has_ended = True

    def refused(self, writer: RunWriter, error: TransportError) -> None:
        self.refusals.append(error)
        failed = RunFinished(time.time_ns(), RunStatus.FAILED, reason=error.message)
        writer.end([failed], reason=StoreError(error.message))

    async def given_up(self, _: RunWriter, error: TransportError) -> None:
        self.refusals.append(error)
        self.is_given_up = True

    def lost(self, _: RunWriter, error: Conflict) -> None:
        self.error = error


class Patience:
    def __init__(self) -> None:
        self.waits = 0

    async def wait(self) -> None:
        self.waits += 1
        await asyncio.sleep(0)


class Spool:
    def __init__(self) -> None:
        self.kept: dict[int, bytes] = {}
        self.dropped = 0

    def keep(self, run_id: str, number: int, batch: bytes, claim: int) -> None:
        del run_id, claim
        self.kept[number] = batch

    def drop(self, run_id: str) -> None:
        del run_id
        self.dropped += 1


class Bench:
    """A writer and everything around it."""

    def __init__(self, states: MemoryStates | None = None, **options: Any) -> None:
        self.states = states or MemoryStates()
        self.watch, self.patience, self.spool = Watch(), Patience(), Spool()
        state = options.pop("state", None) or RunState(
            job=Job(run_id=RUN, flow_name="f"), status="RUNNING", worker_id="w1", claims=1
        )
        self.writer = RunWriter(
            self.states, state, self.watch, self.patience, self.spool, **options
        )

    async def write(self, *records: AnyRecord) -> None:
        entry = Entry(records)
        waiting = entry.prepare_to_await()
        self.writer.take(entry)
        await waiting

    async def stored(self) -> RunState:
        found = await self.states.read(RUN)
        assert found is not None
        return found[0]

    async def numbers(self) -> list[int]:
        return [number for number, _ in await self.states.journal(RUN)]


def started() -> RunStarted:
    return RunStarted(RUN, "f", "", "", time.time_ns(), {}, "http", 1)


def finished(number: int, output: bytes = b"1") -> NodeFinished:
    return NodeFinished(
        number, number + 1, NodeState.SUCCEEDED, time.time_ns(), f"n{number}", output, "json", 1
    )


def ended(status: RunStatus = RunStatus.COMPLETED) -> RunFinished:
    return RunFinished(time.time_ns(), status)


def through(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]  # it is a coroutine function

    run.__name__ = test.__name__
    return run
