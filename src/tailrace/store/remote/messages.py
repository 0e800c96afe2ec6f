"""What the streams tell of runs that are executed elsewhere, as the index takes it in."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from tailrace.model.remote import CancelRequest, Job, RunState


class Queued(Struct, frozen=True, gc=False):
    """A run waits for a worker, or is to wait later."""

    sequence: int
    """Number of the message in its stream."""
    at: int
    """The server's time of it, microseconds since the epoch."""
    job: Job

    @property
    def run_id(self) -> str:
        """The run."""
        return self.job.run_id


class Stands(Struct, frozen=True, gc=False):
    """How a run stands, with the batches of its journal that have no message of their own."""

    sequence: int
    at: int
    state: RunState

    @property
    def run_id(self) -> str:
        """The run."""
        return self.state.job.run_id


class Batch(Struct, frozen=True, gc=False):
    """A batch of a run's journal, numbered from 1."""

    sequence: int
    run_id: str
    number: int
    body: bytes


class Wish(Struct, frozen=True, gc=False):
    """Somebody wants a run cancelled."""

    sequence: int
    at: int
    run_id: str
    request: CancelRequest


class Gone(Struct, frozen=True, gc=False):
    """A run has expired."""

    sequence: int
    run_id: str


Message: TypeAlias = Queued | Stands | Batch | Wish | Gone
