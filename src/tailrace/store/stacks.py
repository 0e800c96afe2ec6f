"""Stacks of failures: each distinct one is written once."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

from tailrace.model.failure import FailureSnapshot
from tailrace.store.failure_row import encode_frames

_CACHED = 4_096


class StackTable:
    """Row ids of stacks, remembered within bounds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, int] = {}

    def forget(self) -> None:
        """Forget everything: a transaction that wrote stacks was rolled back."""
        self._known.clear()

    def id(self, failure: FailureSnapshot) -> int | None:
        """Return the row id of a failure's stack, None when it has none."""
        if not (failure.stack_id or failure.frames):
            return None
        known = self._known.get(failure.stack_id)
        return known if known is not None else self._find(failure)

    def _find(self, failure: FailureSnapshot) -> int:
        body = encode_frames(failure.frames)
        name = failure.stack_id or f"b2:{blake2b(body, digest_size=16).hexdigest()}"
        row = self._db.execute("SELECT id FROM stack WHERE stack_id = ?", (name,)).fetchone()
        if row is None:
            insert = "INSERT INTO stack (stack_id, body) VALUES (?, ?)"
            number = self._db.execute(insert, (name, body)).lastrowid or 0
        else:
            number = int(row[0])
        if failure.stack_id:
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[failure.stack_id] = number
        return number
