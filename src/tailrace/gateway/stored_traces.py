"""Traces and failures from a database of the same schema as the local store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tailrace.errors import NotFound, StoreError
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.ids import RunId
from tailrace.model.letter import DeadLetter
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.span import RunSummary, Trace
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteSearch, SqliteTraceReader
from tailrace.store.follow import SpanFollower
from tailrace.store.follow_one import OneRunFollower
from tailrace.store.survey import Survey
from tailrace.traceql.budget import Budget
from tailrace.tracing.account import Tally, tally
from tailrace.tracing.state import SpanState

T = TypeVar("T")
_TENANTS = 16
"""Tenants for whom the file is kept open."""


class StoredTraces:
    """What the routes ask of traces and failures.

    A tenant is told of its own runs, and of the spans that it has sent; None: of everything.
    Questions wait for one another; writers wait for none.

    Args:
        path: the database, which somebody else fills.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: dict[Callable[[Path], Any], Any] = {}
        self._readers: OrderedDict[str | None, SqliteTraceReader] = OrderedDict()
        self._searches: OrderedDict[str | None, SqliteSearch] = OrderedDict()

    def _demand(self) -> Path:
        if not self._path.exists():
            raise StoreError(
                "the index of traces is not built yet",
                code="TR433",
                hint="Ask again in a moment; GET /readyz says how far it is.",
            )
        return self._path

    def _with(self, kind: Callable[[Path], T]) -> T:
        path = self._demand()
        if kind not in self._open:
            self._open[kind] = kind(path)
        found: T = self._open[kind]
        return found

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask alone; where the file is, is nothing that clients are told."""
        with self._lock:
            try:
                yield
            except NotFound as error:
                message = error.message.replace(f" in {self._path.absolute()}", "")
                raise NotFound(message, code=error.code, hint=error.hint) from error

    def _reader(self, tenant: str | None) -> SqliteTraceReader:
        path = self._demand()
        return _kept(self._readers, tenant, lambda: SqliteTraceReader(path, tenant=tenant))

    def _search(self, tenant: str | None) -> SqliteSearch:
        path = self._demand()
        return _kept(self._searches, tenant, lambda: SqliteSearch(path, tenant=tenant))

    def runs(self, *, tenant: str | None = None, **wanted: Any) -> list[RunSummary]:
        """Return runs and traces, newest first; see ``SqliteTraceReader.runs``."""
        with self._asking():
            return self._reader(tenant).runs(**wanted)

    def summaries(self, run_ids: Iterable[str], *, tenant: str | None = None) -> list[RunSummary]:
        """Return runs and traces by their ids, in that order; those that are gone are left out."""
        with self._asking():
            return [*self._reader(tenant).runs_of(run_ids)]

    def trace(
        self,
        trace_id: str,
        *,
        tenant: str | None = None,
        events: bool = True,
        siblings: int | None = None,
    ) -> tuple[Trace, RunId | None]:
        """Return a trace by its id, or the beginning of it, and the run that went on with it."""
        with self._asking():
            reader = self._reader(tenant)
            found = reader.resolve(trace_id)
            trace = reader.trace(found, events=events, siblings=siblings)
            return trace, reader.gone_on_by(found)

    def lineage(self, run_id: str, *, tenant: str | None = None) -> list[RunSummary]:
        """Return the chain of resumes and redrives that a run is part of, oldest first."""
        with self._asking():
            reader = self._reader(tenant)
            return reader.lineage(reader.resolve(run_id))

    def tallies(self, runs: Iterable[RunSummary], *, tenant: str | None = None) -> list[Tally]:
        """Return how many nodes of each run did what."""
        with self._asking():
            reader = self._reader(tenant)
            return [tally(reader.states(run.run_id)) for run in runs]

    def whole(
        self, run_id: str, *, tenant: str | None = None
    ) -> tuple[RunSummary, list[SpanState], dict[str, str]]:
        """Return a run, its spans as the projection keeps them, and what each node's code did."""
        with self._asking():
            reader = self._reader(tenant)
            run = reader.run(reader.resolve(run_id))
            return run, [*reader.states(run.run_id)], reader.fingerprints(run.run_id)

    def follower(self, *, since_ns: int | None, tenant: str | None = None) -> SpanFollower:
        """Return what tells spans as they end; the caller closes it."""
        return SpanFollower(self._demand(), since_ns=since_ns, tenant=tenant)

    def run_follower(self, run_id: str) -> OneRunFollower:
        """Return what tells of one run as it goes on; the caller closes it."""
        return OneRunFollower(self._demand(), run_id)

    def search(
        self,
        query: str,
        *,
        tenant: str | None = None,
        seconds: float | None = None,
        limit: int = 50,
        **wanted: Any,
    ) -> SearchResult:
        """Return traces that match; see ``SqliteSearch.search``."""
        budget = None if seconds is None else Budget(seconds=seconds)
        with self._lock:
            return self._search(tenant).search(query, limit=limit, budget=budget, **wanted)

    def metrics(
        self,
        query: str,
        *,
        tenant: str | None = None,
        seconds: float | None = None,
        **wanted: Any,
    ) -> MetricsResult:
        """Return series over time; see ``SqliteSearch.metrics``."""
        budget = None if seconds is None else Budget(seconds=seconds)
        with self._lock:
            return self._search(tenant).metrics(query, budget=budget, **wanted)

    def failures(self, wanted: FailureFilter, *, limit: int) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        with self._lock:
            return self._with(SqliteFailureLog).failures(wanted, limit=limit)

    def failure(self, prefix: str, *, tenant: str | None = None) -> FailureSnapshot:
        """Return a failure by its id, or the beginning of it."""
        with self._lock:
            return self._with(SqliteFailureLog).failure(prefix, tenant=tenant)

    def failure_counts(self, wanted: FailureFilter) -> dict[str, dict[str, int]]:
        """Return exact counts; see ``SqliteFailureLog.counts``."""
        with self._lock:
            return self._with(SqliteFailureLog).counts(wanted)

    def failure_groups(self, wanted: FailureFilter, *, states: Sequence[str], limit: int) -> Survey:
        """Return groups of failures, the most frequent first, and how many there are."""
        with self._lock:
            return self._with(SqliteFailureLog).survey(wanted, states=states, limit=limit)

    def trends(
        self, wanted: FailureFilter, fingerprints: Iterable[str], edges: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return the failures of groups between each edge and the next."""
        with self._lock:
            return self._with(SqliteFailureLog).trends(wanted, fingerprints, edges)

    def letters(self, wanted: FailureFilter, *, limit: int) -> list[DeadLetter]:
        """Return dead letters, newest first."""
        with self._lock:
            return self._with(SqliteDeadLetters).letters(wanted, limit=limit)

    def letter(self, prefix: str, *, tenant: str | None = None) -> DeadLetter:
        """Return a dead letter by its id, or the beginning of it."""
        with self._lock:
            return self._with(SqliteDeadLetters).letter(prefix, tenant=tenant)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            kept = (*self._open.values(), *self._readers.values(), *self._searches.values())
            for one in kept:
                one.close()
            for held in (self._open, self._readers, self._searches):
                held.clear()


def _kept(kept: OrderedDict[str | None, T], tenant: str | None, make: Callable[[], T]) -> T:
    """Return what is open for a tenant; whoever has not asked for the longest time is let go."""
    found = kept.pop(tenant, None)
    if found is None:
        found = make()
    kept[tenant] = found
    if len(kept) > _TENANTS:
        _, oldest = kept.popitem(last=False)
        oldest.close()  # type: ignore[attr-defined]
    return found
