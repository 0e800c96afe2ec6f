"""SQLite's errors in the words of ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tailrace.errors import StoreError

DISK_FULL = "TR504"
"""Code of the error of a full disk."""
_NO_TEXT = "Could not decode to UTF-8"
"""How an error begins that Python's module raises without a code of SQLite's."""
_LITTLE = 1 << 20
"""Bytes of free space under which an I/O error is put down to a full disk."""


@contextmanager
def translated(path: Path, action: str) -> Iterator[None]:
    """Turn SQLite's errors, and those of decoding, into StoreError.

    ``action`` completes the sentence "cannot … the store".
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path, action) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> StoreError:
    """Return the StoreError for a file that holds something nobody wrote."""
    return StoreError(
        f"the store {path} is damaged: {why}",
        code="TR505",
        hint="look closer with: tailrace db check",
        details={"path": str(path)},
    )


def translate(error: sqlite3.Error, path: Path, action: str) -> StoreError:
    """Return the StoreError for an error of SQLite."""
    if str(error).startswith(_NO_TEXT):
        return damaged(path, "a text in it is no UTF-8")
    number = getattr(error, "sqlite_errorcode", None) or 0
    primary = number & 0xFF
    if primary == sqlite3.SQLITE_FULL or (
        primary in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _is_full(path)
    ):
        code, why = DISK_FULL, "the disk is full"
        hint = f"free space on the file system of {path.parent}, then run again; nothing is torn"
    elif primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        code, why = "TR501", str(error)
        hint = f"make {path} and its folder writable, or name another file with --db"
    elif primary in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        code, why = "TR505", str(error)
        hint = "name another file with --db, or restore this one from a backup"
    elif primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        code, why = "TR506", "another program has kept it locked for 30 s"
        hint = "end the program that holds a transaction open on this file"
    else:
        code, why, hint = "TR500", str(error), ""
    name = getattr(error, "sqlite_errorname", "")
    return StoreError(
        f"cannot {action} the store {path}: {why}",
        code=code,
        hint=hint,
        details={"path": str(path), "sqlite": name},
    )


def cannot_open(path: Path, error: OSError) -> StoreError:
    """Return the StoreError for a file or folder that cannot be made."""
    return _refused(path, error, f"the folder {_nearest_folder(path)} writable")


def cannot_read(path: Path, error: OSError) -> StoreError:
    """Return the StoreError for a file that this user may not look at."""
    return _refused(path, error, f"{path} and its folder readable")


def _refused(path: Path, error: OSError, mend: str) -> StoreError:
    return StoreError(
        f"cannot open the store {path}: {error.strerror or error}",
        code="TR501",
        hint=f"make {mend}, or name another file with --db",
        details={"path": str(path), "errno": error.errno},
    )


def unreadable_log(path: Path, log: Path) -> StoreError:
    """Return the StoreError for a file whose last changes cannot be read where it is."""
    return StoreError(
        f"cannot open the store {path}: its last changes are in {log.name}, which can only be "
        "read where its folder may be written",
        code="TR501",
        hint=f"make {path.parent} writable, or copy {path.name} and {log.name} elsewhere and name "
        "the copy with --db",
        details={"path": str(path), "log": str(log)},
    )


def older_file(path: Path) -> StoreError:
    """Return the StoreError for a file that would have to be migrated before it is read."""
    return StoreError(
        f"cannot open the store {path}: an older version of this program has written it, and it "
        "cannot be brought up to date where it is",
        code="TR501",
        hint=f"make {path} and its folder writable, or copy it elsewhere and name the copy with "
        "--db",
        details={"path": str(path)},
    )


def _nearest_folder(path: Path) -> Path:
    """Return the innermost folder around a path that is there."""
    return next((folder for folder in path.parents if os.access(folder, os.F_OK)), path.parent)


def _is_full(path: Path) -> bool:
    try:
        space = os.statvfs(path.parent)
    except OSError:
        return False
    if not space.f_blocks or space.f_flag & os.ST_RDONLY:  # nothing of it is ever free
        return False
    return space.f_bavail * space.f_frsize < _LITTLE
