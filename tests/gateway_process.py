"""A real gateway in a process of its own, and somebody who plays its worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

import processes
from tailrace.jetstream.address import Address
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.remote import RunState, WorkerRecord

T = TypeVar("T")


class GatewayProcess:
    """``tailrace server up`` on a free port."""

    def __init__(
        self, folder: Path, nats_url: str, prefix: str, *arguments: str, **environ: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        more = {"TAILRACE_NATS_PREFIX": prefix, "TAILRACE_NATS_URL": nats_url, **environ}
        with (folder / "gateway.log").open("ab") as log:
            self.process = processes.start(
                folder,
                *("server", "up", "--port", "0", "--data-dir", "data", *arguments),
                env=processes.environ(more),
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("gateway at "), self.log
        self.url = line.split()[2]
        self.client = httpx.Client(base_url=self.url, timeout=30)

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text("utf-8", "replace")

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.client.close()
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def submit(self, flow: str = "f", **fields: Any) -> str:
        """Submit a run and return its id."""
        answer = self.client.post("/runs", json={"flow_name": flow, **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["run_id"])

    def show(self, run_id: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(f"/runs/{run_id}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def is_ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200


@contextlib.contextmanager
def running_gateway(
    folder: Path, nats_url: str, prefix: str, *arguments: str, **environ: str
) -> Iterator[GatewayProcess]:
    """Run a gateway for as long as the block lasts."""
    gateway = GatewayProcess(folder, nats_url, prefix, *arguments, **environ)
    try:
        yield gateway
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            gateway.end(signal.SIGKILL)


class Backstage:
    """What a worker and an administrator do, asked from a test that is no coroutine."""

    def __init__(self, nats_url: str, prefix: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.names = Names(prefix)
        self.link = Link(Address(urls=(nats_url,)))
        self.run(self.link.open(wait=30))
        self.states = JetStreamStates(self.link, self.names)
        self.queue = JetStreamQueue(self.link, self.names)
        self.registry = JetStreamRegistry(self.link, self.names)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def write(self, run_id: str, **fields: Any) -> int:
        """Write a run's state over the one that is there."""
        found = self.run(self.states.read(run_id))
        if found is None:
            job = self.run(self.queue.find(run_id))
            assert job is not None
            found = RunState(job=job), 0
        state, sequence = found
        for name, value in {"updated_at": time.time(), **fields}.items():
            setattr(state, name, value)
        return self.run(self.states.write(state, expected=sequence))

    def settle(self, run_id: str) -> None:
        """Remove the run's message, as the acknowledgement does."""
        self.run(self.queue.withdraw(run_id))

    def put_worker(self, worker_id: str, **fields: Any) -> None:
        now = time.time()
        given = {"instance_id": "i1", "last_seen_at": now, "last_heartbeat_at": now, **fields}
        self.run(self.registry.put_worker(WorkerRecord(worker_id=worker_id, **given)))

    def close(self) -> None:
        self.run(self.link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: name, id, data."""
    import json

    event: dict[str, Any] = {}
    for line in response.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
            continue
        key, _, value = line.partition(": ")
        event[key] = json.loads(value) if key == "data" else value
