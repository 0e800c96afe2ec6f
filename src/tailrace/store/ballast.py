"""Room on the disk that is kept for telling how a run ended when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 2 << 20
"""Bytes."""
_SPARE = 3
"""A disk must have so many times the size free; otherwise the ballast is what fills it."""


class Ballast:
    """A file beside the database that takes up room until it is needed."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-ballast")
        self.is_spent = False
        """True since it was freed, until there is room for another one."""

    def lay(self) -> None:
        """Take up the room, if it is not taken up and the disk has enough. Never raises."""
        with suppress(OSError):
            space = os.statvfs(self._path.parent)
            if self._path.exists() or space.f_bavail * space.f_frsize < _SPARE * SIZE:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(file, 0, SIZE)
            finally:
                os.close(file)
            self.is_spent = False

    def free(self) -> bool:
        """Give the room back to the disk; False when there was none to give."""
        self.is_spent = True
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
