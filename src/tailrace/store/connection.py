"""Connections to the store's file."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tailrace.errors import StoreError
from tailrace.model.states import Durability
from tailrace.store.fault import (
    cannot_open,
    cannot_read,
    older_file,
    translated,
    unreadable_log,
)
from tailrace.store.migrations import check_schema, migrate
from tailrace.store.schema import STEPS

BUSY_TIMEOUT = 30.0
"""Seconds that a statement waits for a lock of another process."""
_SMALLEST_PAGE = 512
"""Bytes of the smallest SQLite file that holds anything."""
_PAGE = 2_048
"""Bytes of a page. Each append writes one; smaller ones cost more when blobs are read."""
_CHECKPOINT_PAGES = 32_000
"""Pages in the log at which a commit copies them back itself; ``Writer.tidy`` comes long before."""


def open_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """Return a connection that may write, to a file of the newest schema.

    It is in autocommit mode and may be used from any thread, one at a time.

    Raises:
        StoreError: the file cannot be made or opened, is foreign, or newer than this program.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_other_files(path)
    except OSError as error:
        raise cannot_open(path, error) from error
    with translated(path, "open"):
        db = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
    try:
        with translated(path, "open"):
            _prepare(db, path, durability)
    except BaseException:
        db.close()
        raise
    return db


def _refuse_other_files(path: Path) -> None:
    """SQLite takes a file of a few bytes for an empty database; larger ones it checks itself.

    The file is not opened here: closing it would drop the locks this process holds on it.
    """
    if path.is_file() and 0 < path.stat().st_size < _SMALLEST_PAGE:
        raise StoreError(
            f"{path} is no SQLite file",
            code="TR505",
            hint="name another file with --db or TAILRACE_DB",
            details={"path": str(path)},
        )


def _prepare(db: sqlite3.Connection, path: Path, durability: Durability) -> None:
    if check_schema(db, str(path)) == 0:
        db.execute(f"PRAGMA page_size = {_PAGE}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _use_wal(db, path)
    level = "FULL" if durability is Durability.POWER else "NORMAL"
    db.execute(f"PRAGMA synchronous = {level}")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    migrate(db, str(path))


def _use_wal(db: sqlite3.Connection, path: Path) -> None:
    """Switch to the write-ahead log; SQLite does not wait for the lock by itself here."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            mode: str = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
            continue
        if mode != "wal":
            raise StoreError(
                f"cannot open the store {path}: its file system has no shared memory",
                code="TR501",
                hint="name a file on a local disk with --db",
            )
        return


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads. A file of an older schema is migrated first.

    Raises:
        StoreError: there is no such file, or it cannot be opened, is foreign, or too new.
    """
    try:
        if not path.exists():
            raise StoreError(
                f"there is no store {path}",
                code="TR501",
                hint="run a flow first, or name the file with --db or TAILRACE_DB",
                details={"path": str(path)},
            )
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        _refuse_other_files(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    with translated(path, "open"):
        db = _connect_read_only(path)
    try:
        with translated(path, "open"):
            version = check_schema(db, str(path))
    except BaseException:
        db.close()
        raise
    if version == len(STEPS):
        return db
    db.close()
    try:
        open_writer(path, Durability.PROCESS).close()
    except StoreError as error:
        raise (older_file(path) if error.code == "TR501" else error) from error
    with translated(path, "open"):
        return _connect_read_only(path)


def is_free(path: Path, patience: float) -> bool:
    """Return whether this process may write the file now, or after so many seconds at most."""
    try:
        with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error:
        return False
    return True


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open for reading; in a folder that cannot be written, the file as it is on disk."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    log = path.with_name(path.name + "-wal")
    for option in ("", "&immutable=1"):
        db = sqlite3.connect(
            address + option,
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            primary = error.sqlite_errorcode & 0xFF
            readable = primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
            if option or not readable:
                raise
            if log.exists():
                raise unreadable_log(path, log) from error
        except BaseException:
            db.close()
            raise
        else:
            break
    return db
