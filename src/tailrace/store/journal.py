"""The write side of one run."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tailrace.codecs import FILE
from tailrace.errors import RUN_EXISTS, StoreError
from tailrace.model.ids import RunId
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    NodeFinished,
    NodeReused,
    Noted,
    RunFinished,
    RunStarted,
    ScopeFinished,
)
from tailrace.model.span import Recalled
from tailrace.model.states import Durability, RunStatus
from tailrace.store.blobs import LARGE, blob_folder, store_blob
from tailrace.store.fault import translate, translated
from tailrace.store.flusher import Flusher
from tailrace.store.keys import journal_range
from tailrace.store.load import load_projection, load_tail
from tailrace.store.recall import find_pending
from tailrace.store.save import insert_plan, insert_run, write_changes
from tailrace.store.writer import Writer
from tailrace.tracing.projection import Projection
from tailrace.tracing.spans import interruption
from tailrace.tracing.state import RunState
from tailrace.tracing.wire import encode_into

if TYPE_CHECKING:
    from tailrace.store.failures import Suppressed
    from tailrace.store.fallout import Fallout

_log = logging.getLogger(__name__)
BATCH = 512
"""Records after which the journal is projected into rows."""
_MOST_NOTES = 10_000
"""Notes that wait; who notes more writes them first, and while they cannot be written has them
dropped."""
_PATIENCE = 1.0
"""Seconds to wait for the store to be free for that."""
_APPEND = "INSERT INTO journal VALUES (?, ?)"
_TRUNCATE = "DELETE FROM journal WHERE id BETWEEN ? AND ?"
_TELLING = frozenset({AttemptFailed, NodeFinished, ScopeFinished, RunFinished})
"""Records that may hold a failure that counts."""
_STORING = frozenset({NodeFinished, NodeReused})
"""Records that may hold an output."""
_LASTING = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})
"""Ends of runs that survive the loss of power."""


class SqliteJournal:
    """Appends are one autocommitted row each; batches of them are projected into span rows.

    Guarantee: when ``append`` has returned, its records and all noted before them are in the
    file, in order, and survive what the store's durability promises. With RELAXED durability they
    are within 100 ms. Large outputs are in files of their own before the row that names them.
    Records of the first append, of the last one, and of one that fills a batch
    go straight into rows.

    Failures, their groups and the dead letter that the end of the run leaves, or settles, are
    written by the commits that write the records which tell of them.
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
        self._notes: deque[Noted] = deque()
        self._projection: Projection | None = Projection()
        self._open = True
        self._unsure = False
        self._stuck = False
        self.dropped = 0
        """Notes that were not written."""
        self._letter = ""
        self._fallout: Fallout | None = None
        self._suppressed: Suppressed | None = None
        self._refused: StoreError | None = None

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Make the records, and all noted before them, durable before returning.

        Raises:
            StoreError: they are not; the file is as it was before.
        """
        if not records:
            return
        for record in records:
            kind: type = record.__class__
            if kind in _STORING and len(record.output or b"") > LARGE:  # type: ignore[union-attr]
                records = self._with_files(records)
                break
        with self._lock:
            if not self._open:
                raise self._not_ours()
            if self._unsure:
                self._resync()
            notes = self._taken() if self._notes else []
            try:
                self._take(records, notes)
            except StoreError as error:
                self._notes.extendleft(reversed(notes))
                self._refused = error
                raise
            if self._refused is not None:
                self._refused = None
        if not self._flusher.armed:
            self._flusher.arm()

    def pending(self, key: str, since_ns: int) -> Recalled | None:
        """Return the newest output of a cached task that is not in rows yet.

        The caller holds the writer's lock.
        """
        return find_pending(self._run_id, self._pending, key, since_ns)

    def note(self, record: Noted) -> None:
        """Take it to be written with the next append, and within 200 ms."""
        notes = self._notes
        if self._open and (len(notes) < _MOST_NOTES or self._makes_room()):
            notes.append(record)
            if not self._flusher.armed:
                self._flusher.arm()

    def _makes_room(self) -> bool:
        """Write what waits on the thread that notes more than fits; False: it cannot be written."""
        if self._stuck or not self._lock.acquire(timeout=_PATIENCE):
            self._drop()
            return False
        try:
            is_written = self._flush()
        finally:
            self._lock.release()
        if not is_written:
            self._drop()
        return is_written

    def _drop(self) -> None:
        if not self.dropped:
            text = "spans and events of run %s are dropped: the store cannot be written"
            _log.warning(text, self._run_id)
        self.dropped += 1

    def flush(self) -> None:
        """Write what waits; from any thread. What cannot be written goes on waiting."""
        with self._lock:
            self._flush()

    def _flush(self) -> bool:
        """Do so with the lock held; False: it cannot be written."""
        if not (self._open and self._no and (self._pending or self._notes)):
            return True
        notes = self._taken()
        try:
            if self._unsure:
                self._resync()
            self._project(notes)
            self._stuck = False
        except StoreError:
            self._stuck = True
            self._notes.extendleft(reversed(notes))
            self._flusher.arm()
        return not self._stuck

    def close(self) -> None:
        """Write what waits and release the run.

        Without an end it is INTERRUPTED, or FAILED when the store refused its last records.

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
        if self._refused is not None and self._goes_on():
            self._project([*self._taken(), _refusal(self._refused)])
            return
        if self._pending or self._notes:
            self._project(self._taken())
        if self._goes_on():
            self._project([interruption(self._loaded())], is_lost=True)

    def _goes_on(self) -> bool:
        """Return whether the run has no end yet."""
        run = self._loaded().run
        return run is not None and run.end is None and _end(self._pending) is None

    def _with_files(self, records: Sequence[AnyRecord]) -> list[AnyRecord]:
        """Return the records with references in place of large outputs, whose files are written."""
        folder = blob_folder(self._writer.path)
        lasting = self._writer.durability is Durability.POWER
        kept: list[AnyRecord] = []
        for record in records:
            if isinstance(record, NodeFinished | NodeReused) and len(record.output or b"") > LARGE:
                try:
                    body = store_blob(folder, record.output or b"", lasting=lasting)
                except StoreError as error:
                    self._refused = error
                    raise
                record = replace(record, output=body, codec=FILE + record.codec)  # noqa: PLW2901 - it takes its place
            kept.append(record)
        return kept

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
            notes.popleft().take(taken)
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

    def _project(self, records: Sequence[AnyRecord], *, is_lost: bool = False) -> None:
        """Write the rows of what is pending and of ``records``, in one transaction.

        On a full disk the end of a run gets the room that was kept for it: for its rows, or for
        the bare record when what is pending takes more; whoever opens the file later does the rest.
        """
        try:
            self._commit(records, is_lost=is_lost)
        except StoreError as error:
            if _end(records) is None or not self._writer.frees_room(error):
                raise
            try:
                self._commit(records, is_lost=is_lost)
            except StoreError:
                if is_lost:  # it is lost for whoever opens the file later, too
                    raise
                self._write_ahead([*self._pending, *records] if self._relaxed else records)
                self._pending += records

    def _commit(self, records: Sequence[AnyRecord], *, is_lost: bool) -> None:
        no = self._no
        end = _end(records)
        lasting = end is not None and (end.status in _LASTING or bool(self._letter))
        try:
            with self._writer.transaction(lasting=lasting) as db:
                projection = self._loaded()
                if is_lost:  # while its attempts are open
                    self._folded(no).lose(projection, records)
                projection.apply(self._pending)
                projection.apply(records)
                no = self._write(db, projection, records)
                if not is_lost and self._fails(records):
                    self._folded(no).write([*self._pending, *records])
                if self._next > self._first:
                    self._execute(_TRUNCATE, (self._first, self._next))
        except StoreError:
            self._projection = None  # it is ahead of the file; it is loaded again
            self._forget_fallout()
            raise
        except BaseException:
            self._unsure = True
            self._forget_fallout()
            raise
        if self._suppressed is not None:
            self._suppressed.committed()
        if not self._no:
            self._no, (self._next, _) = no, journal_range(no)
        self._first = self._next
        self._pending.clear()

    def _fails(self, records: Sequence[AnyRecord]) -> bool:
        """Return whether failures, or the end of a redrive, are among what is to be written."""
        return (
            self._fallout is not None
            or _tell_of_failure(records)
            or _tell_of_failure(self._pending)
            or (_end(records) is not None and bool(self._letter))
        )

    def _folded(self, no: int) -> Fallout:
        """Return the fold of the run's failures, as far as the file knows them."""
        if self._fallout is None:
            from tailrace.store.failures import Suppressed  # noqa: PLC0415 - most runs succeed
            from tailrace.store.fallout import Fallout  # noqa: PLC0415 - likewise

            is_first = self._suppressed is None
            if self._suppressed is None:
                self._suppressed = Suppressed()
            self._fallout = Fallout(self._writer, no, self._suppressed, is_first=is_first)
        return self._fallout

    def _forget_fallout(self) -> None:
        """Drop a fold that is ahead of the file; the next one starts from the rows."""
        self._fallout = None
        if self._suppressed is not None:
            self._suppressed.rolled_back()

    def _write(
        self, db: sqlite3.Connection, projection: Projection, records: Sequence[AnyRecord]
    ) -> int:
        run, changes = projection.run, projection.drain()
        if run is None:
            raise StoreError("a journal begins with the record of its run's start")
        no = self._no or self._insert(db, run, records)
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

    def _insert(self, db: sqlite3.Connection, run: RunState, records: Sequence[AnyRecord]) -> int:
        started = next(record for record in records if isinstance(record, RunStarted))
        version = self._writer.versions.id(started.code_version)
        try:
            no = insert_run(db, run, started, version=version, writer=self._writer.lease.token)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"the store {self._writer.path} has a run {run.run_id!r} already",
                code=RUN_EXISTS,
                hint="every run needs an id of its own",
            ) from error
        if version is not None and started.fingerprints:
            insert_plan(db, no, started.fingerprints)
        self._letter = started.letter
        if started.letter:
            from tailrace.store.letters import begin_redrive  # noqa: PLC0415 - few runs are redrives

            begin_redrive(db, started.letter, started.generation, run.run_id)
        return no

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


def _end(records: Sequence[AnyRecord]) -> RunFinished | None:
    """Return the record that ends the run; None when it goes on."""
    for record in reversed(records):
        if record.__class__ is RunFinished:
            return record
    return None


def _tell_of_failure(records: Iterable[AnyRecord]) -> bool:
    for record in records:
        kind: type = record.__class__
        if kind in _TELLING and getattr(record, "failure", None) is not None:
            return True
    return False


def _refusal(error: StoreError) -> RunFinished:
    """Return the record that ends a run whose records the store refused to take."""
    from tailrace.failures import capture  # noqa: PLC0415 - stores seldom refuse

    return RunFinished(time.time_ns(), RunStatus.FAILED, capture(error))
