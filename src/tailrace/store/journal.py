"""The write side of one run."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tailrace.errors import StoreError
from tailrace.model.ids import RunId
from tailrace.model.journal import AnyRecord, RunFinished
from tailrace.model.states import Durability
from tailrace.store.fault import translate, translated
from tailrace.store.flusher import Flusher
from tailrace.store.keys import journal_range
from tailrace.store.load import load_projection, load_tail
from tailrace.store.save import insert_run, write_changes
from tailrace.store.writer import Writer
from tailrace.tracing.projection import Projection
from tailrace.tracing.spans import interruption
from tailrace.tracing.state import RunState
from tailrace.tracing.wire import encode_into

BATCH = 512
"""Records after which the journal is projected into rows."""
_MOST_NOTES = 10_000
"""Notes kept while the store cannot be written."""
_APPEND = "INSERT INTO journal VALUES (?, ?)"
_TRUNCATE = "DELETE FROM journal WHERE id BETWEEN ? AND ?"


class SqliteJournal:
    """Appends are one autocommitted row each; batches of them are projected into span rows.

    Guarantee: when ``append`` has returned, its records and all noted before them are in the
    file, in order, and survive what the store's durability promises. With RELAXED durability they
    are within 100 ms. Records of the first append, of the last one, and of one that fills a batch
    go straight into rows.
    """

    def __init__(
        self,
        run_id: RunId,
        writer: Writer,
        flusher: Flusher,
        released: Callable[[SqliteJournal], None],
    ) -> None:
        self._run_id = run_id
        self._writer = writer
        self._lock = writer.lock
        self._flusher = flusher
        self._released = released
        self._relaxed = writer.durability is Durability.RELAXED
        self._execute = writer.cursor.execute
        self._no = 0
        self._first = self._next = 0
        self._buffer = bytearray()
        self._pending: list[AnyRecord] = []
        self._notes: deque[AnyRecord] = deque()
        self._projection: Projection | None = Projection()
        self._open = True
        self._unsure = False

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Make the records, and all noted before them, durable before returning.

        Raises:
            StoreError: they are not; the file is as it was before.
        """
        if not records:
            return
        with self._lock:
            if not self._open:
                raise self._not_ours()
            if self._unsure:
                self._resync()
            notes = self._taken() if self._notes else []
            try:
                self._take(records, notes)
            except StoreError:
                self._notes.extendleft(reversed(notes))
                raise
        if not self._flusher.armed:
            self._flusher.arm()

    def note(self, record: AnyRecord) -> None:
        """Take a record to be written with the next append, and within 200 ms."""
        notes = self._notes
        if self._open and len(notes) < _MOST_NOTES:
            notes.append(record)
            if not self._flusher.armed:
                self._flusher.arm()

    def flush(self) -> None:
        """Write what waits; from any thread. What cannot be written goes on waiting."""
        with self._lock:
            if not (self._open and self._no and (self._pending or self._notes)):
                return
            notes = self._taken()
            try:
                if self._unsure:
                    self._resync()
                self._project(notes)
            except StoreError:
                self._notes.extendleft(reversed(notes))
                self._flusher.arm()

    def close(self) -> None:
        """Write what waits and release the run; without an end it is INTERRUPTED.

        Raises:
            StoreError: it could not be written; the next program that opens the file will.
        """
        with self._lock:
            if not self._open:
                return
            self._open = False
            try:
                self._finish()
            finally:
                self._projection = None
                self._released(self)

    def abandon(self) -> None:
        """Make the journal useless in a forked child; the run is the parent's."""
        self._lock = threading.Lock()
        self._open = False
        self._notes.clear()

    def _finish(self) -> None:
        if self._unsure:
            self._resync()
        if not self._no:
            return
        if self._pending or self._notes:
            self._project(self._taken())
        projection = self._loaded()
        if projection.run is not None and projection.run.end is None:
            self._project([interruption(projection)])

    def _take(self, records: Sequence[AnyRecord], notes: list[AnyRecord]) -> None:
        if notes:
            records = [*notes, *records] if self._no else [*records, *notes]
        pending = self._pending
        if (
            not self._no
            or len(pending) + len(records) > BATCH
            or records[-1].__class__ is RunFinished
        ):
            self._project(records)
            return
        if not self._relaxed:
            self._write_ahead(records)
        pending += records

    def _taken(self) -> list[AnyRecord]:
        taken: list[AnyRecord] = []
        notes = self._notes
        while notes:
            taken.append(notes.popleft())
        return taken

    def _write_ahead(self, records: Sequence[AnyRecord]) -> None:
        encode_into(records, self._buffer)
        try:
            self._execute(_APPEND, (self._next, self._buffer))
        except sqlite3.Error as error:
            raise translate(error, self._writer.path, "write") from error
        except BaseException:
            self._unsure = True
            raise
        self._next += 1
        self._writer.commits += 1

    def _project(self, records: Sequence[AnyRecord]) -> None:
        """Write the rows of what is pending and of ``records``, in one transaction."""
        no = self._no
        try:
            with self._writer.transaction() as db:
                projection = self._loaded()
                projection.apply(self._pending)
                projection.apply(records)
                no = self._write(db, projection)
                if self._next > self._first:
                    self._execute(_TRUNCATE, (self._first, self._next))
        except StoreError:
            self._projection = None  # it is ahead of the file; it is loaded again
            raise
        except BaseException:
            self._unsure = True
            raise
        if not self._no:
            self._no, (self._next, _) = no, journal_range(no)
        self._first = self._next
        self._pending.clear()

    def _write(self, db: sqlite3.Connection, projection: Projection) -> int:
        run, changes = projection.run, projection.drain()
        if run is None:
            raise StoreError("a journal begins with the record of its run's start")
        no = self._no or self._insert(db, run)
        if not write_changes(db, self._writer.shapes, no, run, changes):
            raise self._gone()
        return no

    def _resync(self) -> None:
        """Read back where the file stands: an interrupt hit a statement that may have worked."""
        db = self._writer.db
        with translated(self._writer.path, "read"):
            row = db.execute("SELECT no FROM run WHERE run_id = ?", (self._run_id,)).fetchone()
            self._no = 0 if row is None else row[0]
            self._first, last = journal_range(self._no)
            query = "SELECT max(id) FROM journal WHERE id BETWEEN ? AND ?"
            newest = db.execute(query, (self._first, last)).fetchone()[0]
            self._next = self._first if newest is None else newest + 1
            self._pending = load_tail(db, self._no)
        self._projection = None
        self._unsure = False

    def _insert(self, db: sqlite3.Connection, run: RunState) -> int:
        try:
            return insert_run(db, run, self._writer.lease.token)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"the store {self._writer.path} has a run {run.run_id!r} already",
                hint="every run needs an id of its own",
            ) from error

    def _loaded(self) -> Projection:
        if self._projection is None:
            loaded = load_projection(self._writer.db, self._no) if self._no else Projection()
            if loaded is None:
                raise self._gone()
            self._projection = loaded
        return self._projection

    def _gone(self) -> StoreError:
        return StoreError(
            f"run {self._run_id!r} was deleted from {self._writer.path} while it ran", code="TR503"
        )

    def _not_ours(self) -> StoreError:
        return StoreError(
            f"the journal of run {self._run_id!r} is closed, or belongs to the parent process"
        )
