"""Reading traces and asking questions about them, for programs."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from tailrace.errors import QueryError
from tailrace.model.ids import RunId
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.span import Trace
from tailrace.model.states import RunStatus
from tailrace.model.when import Instant, instant_ns
from tailrace.policy import parse_duration
from tailrace.store.reader import SqliteTraceReader
from tailrace.store.search import SqliteSearch
from tailrace.traceql.budget import Budget

_NS = 1_000_000_000
_SECONDS = 30.0


class SQLiteTraceReader(SqliteTraceReader):
    """Reads runs and traces from elsewhere, and answers TraceQL over all of them.

    Instants are ``"2h"`` (ago), an ISO date or time, a ``datetime``, a ``timedelta`` (ago), or ns
    since the epoch. What is returned shows itself in a notebook.

    Concurrency: never blocks a writer; a reader serves one thread at a time.

    Raises:
        StoreError: there is no such file, or it cannot be read, is foreign, or too new.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._questions = SqliteSearch(path)

    def __enter__(self) -> Self:
        """Return the reader; the end of the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the file."""
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._questions.close()
        super().close()

    def trace(
        self, run_id: RunId | str, *, events: bool = True, siblings: int | None = None
    ) -> Trace:
        """Return a trace with its spans, parents before their children.

        Args:
            run_id: an id or the beginning of one, ``@last`` or ``@last-failed``.
            events: whether the spans have their events.
            siblings: children of one type read of each parent, where the trace is large; None: all.

        Raises:
            NotFound: there is none, or more than one begins so.
        """
        return super().trace(self.resolve(run_id), events=events, siblings=siblings)

    def search(
        self,
        query: str = "{ }",
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        limit: int | None = None,
        spans_per_set: int = 3,
        flow: str | None = None,
        status: str | None = None,
        seconds: float = _SECONDS,
    ) -> SearchResult:
        """Return the newest traces that match.

        Args:
            query: TraceQL, or the older short form.
            since: traces that began then or later.
            until: traces that began before that.
            limit: traces at most; None: as many as a query in the older form says, or 50.
            spans_per_set: matched spans that are returned of a trace, or of each of its groups.
            flow: the flow of a run, or the service of the root of a trace from elsewhere.
            status: a value of ``RunStatus``.
            seconds: after them the search ends with what it has; ``complete`` is then False.

        Raises:
            QueryError: the query is not valid, or cannot be calculated, or another argument is
                none of its kind.
            StoreError: the file cannot be read.
        """
        return self._questions.search(
            query,
            since_ns=_instant(since, "since"),
            until_ns=_instant(until, "until"),
            limit=None if limit is None else _count(limit, "limit"),
            spans_per_set=_count(spans_per_set, "spans_per_set"),
            flow=flow,
            status=None if status is None else _status(status),
            budget=Budget(seconds=seconds),
        )

    def metrics(
        self,
        query: str,
        *,
        since: Instant = "24h",
        until: Instant | None = None,
        step: str | float | timedelta | None = None,
        instant: bool = False,
        exemplars: int = 0,
        seconds: float = _SECONDS,
    ) -> MetricsResult:
        """Return series over time.

        Args:
            query: TraceQL that ends in metrics.
            since: begin of the range, which is widened to whole steps.
            until: its end; None: now.
            step: ``"5m"``, seconds or a ``timedelta``; None: as suits the range.
            instant: one point for the whole range.
            exemplars: spans that are returned as examples, at most.
            seconds: after them the query ends with what it has; ``complete`` is then False.

        Raises:
            QueryError: the query is not valid or gives no metrics, or a time or the step is none.
            StoreError: the file cannot be read.
        """
        last = _instant(until, "until")
        return self._questions.metrics(
            query,
            since_ns=instant_of(since, "since"),
            until_ns=time.time_ns() if last is None else last,
            step_ns=_step(step),
            instant=instant,
            exemplars=exemplars,
            budget=Budget(seconds=seconds),
        )


def _instant(value: Instant | None, name: str) -> int | None:
    return None if value is None else instant_of(value, name)


def instant_of(value: Instant, name: str) -> int:
    """Return ns since the epoch.

    Raises:
        QueryError: the value says no instant (TR221); ``name`` is what it was given for.
    """
    try:
        return instant_ns(value)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise QueryError(
            f"{name} is no time: {value!r}",
            code="TR221",
            hint='write "2h" (ago), "2026-11-21", a datetime, or ns since the epoch',
        ) from error


def _count(value: int, name: str) -> int:
    if not isinstance(value, int) or value < 0:
        hint = "write 0 or more"
        raise QueryError(f"{name} is no number of things: {value!r}", code="TR221", hint=hint)
    return value


def _status(value: str) -> str:
    try:
        return RunStatus(value).value
    except ValueError as error:
        hint = f"one of {', '.join(RunStatus)}"
        raise QueryError(f"there is no status {value!r}", code="TR221", hint=hint) from error


def _step(value: str | float | timedelta | None) -> int | None:
    if value is None:
        return None
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else parse_duration(value)
    except ValueError as error:
        hint = 'write "5m", seconds, or a timedelta'
        raise QueryError(f"step: {error}", code="TR221", hint=hint) from error
    return round(seconds * _NS)
