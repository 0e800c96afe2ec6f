"""How adapters reach the file: reading beside all writers, writing through their process's one."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tailrace.errors import NotFound, StoreError
from tailrace.model.states import Durability
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.limits import StoreLimits
from tailrace.store.liveness import has_dead

if TYPE_CHECKING:
    from tailrace.store.sqlite import SqliteStore
    from tailrace.store.writer import Writer

T = TypeVar("T")
_SHOWN = 5
"""Ids shown when a prefix is not unique."""
_INHERITED: list[sqlite3.Connection] = []
"""Readers of a parent process: a forked child must neither use nor close them."""


class Access:
    """One file, opened for reading by the first read and for writing by the first write.

    The first read has the runs of processes that died ended, so that what they left is seen.
    Concurrency: any number of threads; a read is one consistent moment and blocks no writer.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = Durability.PROCESS,
        limits: StoreLimits | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._durability = durability
        self._limits = limits
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._store: SqliteStore | None = None
        self._process = os.getpid()

    def close(self) -> None:
        """Let the file go as far as it was read; the writer is the process's."""
        with self._lock:
            if self._reader is not None and self._process == os.getpid():
                self._reader.close()
            self._reader = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the file as it is now.

        Raises:
            StoreError: there is no such file, or it cannot be read.
        """
        with self._lock:
            db = self._opened()
            with translated(self.path, "read"):
                db.execute("BEGIN")
                try:
                    yield db
                finally:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")

    def _opened(self) -> sqlite3.Connection:
        process = os.getpid()
        if self._reader is not None and process != self._process:
            _INHERITED.append(self._reader)
            self._reader = None
        if self._reader is None:
            self._process = process
            self._reader = open_reader(self.path)
            self._bury(self._reader)
        return self._reader

    def _bury(self, db: sqlite3.Connection) -> None:
        """Have the runs of dead processes ended, as the next writer would do."""
        with translated(self.path, "read"):
            is_needed = has_dead(db, self.path)
        if is_needed:
            from tailrace.store.sqlite import SqliteStore  # noqa: PLC0415 - most only read

            with suppress(StoreError):  # who cannot write can still read
                SqliteStore(self.path, durability=self._durability).close()

    def write(self, action: Callable[[Writer], T], *, lasting: bool = False) -> T:
        """Do something to the file in one transaction, and return what it gives.

        Raises:
            StoreError: it could not be written; the file is as before.
        """
        return self._shared().write(action, lasting=lasting)

    def writer(self) -> Writer:
        """Return the connection through which this process writes."""
        return self._shared().writer

    def _shared(self) -> SqliteStore:
        """Return the process's store; finding it by its path takes as long as a commit."""
        from tailrace.store.sqlite import shared_store  # noqa: PLC0415 - most only read

        store, limits = self._store, self._limits
        if store is None or store.is_closed:
            store = shared_store(self.path, durability=self._durability, limits=limits)
            self._store = store
        elif limits is not None:
            store.limit(limits)
        return store


def unique_id(
    db: sqlite3.Connection,
    column: str,
    table: str,
    prefix: str,
    mark: str,
    *,
    own: tuple[str, str] | None = None,
) -> str:
    """Return the one id that begins so.

    Args:
        db: a connection.
        column: the ids' column, which has an index.
        table: its table.
        prefix: the beginning of an id; small letters, and leaving out the mark, are fine.
        mark: what all ids begin with, such as ``F-``.
        own: a condition that rows must meet, and its parameter.

    Raises:
        NotFound: none, or more than one, matches.
    """
    text = prefix.strip().upper()
    low = text if text.startswith(mark) else mark + text
    more, values = ("", ()) if own is None else (f" AND {own[0]}", (own[1],))
    query = f"SELECT {column} FROM {table} WHERE {column} >= ? AND {column} < ?{more} LIMIT ?"  # noqa: S608 - our own names
    rows = db.execute(query, (low, low + "\x7f", *values, _SHOWN + 1)).fetchall()
    matches: list[str] = [row[0] for row in rows]
    what = table.replace("_", " ")
    if not matches or not text:
        raise NotFound(
            f"no {what} has an id that begins with {prefix!r}",
            details={"prefix": prefix},
        )
    if len(matches) > 1:
        shown = ", ".join(matches[:_SHOWN]) + (", …" if len(matches) > _SHOWN else "")
        raise NotFound(
            f"more than one {what} has an id that begins with {prefix!r}: {shown}",
            hint="give more characters",
            details={"prefix": prefix, "matches": matches},
        )
    return matches[0]
