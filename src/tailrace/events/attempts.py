"""Attempts of the event stream as rows, and the port behind which they are kept."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import msgspec

from tailrace.model.event import Event
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter
from tailrace.ports import EventLog

NOBODY = "nobody"
"""Owner of an open attempt that its process has left to others."""


class AttemptState(StrEnum):
    """Life of an attempt."""

    WAITING = "waiting"
    """Its time has not come; the attempt before it failed."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its process died."""


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one piece of work. Instants are nanoseconds since the epoch."""

    attempt_id: str
    """``A-`` and 26 characters that sort by time."""
    task_key: str
    """Of the work: the same for all its attempts and generations."""
    generation: int
    """Redrives of the work so far."""
    attempt: int
    """From 1 within a generation."""
    state: str
    """A value of ``AttemptState``."""
    started_ns: int
    ended_ns: int | None = None
    """None: it waits or runs."""
    owner: str = ""
    """Token of the process that waits with it or runs it."""
    next_retry_ns: int | None = None
    """When it is to run, while it waits."""
    failure_id: str = ""
    body: dict[str, Any] = {}
    """What another process needs to go on with the work; JSON-able."""


class StreamChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs together on disk: all of it, or nothing."""

    events: tuple[Event, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    """New rows, and newer forms of rows by ``attempt_id``."""
    failures: tuple[FailureSnapshot, ...] = ()
    letters: tuple[DeadLetter, ...] = ()


class WorkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts by piece of work, however many attempts it took."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    """Given up, at once or in the end; those that were cancelled are not in it."""
    cancelled: int = 0
    open: int = 0
    """Running or waiting."""
    attempts: int = 0
    retries: int = 0
    """Attempts after the first of each."""
    healed: int = 0
    """Succeeded after a failure."""

    @property
    def success_rate(self) -> float | None:
        """Share of succeeded among the decided, from 0 to 1; None when nothing is decided."""
        decided = self.succeeded + self.failed
        return self.succeeded / decided if decided else None


class AttemptLog(Protocol):
    """Where attempts are kept, beside the events and in the same commits."""

    @property
    def owner(self) -> str:
        """Token of this process; what it owns is taken over by others once it has died."""
        ...

    def commit(self, changes: StreamChanges) -> list[Event]:
        """Make the changes durable together and return the events with their ``seq``.

        Raises:
            StoreError: nothing was written.
        """
        ...

    def take_lost(self) -> list[AttemptRow]:
        """Take over the open attempts of processes that died, oldest first; each has one taker."""
        ...

    def attempts(self, task_key: str) -> list[AttemptRow]:
        """Return the attempts of a piece of work, by generation and number."""
        ...

    def work(self) -> WorkCounts:
        """Return exact counts of all work."""
        ...


class StreamLog(EventLog, AttemptLog, Protocol):
    """All that a resilient stream writes to."""
