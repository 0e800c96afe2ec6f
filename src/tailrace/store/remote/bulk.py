"""Many rows with few statements: each step of SQLite hands over Python's lock, and takes it back.

Where another thread is busy at the same time, that costs more than the rows themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

_AT_ONCE = 64
_MOST_MARKS = 2_000


@lru_cache(maxsize=32)
def _many(head: str, marks: str, count: int) -> str:
    return f"{head}VALUES {', '.join([marks] * count)}"


def insert_rows(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows in their order.

    Args:
        db: in the caller's transaction.
        statement: ``INSERT … VALUES (…)`` for one row.
        rows: as many values as the statement has marks, each.
    """
    head, _, marks = statement.rpartition("VALUES ")
    at_once = min(_AT_ONCE, _MOST_MARKS // max(marks.count("?"), 1))
    whole = len(rows) - len(rows) % at_once
    for first in range(0, whole, at_once):
        values = tuple(chain.from_iterable(rows[first : first + at_once]))
        db.execute(_many(head, marks, at_once), values)
    if whole < len(rows):
        db.executemany(statement, rows[whole:])
