"""Who is alive: each store process holds a lock on a small file of its own.

The kernel releases the lock when the process ends, however it ends. A run names the token of its
process; a run that has no end while nobody holds its token's lock was interrupted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

REMOTE = "remote:"
"""Begins the token of who works elsewhere: whether they live is not for a file's lock to say."""
OPEN_RUNS = """SELECT no, writer FROM run WHERE "end" IS NULL"""
CLAIMERS = "SELECT DISTINCT claimer FROM dead_letter WHERE state = 'redriving'"


def live_folder(database: Path) -> Path:
    """Return the folder of the lock files of a store."""
    return database.with_name(database.name + "-live")


class Lease:
    """This process's lock file, held until ``release``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.token = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._path = folder / self.token
        self._file = self._acquire()

    def _acquire(self) -> int:
        """Create and lock the file, again if a cleaner removed it in between."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if self._path.stat().st_ino == os.fstat(file).st_ino:
                    return file
            except FileNotFoundError:
                pass
            os.close(file)

    def release(self) -> None:
        """Give the lock up and remove the file."""
        self._path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Close this process's handle only: what a forked child does with its parent's lease."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_alive(folder: Path, token: str) -> bool:
    """Return whether the process with that token lives; of one elsewhere, nothing is claimed."""
    return token.startswith(REMOTE) or not _when_free(folder / token, remove=False)


def has_dead(db: sqlite3.Connection, database: Path) -> bool:
    """Return whether something in the store waits for a process that is gone."""
    tokens = {token for _, token in db.execute(OPEN_RUNS)}
    tokens.update(token for (token,) in db.execute(CLAIMERS))
    return any(not is_alive(live_folder(database), token) for token in tokens)


def remove_stale(folder: Path) -> None:
    """Remove the lock files of processes that are gone."""
    try:
        files = list(folder.iterdir())
    except OSError:
        return
    for file in files:
        _when_free(file, remove=True)


def _when_free(path: Path, *, remove: bool) -> bool:
    """Return whether nobody holds the lock; with ``remove`` the file is removed then."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # it cannot be asked, so nothing is claimed about it
    try:
        # A shared lock: askers do not disturb each other, only the owner's lock refuses it, and
        # an owner that comes now waits until a removed file can be seen to be removed.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if remove:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
