"""The store of a process: one file, one writer, any number of runs."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tailrace.errors import StoreError
from tailrace.model.ids import RunId
from tailrace.model.span import Recalled
from tailrace.model.states import Durability
from tailrace.store.blobs import blob_folder, located, sweep_when_due
from tailrace.store.fault import translated
from tailrace.store.flusher import Flusher
from tailrace.store.journal import SqliteJournal
from tailrace.store.limits import StoreLimits
from tailrace.store.recall import find_recorded
from tailrace.store.recovery import recover
from tailrace.store.writer import Writer

T = TypeVar("T")


class SqliteStore:
    """Runs in one SQLite file.

    Concurrency: runs of any number of threads share the one connection; any number of processes
    may write the same file, and readers never block them. A forked child gets a connection of its
    own with its first run; its parent's journals are closed to it.

    Opening the file ends the runs of processes that died (INTERRUPTED), and opens the dead letters
    again whose redrives died with them.

    Raises:
        StoreError: the file cannot be opened, is foreign, or newer than this program.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = Durability.PROCESS,
        limits: StoreLimits | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.durability = durability
        self._limits = limits or StoreLimits()
        self._journals: set[SqliteJournal] = set()
        self._lock = threading.Lock()
        self._flusher: Flusher | None = None
        self._writer: Writer | None = None
        self._closed = False
        self._ready()
        _STORES.add(self)

    @property
    def is_closed(self) -> bool:
        """True once ``close`` was called."""
        return self._closed

    @property
    def writer(self) -> Writer:
        """The connection of this process, opened again in a forked child.

        Raises:
            StoreError: the store is closed, or cannot be opened.
        """
        with self._lock:
            return self._ready()

    @property
    def worker_id(self) -> str:
        """What this process is called in the paths of failures.

        Raises:
            StoreError: the store is closed, or cannot be opened.
        """
        return self.writer.lease.token

    def limit(self, limits: StoreLimits) -> None:
        """Keep these bounds from now on."""
        with self._lock:
            self._limits = limits
            if self._writer is not None:
                self._writer.limit(limits)

    def write(self, action: Callable[[Writer], T], *, lasting: bool = False) -> T:
        """Do something to the file in one transaction, and return what it gives.

        Args:
            action: called with the connection; twice when the disk was full and there was ballast.
            lasting: the commit survives the loss of power, whatever the store's durability.

        Raises:
            StoreError: it could not be written; the file is as before.
        """
        writer = self.writer
        with writer.lock:
            try:
                with writer.transaction(lasting=lasting):
                    return action(writer)
            except StoreError as error:
                if not (lasting and writer.frees_room(error)):
                    raise
                with writer.transaction(lasting=lasting):
                    return action(writer)

    def open_journal(self, run_id: RunId) -> SqliteJournal:
        """Return the journal of a new run; its first append writes the run's row.

        Raises:
            StoreError: the store is closed, or cannot be opened.
        """
        with self._lock:
            writer = self._ready()
            if self._flusher is None:
                self._flusher = Flusher(self._flush)
            journal = SqliteJournal(run_id, writer, self._flusher, self._journals.discard)
            self._journals.add(journal)
            return journal

    def recall(self, key: str, *, since_ns: int) -> Recalled | None:
        """Return the newest output recorded under a key; None: there is none so new.

        What other processes have recorded is seen 100 ms later at the latest.

        Raises:
            StoreError: the store cannot be read.
        """
        writer = self.writer
        with writer.lock, translated(self.path, "read"):
            pending = (journal.pending(key, since_ns) for journal in tuple(self._journals))
            found = [one for one in pending if one is not None]
            recorded = find_recorded(writer.db, key, since_ns)
        if recorded is not None:
            found.append(recorded)
        if not found:
            return None
        newest = max(found, key=lambda one: one.time_ns)
        return located(newest, blob_folder(self.path))

    def close(self) -> None:
        """Close open journals, write what waits, and let the file go. Closing twice is fine.

        Raises:
            StoreError: something could not be written.
        """
        with self._lock:
            self._closed = True
            if self._flusher is not None:
                self._flusher.stop()
                self._flusher = None
            writer, self._writer = self._writer, None
            if writer is None:
                return
            try:
                for journal in tuple(self._journals):
                    journal.close()
            finally:
                writer.close()

    def _ready(self) -> Writer:
        if self._closed:
            raise StoreError(f"the store {self.path} is closed")
        if self._writer is None:
            writer = Writer(self.path, self.durability, self._limits)
            try:
                recover(writer)
                sweep_when_due(writer.db, blob_folder(self.path))
            except BaseException:
                writer.close()
                raise
            self._writer = writer
        return self._writer

    def _flush(self) -> None:
        for journal in tuple(self._journals):
            journal.flush()
        if self._writer is not None:
            self._writer.tidy()

    def _after_fork(self) -> None:
        """Start afresh in a child: the connection, the locks and the thread are the parent's."""
        self._lock = threading.Lock()
        self._flusher = None
        if self._writer is not None:
            self._writer.leave_to_parent()
            self._writer = None
        for journal in self._journals:
            journal.abandon()
        self._journals = set()


_STORES: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_SHARED: dict[tuple[Path, Durability], SqliteStore] = {}
_SHARED_LOCK = threading.Lock()


def shared_store(
    path: Path | str,
    *,
    durability: Durability = Durability.PROCESS,
    limits: StoreLimits | None = None,
) -> SqliteStore:
    """Return this process's store for a file; opened once, closed at exit.

    Limits that are given hold from now on for whoever shares it.

    Raises:
        StoreError: the file cannot be opened, is foreign, or newer than this program.
    """
    key = (Path(path).resolve(), durability)
    with _SHARED_LOCK:
        store = _SHARED.get(key)
        if store is None or store.is_closed:
            store = _SHARED[key] = SqliteStore(key[0], durability=durability, limits=limits)
        elif limits is not None:
            store.limit(limits)
        return store


@atexit.register
def _close_shared() -> None:
    for store in _SHARED.values():
        with suppress(StoreError):
            store.close()


def _after_fork() -> None:
    global _SHARED_LOCK  # noqa: PLW0603 - the parent may hold the old one
    _SHARED_LOCK = threading.Lock()
    for store in tuple(_STORES):
        store._after_fork()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_after_fork)
