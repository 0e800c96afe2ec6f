"""An event stream in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import msgspec

from tailrace.errors import NotFound
from tailrace.events.attempts import AttemptRow, AttemptState, StreamChanges, WorkCounts
from tailrace.events.event_json import to_json
from tailrace.model.event import Event, EventCounts, EventFilter
from tailrace.ports import FailureLog


class MemoryEventLog:
    """Keeps events and attempts for as long as it lives; one process, any number of threads.

    Args:
        failures: takes the failures and dead letters of the stream, such as a ``MemoryStore``;
            None: they are dropped.
    """

    owner = "memory"

    def __init__(self, failures: FailureLog | None = None) -> None:
        self._failures = failures
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._attempts: dict[str, AttemptRow] = {}
        self._seq = 0

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Keep the events and return them with their ``seq``."""
        return self.commit(StreamChanges(events=tuple(events)))

    def commit(self, changes: StreamChanges) -> list[Event]:
        """Keep what belongs together."""
        with self._lock:
            stored = [
                msgspec.structs.replace(event, seq=self._seq + number)
                for number, event in enumerate(changes.events, 1)
            ]
            self._seq += len(stored)
            self._events += map(_complete, stored)
            for row in changes.attempts:
                owner = row.owner or (self.owner if row.ended_ns is None else "")
                self._attempts[row.attempt_id] = msgspec.structs.replace(row, owner=owner)
        if self._failures is not None and (changes.failures or changes.letters):
            self._failures.record(changes.failures, changes.letters)
        return stored

    def events(
        self, wanted: EventFilter, *, limit: int = 50, oldest_first: bool = False
    ) -> list[Event]:
        """Return events in the order of ``seq``, the newest first unless ``oldest_first``."""
        found = self._matching(wanted)
        return (found if oldest_first else found[::-1])[:limit]

    def event(self, prefix: str) -> Event:
        """Return the one event whose id begins so (``EVT-`` may be left out).

        Raises:
            NotFound: TR513, none, or more than one, matches.
        """
        start = "EVT-" + prefix.strip().removeprefix("EVT-")
        everything = self._matching(EventFilter())
        found = [event for event in everything if event.event_id.startswith(start)]
        found = found or [event for event in everything if event.legacy_id.startswith(start)]
        if len(found) != 1:
            raise NotFound(
                f"{len(found) or 'no'} events have an id that begins with {prefix!r}", code="TR513"
            )
        return found[0]

    def counts(self, wanted: EventFilter) -> EventCounts:
        """Return exact counts."""
        found = self._matching(wanted)
        return EventCounts(
            total=len(found),
            by_status=dict(Counter(event.status for event in found)),
            by_category=dict(Counter(event.category for event in found if event.category)),
            by_type=dict(Counter(event.type for event in found if event.type)),
            first_ns=min((event.ts_ns for event in found), default=0),
            last_ns=max((event.ts_ns for event in found), default=0),
        )

    def purge(self, *, until_ns: int, statuses: Sequence[str] = ()) -> int:
        """Delete events older than that, but those of open attempts and the newest."""
        with self._lock:
            kept = {row.attempt_id for row in self._attempts.values() if row.ended_ns is None}
            stay = [
                event
                for event in self._events
                if event.ts_ns >= until_ns
                or event.seq == self._seq
                or (statuses and event.status not in statuses)
                or event.attempt_id in kept
            ]
            gone = len(self._events) - len(stay)
            self._events = stay
        return gone

    def take_lost(self) -> list[AttemptRow]:
        """Take over the open attempts that nobody owns any more; the process is one and lives."""
        with self._lock:
            lost = [
                row
                for row in self._attempts.values()
                if row.ended_ns is None and row.owner != self.owner
            ]
            for row in lost:
                taken = msgspec.structs.replace(row, owner=self.owner)
                self._attempts[row.attempt_id] = taken
        return sorted(lost, key=lambda row: (row.started_ns, row.attempt_id))

    def attempts(self, task_key: str) -> list[AttemptRow]:
        """Return the attempts of a piece of work, by generation and number."""
        with self._lock:
            found = [row for row in self._attempts.values() if row.task_key == task_key]
        return sorted(found, key=_number)

    def work(self) -> WorkCounts:
        """Return exact counts of all work."""
        with self._lock:
            rows = sorted(self._attempts.values(), key=_number)
        last = {row.task_key: AttemptState(row.state) for row in rows}
        tries = Counter(row.task_key for row in rows)
        states = Counter(last.values())
        return WorkCounts(
            total=len(last),
            succeeded=states[AttemptState.SUCCEEDED],
            failed=states[AttemptState.FAILED] + states[AttemptState.LOST],
            cancelled=states[AttemptState.CANCELLED],
            open=states[AttemptState.RUNNING] + states[AttemptState.WAITING],
            attempts=len(rows),
            retries=len(rows) - len(last),
            healed=sum(
                state is AttemptState.SUCCEEDED and tries[key] > 1 for key, state in last.items()
            ),
        )

    def _matching(self, wanted: EventFilter) -> list[Event]:
        with self._lock:
            events = tuple(self._events)
        return [event for event in events if _matches(event, wanted)]


def _number(row: AttemptRow) -> tuple[int, int]:
    return row.generation, row.attempt


def _complete(event: Event) -> Event:
    body = to_json(event)
    del body["seq"]
    return msgspec.structs.replace(event, body=body)


def _matches(event: Event, wanted: EventFilter) -> bool:
    pairs = (
        (wanted.status, event.status),
        (wanted.type, event.type),
        (wanted.source, event.source),
        (wanted.category, event.category),
        (wanted.parent, event.parent_id),
    )
    if any(wish and wish != value for wish, value in pairs):
        return False
    prefix = "v1:" + wanted.fingerprint.removeprefix("v1:")
    if wanted.fingerprint and not (
        event.fp_site.startswith(prefix) or event.fp_template.startswith(prefix)
    ):
        return False
    if wanted.tag and wanted.tag not in event.body["tags"]:
        return False
    since, until = wanted.since_ns, wanted.until_ns
    if since is not None and event.ts_ns < since:
        return False
    return (until is None or event.ts_ns < until) and event.seq > wanted.after_seq
