"""The resilient event stream in the store's file: events, attempts, and what imports remember."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import NotFound
from tailrace.events.attempts import AttemptRow, StreamChanges, WorkCounts
from tailrace.model import Durability
from tailrace.model.event import Event, EventCounts, EventFilter
from tailrace.store.adapter import FileAdapter
from tailrace.store.event_rows import (
    ATTEMPT_COLUMNS,
    EVENT_COLUMNS,
    INSERT_EVENT,
    PUT_ATTEMPT,
    attempt_of,
    attempt_row,
    event_of,
    event_row,
    where,
)
from tailrace.store.fault import translate
from tailrace.store.limits import StoreLimits
from tailrace.store.liveness import is_alive, live_folder
from tailrace.store.sqlite import SqliteStore, shared_store
from tailrace.store.writer import TIDY_COMMITS, Writer

_OPEN_ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM stream_attempt WHERE ended IS NULL"  # noqa: S608 - constant text
_KEPT = """SELECT a.attempt_id FROM stream_attempt AS a WHERE a.ended IS NULL
UNION SELECT a.attempt_id FROM dead_letter AS d JOIN stream_attempt AS a ON a.task_key = d.task_key
WHERE d.kind = 'event' AND d.state IN ('open', 'parked', 'redriving')"""
_WAITED_FOR = """SELECT failure_id FROM dead_letter
WHERE kind = 'event' AND state IN ('open', 'parked', 'redriving')"""
_WORK = """SELECT count(*), total(attempts), total(state = 'succeeded'),
total(state IN ('failed', 'lost')), total(state = 'cancelled'),
total(state IN ('running', 'waiting')), total(state = 'succeeded' AND attempts > 1)
FROM (SELECT count(*) AS attempts, max((generation << 32) + attempt), state
  FROM stream_attempt GROUP BY task_key)"""
"""A plain column beside ``max()`` is that of the row which has it: the last attempt's state."""
_PURGED = f"""FROM stream_event WHERE ts < ?1 AND seq < (SELECT max(seq) FROM stream_event)
AND (?2 = '[]' OR status IN (SELECT value FROM json_each(?2)))
AND attempt_id NOT IN ({_KEPT}) AND failure_id NOT IN ({_WAITED_FOR})"""  # noqa: S608 - constant text
_PURGED_ATTEMPTS = f"""DELETE FROM stream_attempt WHERE ended < ?1
AND attempt_id NOT IN ({_KEPT})
AND attempt_id NOT IN (SELECT attempt_id FROM stream_event WHERE attempt_id <> '')"""  # noqa: S608 - likewise
_MOST_MATCHES = 5


