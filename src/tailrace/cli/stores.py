"""Opening what the database keeps of failures, dead letters, redrives and events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.cli.database import database_to_read

if TYPE_CHECKING:
    from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteRedriveLog
    from tailrace.store.event_log import SqliteEventLog


def failure_log(db: Path | None) -> SqliteFailureLog:
    """Return failures and groups of the database that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteFailureLog  # noqa: PLC0415 - help needs no store

    return SqliteFailureLog(existing_database(db))


def dead_letters(db: Path | None) -> SqliteDeadLetters:
    """Return the dead letters of the database that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteDeadLetters  # noqa: PLC0415 - help needs no store

    return SqliteDeadLetters(existing_database(db))


def redrive_log(db: Path | None) -> SqliteRedriveLog:
    """Return batches and the audit trail of the database that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteRedriveLog  # noqa: PLC0415 - help needs no store

    return SqliteRedriveLog(existing_database(db))


def event_log(db: Path | None) -> SqliteEventLog:
    """Return the event stream of the database that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store.event_log import SqliteEventLog  # noqa: PLC0415 - help needs no store

    return SqliteEventLog(existing_database(db))


def existing_database(db: Path | None) -> Path:
    """Return the database meant; looking at failures never makes a new one.

    Raises:
        StoreError: there is none (TR501).
    """
    from tailrace.errors import StoreError  # noqa: PLC0415 - help needs no errors

    path = database_to_read(db)
    if not path.is_file():
        raise StoreError(
            f"there is no store {path}",
            code="TR501",
            hint="run a flow first, or name the file with --db or TAILRACE_DB",
            details={"path": str(path)},
        )
    return path
