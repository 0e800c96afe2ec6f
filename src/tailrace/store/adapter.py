"""What all adapters over the store's one file begin with."""

from __future__ import annotations

from pathlib import Path

from tailrace.model.states import Durability
from tailrace.store.access import Access
from tailrace.store.limits import StoreLimits


class FileAdapter:
    """One SQLite file, opened for reading by the first read and for writing by the first write.

    Args:
        path: the file; there must be one to read from, and the first write makes one.
        durability: of this process's connection.
        limits: bounds of the store; None: those it has.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = Durability.PROCESS,
        limits: StoreLimits | None = None,
    ) -> None:
        self._file = Access(path, durability=durability, limits=limits)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def close(self) -> None:
        """Let the file go; it is opened again when it is needed."""
        self._file.close()
