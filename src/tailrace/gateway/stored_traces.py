"""Traces and failures from a database of the same schema as the local store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tailrace.errors import StoreError
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.span import Trace
from tailrace.store import SqliteFailureLog, SqliteSearch, SqliteTraceReader

T = TypeVar("T")


class StoredTraces:
    """What the routes ask of traces and failures.

    Questions wait for one another; writers wait for none.

    Args:
        path: the database, which somebody else fills.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: dict[Callable[[Path], Any], Any] = {}

    def _with(self, kind: Callable[[Path], T]) -> T:
        if not self._path.exists():
            raise StoreError(
                "the index of traces is not built yet",
                code="TR433",
                hint="Ask again in a moment; GET /readyz says how far it is.",
            )
        if kind not in self._open:
            self._open[kind] = kind(self._path)
        found: T = self._open[kind]
        return found

    def trace(self, trace_id: str) -> Trace:
        """Return a trace by its id, or the beginning of it."""
        with self._lock:
            reader = self._with(SqliteTraceReader)
            return reader.trace(reader.resolve(trace_id))

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
        """Return traces that match."""
        with self._lock:
            return self._with(SqliteSearch).search(
                query,
                since_ns=since_ns,
                until_ns=until_ns,
                limit=limit,
                spans_per_set=spans_per_set,
                flow=flow,
                status=status,
            )

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
        """Return series over time."""
        with self._lock:
            return self._with(SqliteSearch).metrics(
                query,
                since_ns=since_ns,
                until_ns=until_ns,
                step_ns=step_ns,
                exemplars=exemplars,
                instant=instant,
            )

    def failures(self, wanted: FailureFilter, *, limit: int) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        with self._lock:
            return self._with(SqliteFailureLog).failures(wanted, limit=limit)

    def failure(self, prefix: str) -> FailureSnapshot:
        """Return a failure by its id, or the beginning of it."""
        with self._lock:
            return self._with(SqliteFailureLog).failure(prefix)

    def failure_groups(
        self, wanted: FailureFilter, *, states: Sequence[str], limit: int
    ) -> list[FailureGroup]:
        """Return groups of failures, the most frequent first."""
        with self._lock:
            return self._with(SqliteFailureLog).groups(wanted, states=states, limit=limit)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            for one in self._open.values():
                one.close()
            self._open.clear()
