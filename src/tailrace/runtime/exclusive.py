"""One process at a time goes on with the runs of a lineage."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import RunError, StoreError
from tailrace.store.liveness import live_folder

_TRIES, _PAUSE = 10, 0.005
"""Who removes files of dead processes holds each for some microseconds."""


class NotResumable(RunError):  # noqa: N818 - reads as the state it reports
    """The run goes on already, or somebody else goes on with it."""

    default_code = "TR312"


@contextmanager
def exclusive(database: Path, lineage: str) -> Iterator[None]:
    """Hold a lineage; the kernel lets go of it when the process ends, however it ends.

    Raises:
        NotResumable: somebody else goes on with a run of it (TR312).
        StoreError: the folder beside the database cannot be written.
    """
    folder = live_folder(database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = locked(folder / f"lineage-{lineage}")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}", code="TR501") from error
    if file is None:
        raise NotResumable(
            f"somebody else is going on with run {lineage}, or with one that came of it",
            hint="wait for its end; it is listed by: tailrace trace list",
        )
    try:
        yield
    finally:
        os.close(file)


def locked(path: Path) -> int | None:
    """Return a file that this process has locked, made if need be; None: another one has it.

    The lock is let go of by closing the file, or by the end of the process.
    """
    for _ in range(_TRIES):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        except BlockingIOError:
            time.sleep(_PAUSE)
        except FileNotFoundError:  # a cleaner took it away in between
            pass
        os.close(file)
    return None
