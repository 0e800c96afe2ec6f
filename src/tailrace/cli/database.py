"""Finding the database and reading from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.cli.options import Store
    from tailrace.client.traces import RemoteTraces
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
        StoreError: TR501, there is none, but one of ``tailrace up`` beside it, or this user may not
            look.
    """
    path = database_path(db)
    index = path.with_name(_INDEX)
    try:
        is_beside = not path.exists() and index.is_file()
    except OSError as error:
        from tailrace.store.fault import cannot_read  # noqa: PLC0415 - help needs no store

        raise cannot_read(path, error) from error
    if is_beside:
        from tailrace.errors import StoreError  # noqa: PLC0415 - help needs no errors

        raise StoreError(
            f"there is no store {path}",
            code="TR501",
            hint=f"traces of `tailrace up` are in --db {index}; --server URL asks its server, as"
            " `tailrace runs` does",
            details={"path": str(path)},
        )
    return path


@contextmanager
def open_reader(db: Store) -> Iterator[SqliteTraceReader | RemoteTraces]:
    """Open the database, or the traces of a server, for reading.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
        TransportError: the server does not answer.
    """
    if not isinstance(db, Path | None):
        from tailrace.cli.remote import open_client  # noqa: PLC0415 - most ask a database
        from tailrace.client.traces import RemoteTraces  # noqa: PLC0415 - likewise

        with RemoteTraces(open_client(db)) as traces:
            yield traces
        return
    with open_local(db) as reader:
        yield reader


@contextmanager
def open_local(db: Path | None) -> Iterator[SqliteTraceReader]:
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
