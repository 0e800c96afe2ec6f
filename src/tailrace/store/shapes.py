"""Shapes as rows: what many spans share is written once for all runs."""

from __future__ import annotations

import sqlite3

import msgspec

from tailrace.tracing.state import Shape

_CACHED = 4_096
"""Shapes remembered before all are forgotten."""
_encode = msgspec.json.Encoder().encode


class ShapeTable:
    """Row ids of shapes, remembered within bounds; a shape is written once for all runs."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[Shape, int] = {}
        self._contents: dict[tuple[str, ...], int] = {}

    def id(self, shape: Shape) -> int:
        """Return the row id of the shape; inside the caller's transaction."""
        known = self._known.get(shape)
        return known if known is not None else self._find(shape)

    def forget(self) -> None:
        """Forget everything: a transaction that wrote shapes was rolled back."""
        self._known.clear()
        self._contents.clear()

    def _find(self, shape: Shape) -> int:
        body = _encode(shape.attributes).decode()
        content = (str(shape.type), shape.construct, shape.task, body)
        found = self._contents.get(content)
        if found is None:
            found = self._insert(content, shape.prefix)
            if len(self._contents) >= _CACHED:
                self._contents.clear()
            self._contents[content] = found
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[shape] = found
        return found

    def _insert(self, content: tuple[str, ...], prefix: str) -> int:
        select = """SELECT id FROM shape
            WHERE type = ? AND construct = ? AND task = ? AND attributes = ?"""
        row = self._db.execute(select, content).fetchone()
        if row is not None:
            return int(row[0])
        insert = """INSERT INTO shape (type, construct, task, attributes, prefix)
            VALUES (?, ?, ?, ?, ?)"""
        return self._db.execute(insert, (*content, prefix)).lastrowid or 0