class SqliteEventLog(FileAdapter):
    """Events in one SQLite file, beside the runs.

    An event is durable when ``append`` returns: it survives SIGKILL, and with
    ``Durability.POWER`` the loss of power. Concurrency: any number of threads and processes may
    write; each writer's events keep their order, and readers block nobody.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = Durability.PROCESS,
        limits: StoreLimits | None = None,
    ) -> None:
        super().__init__(path, durability=durability, limits=limits)
        self._durability = durability
        self._limits = limits
        self._shared: SqliteStore | None = None

    @property
    def owner(self) -> str:
        """Token of this process; its lock tells others that it lives."""
        return self._store().worker_id

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Make the events durable and return them with their ``seq``.

        Raises:
            StoreError: nothing was written.
        """
        if len(events) != 1:
            return self.commit(StreamChanges(events=tuple(events)))
        row = event_row(events[0])
        writer = self._store().writer
        with writer.lock:
            try:
                seq = writer.cursor.execute(INSERT_EVENT, row).lastrowid or 0
            except sqlite3.Error as error:
                raise translate(error, self.path, "write") from error
            writer.commits += 1
        if writer.commits >= TIDY_COMMITS:
            _tidy(writer)
        return [msgspec.structs.replace(events[0], seq=seq)]

    def commit(self, changes: StreamChanges) -> list[Event]:
        """Make events, attempts, failures and dead letters durable together.

        Where there are dead letters, they survive the loss of power, too.

        Raises:
            StoreError: nothing was written.
        """
        return self._store().write(
            lambda writer: write_changes(writer, changes), lasting=bool(changes.letters)
        )

    def events(
        self, wanted: EventFilter, *, limit: int = 50, oldest_first: bool = False
    ) -> list[Event]:
        """Return events in the order of ``seq``, the newest first unless ``oldest_first``."""
        condition, params = where(wanted)
        order = "ASC" if oldest_first else "DESC"
        query = f"SELECT {EVENT_COLUMNS} FROM stream_event WHERE {condition} ORDER BY seq {order} LIMIT ?"  # noqa: E501, S608 - the condition holds placeholders only
        with self._file.reading() as db:
            found = db.execute(query, (*params, limit)).fetchall()
        return [event_of(row) for row in found]

    def event(self, prefix: str) -> Event:
        """Return the one event whose id begins so (``EVT-`` may be left out).

        The id that an imported event had in its file is known, too.

        Raises:
            NotFound: TR513, none, or more than one, matches.
        """
        start = "EVT-" + prefix.strip().removeprefix("EVT-")
        found = self._matching("event_id", start) or self._matching("legacy_id", start)
        if len(found) == 1 or (found and found[0].event_id == start):
            return found[0]
        shown = ", ".join(event.event_id for event in found)
        raise NotFound(
            f"{len(found) or 'no'} events have an id that begins with {prefix!r}"
            + (f": {shown}" if found else f" in {self.path}"),
            code="TR513",
            hint="take an id from: tailrace events list",
            details={"prefix": prefix, "matches": [event.event_id for event in found]},
        )

    def counts(self, wanted: EventFilter) -> EventCounts:
        """Return exact counts."""
        condition, params = where(wanted)
        query = f"SELECT status, category, type, count(*), min(ts), max(ts) FROM stream_event WHERE {condition} GROUP BY 1, 2, 3"  # noqa: E501, S608 - the condition holds placeholders only
        with self._file.reading() as db:
            found = db.execute(query, params).fetchall()
        return EventCounts(
            total=sum(row[3] for row in found),
            by_status=_summed(found, 0),
            by_category=_summed(found, 1),
            by_type=_summed(found, 2),
            first_ns=min((row[4] for row in found), default=0),
            last_ns=max((row[5] for row in found), default=0),
        )

    def purge(self, *, until_ns: int, statuses: Sequence[str] = ()) -> int:
        """Delete events older than that, in one commit, and return how many.

        Those of attempts that are open, and of dead letters that are not settled, stay; so does
        the newest event, whose ``seq`` the next one continues.
        """
        wanted = (until_ns, msgspec.json.encode(list(statuses)).decode())

        def act(writer: Writer) -> int:
            count = writer.db.execute(f"DELETE {_PURGED}", wanted).rowcount
            writer.db.execute(_PURGED_ATTEMPTS, (until_ns,))
            return count

        return self._store().write(act)

    def take_lost(self) -> list[AttemptRow]:
        """Take over the open attempts of processes that died, oldest first; each has one taker."""
        return self._store().write(_take_lost)

    def attempts(self, task_key: str) -> list[AttemptRow]:
        """Return the attempts of a piece of work, by generation and number."""
        query = f"SELECT {ATTEMPT_COLUMNS} FROM stream_attempt WHERE task_key = ? ORDER BY generation, attempt"  # noqa: E501, S608 - constant text
        with self._file.reading() as db:
            return [attempt_of(row) for row in db.execute(query, (task_key,)).fetchall()]

    def work(self) -> WorkCounts:
        """Return exact counts of all work."""
        with self._file.reading() as db:
            numbers = map(int, db.execute(_WORK).fetchone())
        total, attempts, succeeded, failed, cancelled, is_open, healed = numbers
        return WorkCounts(
            total=total,
            succeeded=succeeded,
            failed=failed,
            cancelled=cancelled,
            open=is_open,
            attempts=attempts,
            retries=attempts - total,
            healed=healed,
        )

    def _matching(self, column: str, start: str) -> list[Event]:
        query = f"SELECT {EVENT_COLUMNS} FROM stream_event WHERE {column} BETWEEN ? AND ? AND {column} <> '' ORDER BY {column} LIMIT ?"  # noqa: E501, S608 - constant text
        with self._file.reading() as db:
            found = db.execute(query, (start, start + "\x7f", _MOST_MATCHES)).fetchall()
        return [event_of(row) for row in found]

    def _store(self) -> SqliteStore:
        """Return the process's store; looked up once, since that costs as much as a write."""
        store = self._shared
        if store is None or store.is_closed:
            store = shared_store(self.path, durability=self._durability, limits=self._limits)
            self._shared = store
        return store


def write_changes(writer: Writer, changes: StreamChanges) -> list[Event]:
    """Write what belongs together, inside a transaction of the writer."""
    stored = []
    for event in changes.events:
        seq = writer.db.execute(INSERT_EVENT, event_row(event)).lastrowid or 0
        stored.append(msgspec.structs.replace(event, seq=seq))
    token = writer.lease.token
    rows = [attempt_row(attempt, token) for attempt in changes.attempts]
    writer.db.executemany(PUT_ATTEMPT, rows)
    if changes.failures or changes.letters:
        dated = [writer.limits.dated(letter) for letter in changes.letters]
        writer.failures.record(changes.failures, dated)
    return stored


def _take_lost(writer: Writer) -> list[AttemptRow]:
    folder = live_folder(writer.path)
    found = [attempt_of(row) for row in writer.db.execute(_OPEN_ATTEMPTS).fetchall()]
    dead = {owner for owner in {row.owner for row in found} if not is_alive(folder, owner)}
    lost = [row for row in found if row.owner in dead]
    writer.db.executemany(
        "UPDATE stream_attempt SET owner = ? WHERE attempt_id = ?",
        [(writer.lease.token, row.attempt_id) for row in lost],
    )
    return sorted(lost, key=lambda row: (row.started_ns, row.attempt_id))


def _summed(rows: Sequence[Sequence[Any]], column: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        if row[column]:
            sums[row[column]] = sums.get(row[column], 0) + row[3]
    return sums


def _tidy(writer: Writer) -> None:
    threading.Thread(target=writer.tidy, name="tailrace-tidy", daemon=True).start()
