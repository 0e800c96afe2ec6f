"""One process at a time carries a batch out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from tailrace.errors import RunError
from tailrace.store.liveness import live_folder


@contextmanager
def held_by_this_process(database: Path, batch_id: str) -> Iterator[None]:
    """Hold a batch; the kernel lets go of it when the process ends, however it ends.

    Raises:
        RunError: another process carries it out (TR347).
    """
    folder = live_folder(database)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"batch-{blake2b(batch_id.encode(), digest_size=12).hexdigest()}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"redrive batch {batch_id!r} is being carried out by another process",
                code="TR347",
                hint="wait for it, or pause it first",
            ) from None
        yield
    finally:
        os.close(file)
