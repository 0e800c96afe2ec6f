"""Who makes an index: one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tailrace.errors import StoreError
from tailrace.store.fault import cannot_open


class Claim:
    """The lock of an index, held until ``release`` or the end of the process.

    Raises:
        StoreError: TR523, another process holds it; TR501, its file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + "-lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_open(database, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StoreError(
                f"another gateway makes the index {database}",
                code="TR523",
                hint="give each gateway a --data-dir of its own",
                details={"path": str(database)},
            ) from error

    def release(self) -> None:
        """Let others make the index."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
