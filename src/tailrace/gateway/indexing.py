"""What lists of runs are asked for, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.gateway.known import KnownRun


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
