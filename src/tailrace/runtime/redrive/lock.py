"""One process at a time carries a batch out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from tailrace.errors import RunError
from tailrace.runtime.exclusive import locked
from tailrace.store.liveness import live_folder


@contextmanager
def held_by_this_process(database: Path, batch_id: str) -> Iterator[None]:
    """Hold a batch; the kernel lets go of it when the process ends, however it ends.

    Raises:
        RunError: another process carries it out (TR347).
    """
    folder = live_folder(database)
    folder.mkdir(parents=True, exist_ok=True)
    file = locked(folder / f"batch-{blake2b(batch_id.encode(), digest_size=12).hexdigest()}")
    if file is None:
        raise RunError(
            f"redrive batch {batch_id!r} is being carried out by another process",
            code="TR347",
            hint="wait for it, or pause it first",
        )
    try:
        yield
    finally:
        os.close(file)
