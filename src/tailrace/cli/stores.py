"""Opening what the database keeps of failures, dead letters, redrives and events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from tailrace.cli.database import database_to_read

if TYPE_CHECKING:
    from tailrace.cli.options import Store
    from tailrace.cli.remote import Server
    from tailrace.client.failures import RemoteFailures, RemoteLetters, RemoteRedrives
    from tailrace.client.sync import Client
    from tailrace.ports import DeadLetters, FailureLog
    from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteRedriveLog
    from tailrace.store.event_log import SqliteEventLog


Failures: TypeAlias = "FailureLog | RemoteFailures"
"""Failures and groups, wherever they are kept."""
Letters: TypeAlias = "DeadLetters | RemoteLetters"
"""Dead letters, wherever they are kept."""
AnyFailures: TypeAlias = "SqliteFailureLog | RemoteFailures"
"""Failures and groups of which more is asked than any log knows."""


def failure_log(db: Store) -> SqliteFailureLog | RemoteFailures:
    """Return failures and groups of the database, or the server, that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
        SettingsError: the server cannot be asked.
    """
    if not isinstance(db, Path | None):
        from tailrace.client.failures import RemoteFailures  # noqa: PLC0415 - most ask a database

        return RemoteFailures(_client(db))
    return local_failures(db)


def local_failures(db: Path | None) -> SqliteFailureLog:
    """Return failures and groups of the database that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
    """
    from tailrace.store import SqliteFailureLog  # noqa: PLC0415 - help needs no store

    return SqliteFailureLog(existing_database(db))


def letters_of(db: Store) -> SqliteDeadLetters | RemoteLetters:
    """Return the dead letters of the database, or the server, that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
        SettingsError: the server cannot be asked.
    """
    if not isinstance(db, Path | None):
        from tailrace.client.failures import RemoteLetters  # noqa: PLC0415 - most ask a database

        return RemoteLetters(_client(db))
    return dead_letters(db)


def redrives_of(db: Store) -> SqliteRedriveLog | RemoteRedrives:
    """Return what was done with letters of the database, or the server, that is meant.

    Raises:
        StoreError: there is none (TR501), or it cannot be read.
        SettingsError: the server cannot be asked.
    """
    if not isinstance(db, Path | None):
        from tailrace.client.failures import RemoteRedrives  # noqa: PLC0415 - most ask a database

        return RemoteRedrives(_client(db))
    return redrive_log(db)


def _client(server: Server) -> Client:
    """Return a client that is closed when the command ends."""
    from tailrace.cli.remote import open_client  # noqa: PLC0415 - most ask a database

    return click.get_current_context().with_resource(open_client(server))


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
