"""The ``tailrace up`` of a folder, as other commands find it."""

from __future__ import annotations

import contextlib
import fcntl
import json
from pathlib import Path

from msgspec import Struct

LOCK = "up.lock"
"""File in the data folder that is locked while ``tailrace up`` runs there."""


class Running(Struct, frozen=True, kw_only=True):
    """A ``tailrace up`` that runs."""

    pid: int
    server: str
    """Address of its gateway; empty while it starts."""


def running_in(path: Path) -> Running | None:
    """Return the ``tailrace up`` that uses a data folder; None: none does."""
    with (
        contextlib.suppress(OSError, ValueError, TypeError, KeyError),
        (path / LOCK).open() as lock,
    ):
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found = json.loads(lock.read())
            return Running(pid=int(found["pid"]), server=str(found["server"]))
    return None
