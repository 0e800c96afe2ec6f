"""What the engine needs from outside, as Protocols of five methods or fewer.

Adapters: ``store`` (SQLite), ``testing`` (memory).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from tailrace.model import AnyRecord, RunId, RunSummary, Span, Trace


class Journal(Protocol):
    """The write side of one run. Records are durable in the order they were given."""

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:
        """Make the records, and all noted before them, durable.

        Returns None when that is done already, else an awaitable that ends when it is. Called from
        the engine's thread only.

        Raises:
            StoreError: the promise of durability is broken; the run must stop.
        """
        ...

    def note(self, record: AnyRecord) -> None:
        """Take a record whose durability nothing waits for; thread-safe, never raises.

        It is written with the next append, and within 200 ms.
        """
        ...

    def close(self) -> None:
        """Write what was noted and release the run."""
        ...


class RunStore(Protocol):
    """Where journals live."""

    def open_journal(self, run_id: RunId) -> Journal:
        """Return the journal of a new run.

        Raises:
            StoreError: the store cannot take it.
        """
        ...

    def close(self) -> None:
        """Release the store; open journals are closed first."""
        ...


class TraceReader(Protocol):
    """The read side. Never blocks a writer."""

    def runs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> list[RunSummary]:
        """Return runs, newest first. Live runs of other processes are RUNNING, dead INTERRUPTED."""
        ...

    def resolve(self, prefix: str) -> RunId:
        """Return the one run id with this prefix; ``@last`` and ``@last-failed`` are known too.

        Raises:
            NotFound: no run, or more than one, matches.
        """
        ...

    def trace(self, run_id: RunId, *, events: bool = True) -> Trace:
        """Return a run with its spans, the newest committed moment included.

        Raises:
            NotFound: there is no such run.
        """
        ...

    def close(self) -> None:
        """Release the reader."""
        ...


class Tracer(Protocol):
    """An observer of spans as they happen; what it raises never reaches the run.

    Called from the engine's thread and from threads of tasks; must not block.
    """

    def on_start(self, span: Span) -> None:
        """A span opened; its attributes so far are set."""
        ...

    def on_end(self, span: Span) -> None:
        """A span ended with its final status, attributes and events."""
        ...

    def close(self) -> None:
        """The run is over; flush."""
        ...
