"""On which machine a process runs, and whether another one of it still does."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from tailrace.model.remote import WorkerRecord

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")
_ENDED = frozenset("ZX")
"""States of a process that has ended and whose parent has not looked."""


@cache
def this_machine() -> str:
    """Return what tells where process ids mean the same as here; empty: the system does not say.

    Names of hosts do not: containers on several machines may share one.
    """
    try:
        return f"{_BOOT.read_text().strip()}/{_PIDS.readlink()}"
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether there is a process of that number on this machine that has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in _ENDED


def is_gone(record: WorkerRecord) -> bool:
    """Whether it is certain that the process of a worker has ended."""
    if not record.machine or record.machine != this_machine():
        return False
    return record.pid == os.getpid() or not is_running(record.pid)


def has_left(folder: Path, record: WorkerRecord) -> bool:
    """Whether it is gone, and nothing of its journals waits in this folder for its next process."""
    return is_gone(record) and next(spool_of(folder, record.worker_id).glob("*"), None) is None


def spool_of(folder: Path, worker_id: str) -> Path:
    """Return where a worker writes while NATS is away."""
    return folder / "spool" / worker_id
