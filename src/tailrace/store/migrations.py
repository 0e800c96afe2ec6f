"""Bringing a file to the newest schema."""

from __future__ import annotations

import sqlite3

from tailrace.errors import StoreError
from tailrace.store.schema import STEPS

_HEADER = """SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
FROM pragma_application_id, pragma_user_version"""
APPLICATION_ID = 0x7461_696C
"""``tail``: says in the file's header whose file it is."""


def check_schema(db: sqlite3.Connection, path: str, steps: int = len(STEPS)) -> int:
    """Return the file's schema version; 0 for an empty file.

    Raises:
        StoreError: TR505, the file belongs to another program; TR502, a newer Tailrace wrote it.
    """
    owner, version, tables = db.execute(_HEADER).fetchone()
    if owner != APPLICATION_ID and (owner or version or tables):
        raise StoreError(
            f"{path} is a SQLite file of another program",
            code="TR505",
            hint="name another file with --db or TAILRACE_DB",
            details={"path": path, "application_id": owner},
        )
    if version > steps:
        raise StoreError(
            f"{path} has schema version {version}, this Tailrace knows versions up to {steps}",
            code="TR502",
            hint="upgrade tailrace, or name another file with --db or TAILRACE_DB",
            details={"path": path, "version": version, "known": steps},
        )
    return int(version)


def migrate(db: sqlite3.Connection, path: str, steps: tuple[tuple[str, ...], ...] = STEPS) -> None:
    """Bring the file to the newest schema, each step in a transaction of its own.

    Any number of processes may do this at once.
    """
    while check_schema(db, path, len(steps)) < len(steps):
        db.execute("BEGIN IMMEDIATE")
        try:
            version = check_schema(db, path, len(steps))
            for statement in steps[version] if version < len(steps) else ():
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {min(version + 1, len(steps))}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
