"""The one connection through which a process writes a store's file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tailrace.errors import StoreError
from tailrace.model.states import Durability
from tailrace.store.ballast import Ballast
from tailrace.store.connection import open_writer
from tailrace.store.fault import DISK_FULL, cannot_open, damaged, translate
from tailrace.store.interned import Interned, Text
from tailrace.store.limits import StoreLimits
from tailrace.store.liveness import Lease, live_folder
from tailrace.store.shapes import ShapeTable

if TYPE_CHECKING:
    from tailrace.store.failures import FailureTable

TIDY_COMMITS = 4_000
"""Commits, of a page or two each, after which the log is copied back into the file."""
_PAGES_OF_A_BATCH = 20

_INHERITED: list[sqlite3.Connection] = []
"""Connections of a parent process: a forked child must neither use nor close them."""


class Writer:
    """A connection, the lock that every use of it holds, and this process's sign of life.

    Raises:
        StoreError: the file cannot be opened for writing.
    """

    def __init__(
        self, path: Path, durability: Durability, limits: StoreLimits | None = None
    ) -> None:
        self.path = path
        self.durability = durability
        self.limits = limits or StoreLimits()
        self.ballast = Ballast(path)
        self.lock = threading.Lock()
        self.commits = 0
        """Commits since the log was copied back, a batch counting as many."""
        self.db = open_writer(path, durability)
        try:
            self.lease = Lease(live_folder(path))
        except OSError as error:
            self.db.close()
            raise cannot_open(path, error) from error
        self.cursor = self.db.cursor()
        """For single statements; saves making one each time."""
        self.shapes = ShapeTable(self.db)
        self.versions = Interned(self.db, Text.VERSION)
        self._failures: FailureTable | None = None
        self.ballast.lay()

    @property
    def failures(self) -> FailureTable:
        """Where failures are written; made when the first one is."""
        if self._failures is None:
            from tailrace.store.failures import FailureTable  # noqa: PLC0415 - most runs succeed
            from tailrace.store.flood import Flood  # noqa: PLC0415 - likewise

            self._failures = FailureTable(self.db, self.versions, Flood(self.limits.flood))
        return self._failures

    def limit(self, limits: StoreLimits) -> None:
        """Keep these bounds from now on."""
        with self.lock:
            if limits != self.limits:
                self.limits = limits
                self._failures = None

    def tidy(self) -> None:
        """Copy the log back into the file when there is enough of it.

        For a thread of its own: most of the copying, and its fsync, happens without the lock, so
        commits go on meanwhile. The little that has come since is copied under it, which lets the
        log begin anew.
        """
        if self.ballast.is_spent:
            self.ballast.lay()
        if self.commits < TIDY_COMMITS:
            return
        self.commits = 0
        with suppress(sqlite3.Error):  # a full disk or a lock shows itself to the next commit
            with closing(sqlite3.connect(self.path, timeout=0)) as beside:
                beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            with self.lock:
                self.cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextmanager
    def transaction(self, *, lasting: bool = False) -> Iterator[sqlite3.Connection]:
        """Commit what the body wrote, or nothing. The caller holds the lock.

        With ``lasting`` it survives the loss of power, whatever the store's durability.

        Raises:
            StoreError: it could not be written; the file is as before.
        """
        lasting = lasting and self.durability is not Durability.POWER
        try:
            if lasting:
                self.cursor.execute("PRAGMA synchronous = FULL")
            self.cursor.execute("BEGIN IMMEDIATE")
            yield self.db
            self.cursor.execute("COMMIT")
            self.commits += _PAGES_OF_A_BATCH
            if self._failures is not None:
                self._failures.committed()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path, "write") from error
            if isinstance(error, msgspec.MsgspecError | ValueError):
                raise damaged(self.path, str(error)) from error
            raise
        finally:
            if lasting:
                with suppress(sqlite3.Error):
                    self.cursor.execute("PRAGMA synchronous = NORMAL")

    def _roll_back(self) -> None:
        self.shapes.forget()
        self.versions.forget()
        if self._failures is not None:
            self._failures.forget()
        if self.db.in_transaction:
            with suppress(sqlite3.Error):
                self.cursor.execute("ROLLBACK")

    def frees_room(self, error: StoreError) -> bool:
        """Return whether what failed with this error may succeed now, for the ballast is gone."""
        return error.code == DISK_FULL and self.ballast.free()

    def close(self) -> None:
        """Copy the log back into the file as far as readers allow, and let go."""
        with self.lock:
            with suppress(sqlite3.Error):
                self.cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self.cursor.close()
            self.db.close()
            self.lease.release()

    def leave_to_parent(self) -> None:
        """Let go in a forked child without touching what the parent goes on using."""
        _INHERITED.append(self.db)
        self.lease.forget()
