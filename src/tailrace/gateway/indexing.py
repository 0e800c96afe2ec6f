"""What the routes ask of an index: lists and counts that no stream can answer quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tailrace.gateway.known import KnownRun
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.remote import Job
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.span import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are meant. Empty fields match everything."""

    status: str = ""
    flow: str = ""
    tag: str = ""
    """The routing tag."""
    tenant: str | None = None
    """None: runs of every tenant."""
    sha256: str = ""
    """Of the workflow that came with the run."""
    updated_after: float | None = None
    cursor: str = ""
    """``RunPage.next_cursor`` of the page before."""
    limit: int = 50
    whole: bool = False
    """Whether the states are needed with their records of tasks."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs by ``(updated_at, run_id)``, newest first."""

    items: list[KnownRun]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPosition:
    """How far an index has followed the streams."""

    sequence: int
    is_complete: bool
    """False: there was more to read when it looked last."""


class RunIndex(Protocol):
    """Runs of all workers, in lists. Every gateway has one; all of them say the same."""

    async def open(self) -> None:
        """Begin to follow; returns at once. Called when NATS answers for the first time."""
        ...

    async def close(self) -> None:
        """Stop following."""
        ...

    def accepted(self, job: Job) -> None:
        """Show a run that this gateway has queued, before the stream tells of it."""
        ...

    async def runs(self, wanted: RunFilter) -> RunPage:
        """Return a page.

        Raises:
            QueryError: the cursor is none of ours.
        """
        ...

    async def counts(self, tenant: str | None = None) -> Mapping[tuple[str, str], int]:
        """Return the number of runs by (status, flow)."""
        ...

    async def updated_since(self, instant: float) -> Mapping[str, int]:
        """Return the number of runs by status, of those that changed since."""
        ...

    def position(self) -> IndexPosition:
        """Return how far it is."""
        ...


class TraceIndex(Protocol):
    """Traces and failures. Methods block and may be called from any thread, one at a time."""

    def trace(self, trace_id: str) -> Trace:
        """Return a trace by its id, or the beginning of it.

        Raises:
            NotFound: there is none, or more than one.
        """
        ...

    def search(
        self,
        query: str,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int = 50,
        spans_per_set: int = 3,
        flow: str | None = None,
        status: str | None = None,
    ) -> SearchResult:
        """Return traces that match; see ``ports.TraceSearch``."""
        ...

    def metrics(
        self,
        query: str,
        *,
        since_ns: int,
        until_ns: int,
        step_ns: int | None = None,
        exemplars: int = 0,
        instant: bool = False,
    ) -> MetricsResult:
        """Return series over time; see ``ports.TraceSearch``."""
        ...

    def failures(self, wanted: FailureFilter, *, limit: int) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        ...

    def failure(self, prefix: str) -> FailureSnapshot:
        """Return a failure by its id, or the beginning of it.

        Raises:
            NotFound: there is none, or more than one.
        """
        ...

    def failure_groups(
        self, wanted: FailureFilter, *, states: Sequence[str], limit: int
    ) -> list[FailureGroup]:
        """Return groups of failures, the most frequent first."""
        ...

    def close(self) -> None:
        """Let the files go."""
        ...
