"""The event streams of the older program, under their old names.

A program moves over by changing its import::

    from tailrace.compat.resonant import get_resilient_stream

What the names mean is the same; what was wrong behind them is not. The streams write to the
project's database in place of ``logs/event_stream.jsonl`` and ``logs/dead_letter_queue.jsonl``;
``tailrace events import`` brings the old files in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tailrace.errors import NotFound
from tailrace.events.causality import causes_of
from tailrace.events.emitted import Emitted
from tailrace.events.event_json import to_json
from tailrace.events.exporter import read_all
from tailrace.events.stream import ResilientEventStream as Stream
from tailrace.model.event import Event, EventFilter, EventStatus
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.runtime.events import stream_arguments

__all__ = [
    "ErrorCategory",
    "EventStatus",
    "ResilientEventStream",
    "ResonantEventStream",
    "emit",
    "emit_with_retry",
    "get_resilient_stream",
    "get_stream",
]
_MOST_DELAY = 300.0
"""Seconds of the longest backoff of the older program."""
_ALL = 1 << 62


class ErrorCategory(str, Enum):  # noqa: UP042 - the older program's class, ``str()`` included
    """What an error means for a retry."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


class RetryStrategy(Protocol):
    """A backoff strategy as the older program had them."""

    def get_backoff_with_jitter(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number ``attempt``, counted from 0."""
        ...


class ResilientEventStream(Stream):
    """The resilient stream with the older program's constructor and queries.

    Subclasses may override ``_classify_error``. Event lists are complete and newest first, and
    an event is the mapping that its JSON is.
    """

    def __init__(
        self,
        stream_path: Path | str | None = None,
        dead_letter_path: Path | str | None = None,
        max_retries: int = 3,
        retry_backoff_base: float = 2.0,
        enable_metrics: bool = True,  # noqa: FBT001, FBT002 - the older signature
        retry_strategy: RetryStrategy | None = None,
        **options: Any,
    ) -> None:
        """Open the stream.

        Args:
            stream_path: where the older program wrote its JSON lines; the database stands beside
                it, under the same name with ``.db``. None: the project's database.
            dead_letter_path: kept, but not needed: dead letters are in the same database.
            max_retries: tries after the first.
            retry_backoff_base: waits grow as its powers: 2, 4, 8 seconds.
            enable_metrics: kept, but not needed: numbers are counted when asked for.
            retry_strategy: says how long to wait, in place of ``retry_backoff_base``.
            options: of the stream itself; ``policy`` replaces the four above.
        """
        arguments = stream_arguments(_database_beside(stream_path))
        arguments["policy"] = _policy(max_retries, retry_backoff_base, retry_strategy)
        arguments.update(options)
        super().__init__(**arguments)
        self.stream_path = stream_path
        self.dead_letter_path = dead_letter_path
        self.max_retries = max_retries
        self.retry_backoff_base = retry_backoff_base
        self.metrics_enabled = enable_metrics
        self.recover()

    def get_failed_events(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the failed events, newest first; None: all of them."""
        return self._of_status(EventStatus.FAILED, limit)

    def get_dead_letter_queue(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the events of dead letters, newest first; None: all of them."""
        return self._of_status(EventStatus.DEAD_LETTER, limit)

    def get_retry_candidates(self) -> list[dict[str, Any]]:
        """Return the events of dead letters whose error was transient, newest first."""
        wanted = EventFilter(status=EventStatus.DEAD_LETTER.value, category="transient")
        return [to_json(event) for event in self.log.events(wanted, limit=_ALL)]

    def query(
        self,
        event_type: str | None = None,
        source: str | None = None,
        related_hypothesis_id: str | None = None,
        tags: Sequence[str] | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return the newest events, newest first, that match all that is given.

        Args:
            event_type: of this type.
            source: of this source.
            related_hypothesis_id: evidence for this.
            tags: with at least one of them.
            since: not older; local time where it names no zone.
            limit: at most so many.
        """
        since_ns = None if since is None else int(since.timestamp() * 1e9)
        wanted = EventFilter(type=event_type or "", source=source or "", since_ns=since_ns)
        found: deque[Event] = deque(maxlen=limit)
        for event in read_all(self.log, wanted):
            body = event.body
            if related_hypothesis_id and body["related_hypothesis_id"] != related_hypothesis_id:
                continue
            if tags and not set(tags) & set(body["tags"]):
                continue
            found.append(event)
        return [to_json(event) for event in reversed(found)]

    def trace_causality(self, event_id: str) -> list[dict[str, Any]]:
        """Return an event and all that led to it, the first cause first; empty when unknown."""
        try:
            return [to_json(event) for event in causes_of(self.log, event_id)]
        except NotFound:
            return []

    def get_timeline(self, hypothesis_id: str) -> list[dict[str, Any]]:
        """Return the newest 1,000 events that are evidence for something, newest first."""
        return self.query(related_hypothesis_id=hypothesis_id, limit=1000)

    def _of_status(self, status: EventStatus, limit: int | None) -> list[dict[str, Any]]:
        wanted = EventFilter(status=status.value)
        found = self.log.events(wanted, limit=_ALL if limit is None else limit)
        return [to_json(event) for event in found]


class ResonantEventStream(ResilientEventStream):
    """The stream before it was resilient: the same, with the older order of arguments.

    An event without status is a success or failure by its exit code, failed with an error,
    retrying with a retry, and else pending.
    """

    def emit(  # type: ignore[override]  # noqa: PLR0913, PLR0917 - the older signature
        self,
        event_type: str,
        source: str = "",
        data: Mapping[str, Any] | None = None,
        parent_event_id: str | None = None,
        related_hypothesis_id: str | None = None,
        tags: Sequence[str] | None = None,
        latency_ms: int | None = None,
        exit_code: int | None = None,
        importance: int = 3,
        status: EventStatus | Enum | str | None = None,
        error_info: Mapping[str, Any] | None = None,
        retry_info: Mapping[str, Any] | None = None,
    ) -> str:
        """Record that something happened, durably, and return the event's id."""
        if status is None:
            status = _implied_status(exit_code, error_info, retry_info)
        return super().emit(
            event_type,
            source,
            data,
            parent_event_id,
            related_hypothesis_id,
            tags,
            importance,
            status,
            error_info,
            retry_info,
            latency_ms=latency_ms,
            exit_code=exit_code,
        )


@cache
def get_resilient_stream() -> ResilientEventStream:
    """Return this process's resilient stream of the project's database."""
    return ResilientEventStream()


@cache
def get_stream() -> ResonantEventStream:
    """Return this process's older stream, of the same database."""
    return ResonantEventStream()


def emit(
    event_type: str, source: str = "", data: Mapping[str, Any] | None = None, **keys: Any
) -> str:
    """Record an event in the project's stream."""
    return get_resilient_stream().emit(event_type, source, data, **keys)


def emit_with_retry(
    event_type: str, source: str, action: Callable[[], Any], **options: Any
) -> Emitted:
    """Run an action through the project's stream."""
    return get_resilient_stream().emit_with_retry(event_type, source, action, **options)


def _implied_status(
    exit_code: int | None,
    error_info: Mapping[str, Any] | None,
    retry_info: Mapping[str, Any] | None,
) -> EventStatus:
    if exit_code is not None:
        return EventStatus.SUCCESS if exit_code == 0 else EventStatus.FAILED
    if error_info:
        return EventStatus.FAILED
    return EventStatus.RETRYING if retry_info else EventStatus.PENDING


def _database_beside(stream_path: Path | str | None) -> Path | None:
    return None if stream_path is None else Path(stream_path).with_suffix(".db")


def _policy(retries: int, base: float, strategy: RetryStrategy | None) -> RetryPolicy:
    if strategy is None:
        return RetryPolicy(
            max_attempts=retries, base=base, factor=base, max_delay=_MOST_DELAY, jitter=0.2
        )
    delays = strategy.get_backoff_with_jitter
    return RetryPolicy(
        max_attempts=retries,
        schedule=lambda attempt: delays(attempt - 1),
        max_delay=_MOST_DELAY,
        jitter="none",
    )
