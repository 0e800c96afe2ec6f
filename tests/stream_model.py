"""The stream of runs as a server keeps it: one message per subject, each with a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tailrace.model.remote import CancelRequest, Job, RunState
from tailrace.store.remote import Batch, Message, Queued, Stands, Wish
from tailrace.tracing.wire import encode

START = 1_700_000_000_000_000
"""The server's time of message 0, microseconds since the epoch."""


class StreamModel:
    """What gateways and workers store; who follows sees what is left of it."""

    def __init__(self) -> None:
        self.sequence = 0
        self._left: dict[str, Message] = {}

    def after(self, sequence: int) -> list[Message]:
        """Return the messages behind a number that are still there, in order."""
        found = [one for one in self._left.values() if one.sequence > sequence]
        return sorted(found, key=lambda one: one.sequence)

    def _next(self) -> tuple[int, int]:
        self.sequence += 1
        return self.sequence, START + self.sequence * 1_000

    def submit(self, job: Job) -> None:
        """Queue a run."""
        self._left[f"q.{job.run_id}"] = Queued(*self._next(), job)

    def put(self, state: RunState) -> None:
        """Store a state."""
        self._left[f"s.{state.job.run_id}"] = Stands(*self._next(), state)

    def ack(self, run_id: str) -> None:
        """Remove a job that is done."""
        self._left.pop(f"q.{run_id}", None)

    def batch(self, run_id: str, number: int, body: bytes) -> None:
        """Store a batch of a journal."""
        sequence, _ = self._next()
        self._left[f"j.{run_id}.{number}"] = Batch(sequence, run_id, number, body)

    def wish(self, run_id: str) -> None:
        """Want a run cancelled."""
        sequence, at = self._next()
        self._left.setdefault(
            f"x.{run_id}", Wish(sequence, at, run_id, CancelRequest(at=at / 1e6, by="me"))
        )


class WorkerModel:
    """One run, written by a worker as workers do: a step at a time."""

    def __init__(self, stream: StreamModel, job: Job, appends: Sequence[Sequence[Any]]) -> None:
        self.stream = stream
        self.job = job
        self.bodies = [encode(records) for records in appends]
        self.state = RunState(job=job)
        self.written = 0

    @property
    def is_over(self) -> bool:
        return self.state.status not in {"PENDING", "RUNNING"}

    def submit(self) -> None:
        self.stream.submit(self.job)

    def claim(self) -> None:
        """Take the run, with the first batch inside the state."""
        self.written = 1
        self._put(status="RUNNING", worker_id="w1", claims=1, journal=(self.bodies[0],))

    def store_batch(self) -> None:
        """Store the next batch by itself; those inside the state go before it."""
        run_id = self.job.run_id
        first = self.state.batches - len(self.state.journal) + 1
        for number, body in enumerate(self.state.journal, first):
            self.stream.batch(run_id, number, body)
        self.state = replace(self.state, journal=())
        self.written += 1
        self.stream.batch(run_id, self.written, self.bodies[self.written - 1])

    def tell(self) -> None:
        """Store how it stands for those who watch."""
        self._put(journal=self.state.journal)

    def finish(self, status: str = "COMPLETED") -> None:
        """End the run; what is left of the journal goes into the state."""
        rest = tuple(self.bodies[self.written :])
        self.written = len(self.bodies)
        self._put(status=status, journal=self.state.journal + rest)
        self.stream.ack(self.job.run_id)

    def step(self) -> None:
        """Do what comes next."""
        if self.state.status == "PENDING":
            self.claim()
        elif self.written < len(self.bodies) - 1:
            self.store_batch()
        elif not self.is_over:
            self.finish()

    def _put(self, **changes: Any) -> None:
        self.state = replace(self.state, batches=self.written, **changes)
        self.stream.put(self.state)
