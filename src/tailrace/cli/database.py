"""Finding the database and reading from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.store import SqliteTraceReader


def database_path(db: Path | None) -> Path:
    """Return the database meant: the flag, the settings, or the nearest one upwards."""
    from tailrace.settings import database_for, load_settings  # noqa: PLC0415 - not for --help

    return db if db is not None else database_for(Path.cwd(), load_settings())


@contextmanager
def open_reader(db: Path | None) -> Iterator[SqliteTraceReader]:
    """Open the database for reading.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteTraceReader  # noqa: PLC0415 - only where traces are read

    reader = SqliteTraceReader(database_path(db))
    try:
        yield reader
    finally:
        reader.close()
