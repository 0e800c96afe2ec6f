"""Emptying an index, so that it is made anew."""

from __future__ import annotations

import sqlite3

from tailrace.store.writer import Writer

_TABLES = """SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"""
_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


def wipe(writer: Writer) -> None:
    """Delete every row of the file, inside the caller's transaction.

    Without triggers SQLite drops the pages of a table at once, instead of row by row.
    """
    db: sqlite3.Connection = writer.db
    triggers = db.execute(_TRIGGERS).fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    for (table,) in db.execute(_TABLES).fetchall():
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own schema
    for _, statement in triggers:
        db.execute(statement)
    writer.shapes.forget()
    writer.versions.forget()
    writer.failures.forget()
