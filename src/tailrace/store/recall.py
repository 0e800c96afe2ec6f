"""Outputs of cached tasks, by what they were computed from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tailrace.model.journal import AnyRecord, NodeFinished
from tailrace.model.span import Recalled
from tailrace.tracing.state import CheckpointStored

_NEWEST = """SELECT r.run_id, c.codec, c.body, k.at, c.extra
FROM recall AS k
JOIN checkpoint AS c ON c.id = k.checkpoint
JOIN run AS r ON r.no = k.checkpoint >> 28
WHERE k.key = ? AND k.at >= ? ORDER BY k.at DESC LIMIT 1"""


def insert_keys(db: sqlite3.Connection, key: int, kept: Iterable[CheckpointStored]) -> None:
    """Write under which keys checkpoints are found. ``key`` is that of the run's span 0."""
    rows = [(one.key, one.time, key + one.span.number) for one in kept if one.key]
    if rows:
        db.executemany("INSERT INTO recall (key, at, checkpoint) VALUES (?, ?, ?)", rows)


def find_recorded(db: sqlite3.Connection, key: str, since_ns: int) -> Recalled | None:
    """Return the newest output under a key that is in rows; None: there is none so new."""
    row = db.execute(_NEWEST, (key, since_ns)).fetchone()
    if row is None:
        return None
    run_id, codec, body, at, extra = row
    return Recalled(run_id=run_id, codec=codec, body=body, time_ns=at, extra=extra)


def find_pending(
    run_id: str, records: Iterable[AnyRecord], key: str, since_ns: int
) -> Recalled | None:
    """Return the newest output under a key among records that are not in rows yet."""
    found = None
    for record in records:
        if record.__class__ is not NodeFinished or record.key != key or record.output is None:
            continue
        if record.at >= since_ns:
            found = Recalled(
                run_id=run_id,
                codec=record.codec,
                body=record.output,
                time_ns=record.at,
                extra=record.extra,
            )
    return found
