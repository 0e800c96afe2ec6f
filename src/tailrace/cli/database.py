"""Finding the database and reading from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.store import SqliteTraceReader

_INDEX = "index.db"
"""Where the gateway of ``tailrace up`` keeps its index, in the folder of the database."""


def database_path(db: Path | None) -> Path:
    """Return the database meant: the flag, the settings, or the nearest one upwards."""
    from tailrace.settings import database_for, load_settings  # noqa: PLC0415 - not for --help

    return db if db is not None else database_for(Path.cwd(), load_settings())


def database_to_read(db: Path | None) -> Path:
    """Return the database meant, for looking only.

    Raises:
        StoreError: TR501, there is none, but one of ``tailrace up`` beside it.
    """
    path = database_path(db)
    index = path.with_name(_INDEX)
    if not path.exists() and index.is_file():
        from tailrace.errors import StoreError  # noqa: PLC0415 - help needs no errors

        raise StoreError(
            f"there is no store {path}",
            code="TR501",
            hint=f"traces of `tailrace up` are in --db {index}; `tailrace runs` asks its server,"
            " as does dlq with --server",
            details={"path": str(path)},
        )
    return path


@contextmanager
def open_reader(db: Path | None) -> Iterator[SqliteTraceReader]:
    """Open the database for reading.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteTraceReader  # noqa: PLC0415 - only where traces are read

    reader = SqliteTraceReader(database_to_read(db))
    try:
        yield reader
    finally:
        reader.close()
