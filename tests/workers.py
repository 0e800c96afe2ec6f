"""Workers in processes of their own, and what a client of the queue sees of their runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import processes
from tailrace.jetstream.address import Address
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import Limits, ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.model import Trace, new_run_id
from tailrace.model.journal import AnyRecord
from tailrace.model.remote import CancelRequest, Job, RunState, StoredLetter, WorkerRecord
from tailrace.model.states import RunStatus
from tailrace.tracing.spans import fold
from tailrace.worker.lineage import read_journal
from waiting import wait_until

T = TypeVar("T")
TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)


class Queue:
    """The queue and the states of runs, from a thread of their own."""

    def __init__(self, url: str, prefix: str, *, ack_wait: float) -> None:
        self.url, self.prefix = url, prefix
        self.names = Names(prefix)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.link = Link(Address(urls=tuple(url.split(","))))
        limits = Limits(ack_wait=ack_wait)
        self.queue = JetStreamQueue(self.link, self.names, limits)
        self.states = JetStreamStates(self.link, self.names, limits)
        self.letters_of = JetStreamLetters(self.link, self.names)
        self.registry = JetStreamRegistry(self.link, self.names)

        async def begin() -> None:
            await self.link.open(wait=30)
            await ensure(self.link, self.names, limits)

        self.call(begin)

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what an asynchronous call gives."""

        async def inside() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(60)

    def close(self) -> None:
        self.call(self.link.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(self, flow: str, **job: Any) -> str:
        """Queue a run and return its id."""
        run_id = job.pop("run_id", None) or new_run_id()
        wanted = Job(run_id=run_id, flow_name=flow, submitted_at=time.time(), **job)
        assert self.call(lambda: self.queue.submit(wanted))
        return str(run_id)

    def put(self, body: bytes, tag: str = "default", run_id: str = "rubbish") -> None:
        """Put any bytes into the queue."""
        subject = self.names.queue(tag, "normal", run_id)
        self.call(lambda: self.link.store(subject, body))

    def state(self, run_id: str) -> RunState | None:
        """Return how a run stands; None: nobody has begun it, or NATS does not answer."""
        found = self.call(lambda: self._read(run_id))
        return None if found is None else found[0]

    async def _read(self, run_id: str) -> tuple[RunState, int] | None:
        from tailrace.errors import TransportError

        try:
            return await self.states.read(run_id)
        except TransportError:
            return None

    def ended(self, run_id: str, *, seconds: float = 60.0) -> RunState:
        """Wait for the end of a run and return its last state."""
        found: list[RunState] = []

        def over() -> bool:
            state = self.state(run_id)
            if state is not None and state.status in TERMINAL:
                found.append(state)
            return bool(found)

        wait_until(over, f"run {run_id} is over", seconds=seconds)
        return found[0]

    def running(self, run_id: str, task: str) -> RunState:
        """Wait until a task of a run is running, and return the state."""
        found: list[RunState] = []

        def reached() -> bool:
            state = self.state(run_id)
            if state is not None and state.tasks.get(task) == "RUNNING":
                found.append(state)
            return bool(found)

        wait_until(reached, f"task {task} of run {run_id} runs")
        return found[0]

    def cancel(self, run_id: str, reason: str = "") -> None:
        """Wish that a run is cancelled."""
        wish = CancelRequest(at=time.time(), by="tests", reason=reason)
        self.call(lambda: self.states.request_cancel(run_id, wish))

    def records(self, run_id: str) -> list[AnyRecord]:
        """Return the journal of a run."""
        return self.call(lambda: read_journal(self.states, run_id))

    def trace(self, run_id: str) -> Trace:
        """Return the trace that its journal makes."""
        return fold(self.records(run_id)).trace()

    def letters(self) -> list[StoredLetter]:
        """Return all dead letters."""
        return self.call(self.letters_of.stored)

    def workers(self) -> dict[str, WorkerRecord]:
        """Return what workers say of themselves."""
        found = self.call(self.registry.workers)
        return {name: record for name, (record, _) in found.items()}

    def waiting(self) -> int:
        """Return the messages that are in the queue, delivered or not."""

        async def count() -> int:
            info = await self.link.api(
                f"STREAM.INFO.{self.names.runs}", {"subjects_filter": f"{self.prefix}.q.>"}
            )
            return len(info["state"].get("subjects") or {})

        return self.call(count)


@dataclass
class Cluster:
    """A queue, and workers that come and go."""

    folder: Path
    queue: Queue
    ack_wait: float
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, worker_id: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a worker and wait until it serves."""
        log = self.folder / f"{worker_id}.log"
        more = {
            "TAILRACE_NATS_URL": self.queue.url,
            "TAILRACE_NATS_PREFIX": self.queue.prefix,
            "TAILRACE_NATS_ACK_WAIT": f"{self.ack_wait:g}",
        }
        begun = len(log.read_text()) if log.exists() else 0
        with log.open("a") as out:
            worker = processes.start(
                self.folder,
                "worker",
                "start",
                "--worker-id",
                worker_id,
                "--flows",
                "flows",
                *arguments,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=processes.environ(more),
            )
        self.workers.append(worker)

        def serves() -> bool:
            code = worker.poll()
            said = log.read_text()[begun:]
            if "serves tags" in said:
                return True
            assert code is None, f"{worker_id} ended with {code} before it served:\n{said}"
            return False

        wait_until(serves, f"{worker_id} serves")
        return worker

    def said(self, worker_id: str) -> str:
        """Return what a worker has printed."""
        return (self.folder / f"{worker_id}.log").read_text()

    def lines(self, name: str) -> list[str]:
        """Return what tasks have written to a file."""
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def stop(self) -> None:
        """End what still runs."""
        for worker in self.workers:
            if worker.poll() is None:
                os.kill(worker.pid, signal.SIGCONT)
                worker.kill()
            worker.wait(60)


@contextmanager
def cluster(
    folder: Path, url: str, prefix: str, flows: str, *, ack_wait: float = 2.0
) -> Iterator[Cluster]:
    """Give a queue, and a folder with these flows, for as long as the block lasts."""
    (folder / "flows.py").write_text(flows)
    queue = Queue(url, prefix, ack_wait=ack_wait)
    found = Cluster(folder, queue, ack_wait)
    try:
        yield found
    finally:
        found.stop()
        queue.close()
