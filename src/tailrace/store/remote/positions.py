"""How far an index has followed each stream."""

from __future__ import annotations

import sqlite3

from msgspec import Struct


class Position(Struct, frozen=True):
    """Up to which message a stream has been taken in."""

    created: str = ""
    """When the stream was made; another instant: it is another stream with the same name."""
    sequence: int = 0
    traced: int = 0
    """As ``sequence``, for the traces of runs: lists are made first."""


def read_position(db: sqlite3.Connection, stream: str) -> Position:
    """Return how far a stream has been followed."""
    query = "SELECT created, seq, traced FROM remote_position WHERE stream = ?"
    row = db.execute(query, (stream,)).fetchone()
    return Position() if row is None else Position(*row)


def write_position(db: sqlite3.Connection, stream: str, position: Position) -> None:
    """Note how far a stream has been followed, in the transaction that wrote what it told."""
    db.execute(
        "INSERT OR REPLACE INTO remote_position VALUES (?, ?, ?, ?)",
        (stream, position.created, position.sequence, position.traced),
    )
