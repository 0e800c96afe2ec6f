"""The one connection through which a process writes a store's file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from tailrace.model.states import Durability
from tailrace.store.connection import open_writer
from tailrace.store.fault import cannot_open, damaged, translate
from tailrace.store.liveness import Lease, live_folder
from tailrace.store.shapes import ShapeTable

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

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        self.durability = durability
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

    def tidy(self) -> None:
        """Copy the log back into the file when there is enough of it.

        For a thread of its own: most of the copying, and its fsync, happens without the lock, so
        commits go on meanwhile. The little that has come since is copied under it, which lets the
        log begin anew.
        """
        if self.commits < TIDY_COMMITS:
            return
        self.commits = 0
        with suppress(sqlite3.Error):  # a full disk or a lock shows itself to the next commit
            with closing(sqlite3.connect(self.path, timeout=0)) as beside:
                beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            with self.lock:
                self.cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the body wrote, or nothing. The caller holds the lock.

        Raises:
            StoreError: it could not be written; the file is as before.
        """
        try:
            self.cursor.execute("BEGIN IMMEDIATE")
            yield self.db
            self.cursor.execute("COMMIT")
            self.commits += _PAGES_OF_A_BATCH
        except BaseException as error:
            self.shapes.forget()
            if self.db.in_transaction:
                with suppress(sqlite3.Error):
                    self.cursor.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path, "write") from error
            if isinstance(error, msgspec.MsgspecError | ValueError):
                raise damaged(self.path, str(error)) from error
            raise

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
