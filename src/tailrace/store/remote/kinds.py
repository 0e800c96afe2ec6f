"""The combinations of status, flow, tag and tenant that runs have, and how many have each."""

from __future__ import annotations

import sqlite3

from tailrace.store.remote.listed import Kind

_CACHED = 20_000
"""Kinds remembered before all are forgotten."""


class KindTable:
    """Rows of kinds through one connection, inside its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._ids: dict[tuple[str, str, str, str], int] = {}
        self._kinds: dict[int, Kind] = {}
        self._changes: dict[int, int] = {}

    def id(self, status: str, flow: str, tag: str, tenant: str) -> int:
        """Return the row of a kind, which is made if it is new."""
        values = (status, flow, tag, tenant)
        found = self._ids.get(values)
        if found is None:
            query = """SELECT id FROM remote_kind
                WHERE status = ? AND flow = ? AND tag = ? AND tenant = ?"""
            row = self._db.execute(query, values).fetchone()
            if row is None:
                statement = (
                    "INSERT INTO remote_kind (status, flow, tag, tenant) VALUES (?, ?, ?, ?)"
                )
                found = self._db.execute(statement, values).lastrowid or 0
            else:
                found = int(row[0])
            self._remember(found, Kind(*values))
        return found

    def kind(self, number: int) -> Kind:
        """Return the kind of a row."""
        found = self._kinds.get(number)
        if found is None:
            query = "SELECT status, flow, tag, tenant FROM remote_kind WHERE id = ?"
            found = Kind(*self._db.execute(query, (number,)).fetchone())
            self._remember(number, found)
        return found

    def _remember(self, number: int, kind: Kind) -> None:
        if len(self._ids) >= _CACHED:
            self._ids.clear()
            self._kinds.clear()
        self._ids[kind.status, kind.flow, kind.tag, kind.tenant] = number
        self._kinds[number] = kind

    def count(self, kind: int, change: int) -> None:
        """Note that so many runs of a kind are new, or gone; ``write`` writes it."""
        self._changes[kind] = self._changes.get(kind, 0) + change

    def write(self) -> None:
        """Write what was noted."""
        changes = [(change, kind) for kind, change in self._changes.items() if change]
        if changes:
            self._db.executemany("UPDATE remote_kind SET runs = runs + ? WHERE id = ?", changes)
        self._changes.clear()

    def forget(self) -> None:
        """Forget everything: a transaction was rolled back."""
        self._ids.clear()
        self._kinds.clear()
        self._changes.clear()
