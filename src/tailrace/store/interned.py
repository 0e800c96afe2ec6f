"""Texts that many rows share: written once, known by the number of their row."""

from __future__ import annotations

import sqlite3
from enum import Enum

_CACHED = 4_096
"""Texts remembered before all are forgotten."""


class Text(Enum):
    """A table of texts: its name, and the column that holds the text."""

    VERSION = ("version", "name")
    """Code versions; their numbers stand in the order of first appearance."""
    TEMPLATE = ("template", "fp")
    """Fingerprints with the message in them."""


class Interned:
    """Row ids of the texts of one table, remembered within bounds."""

    def __init__(self, db: sqlite3.Connection, table: Text) -> None:
        self._db = db
        name, column = table.value
        self._select = f"SELECT id FROM {name} WHERE {column} = ?"  # noqa: S608 - constant names
        self._insert = f"INSERT INTO {name} ({column}) VALUES (?)"  # noqa: S608 - constant names
        self._known: dict[str, int] = {}

    def id(self, text: str) -> int | None:
        """Return the row id of the text, None for an empty one; inside the caller's transaction."""
        if not text:
            return None
        found = self._known.get(text)
        return found if found is not None else self._find(text)

    def forget(self) -> None:
        """Forget everything: a transaction that wrote texts was rolled back."""
        self._known.clear()

    def _find(self, text: str) -> int:
        row = self._db.execute(self._select, (text,)).fetchone()
        found = row[0] if row is not None else self._db.execute(self._insert, (text,)).lastrowid
        if len(self._known) >= _CACHED:
            self._known.clear()
        number = self._known[text] = int(found or 0)
        return number
