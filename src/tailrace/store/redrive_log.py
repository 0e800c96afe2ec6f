"""Batches of redrives and the audit trail in the store's file."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import msgspec

from tailrace.model.letter import RecoveryAction, Redrive, RedriveBatch
from tailrace.model.secret import redact_text
from tailrace.store.adapter import FileAdapter
from tailrace.store.audit import Deed, first_broken, load_deeds, write_deeds
from tailrace.store.letters import select_redrives
from tailrace.store.writer import Writer

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RedriveBatch).decode
_PUT = """INSERT INTO redrive_batch (batch_id, created, state, body) VALUES (?, ?, ?, ?)
ON CONFLICT (batch_id) DO UPDATE SET state = excluded.state, body = excluded.body"""
_NEWEST = "SELECT body FROM redrive_batch ORDER BY created DESC, batch_id DESC LIMIT ?"
_COUNTS = """SELECT count(DISTINCT r.dl_id),
count(DISTINCT iif(r.outcome = 'resolved', r.dl_id, NULL)),
count(DISTINCT iif(r.outcome = 'failed', r.dl_id, NULL)),
count(DISTINCT iif(r.outcome = 'lost', r.dl_id, NULL)),
count(DISTINCT iif(d.state = 'parked', r.dl_id, NULL))
FROM redrive AS r JOIN dead_letter AS d ON d.dl_id = r.dl_id WHERE r.batch_id = ?"""
_ACTIONS = {"paused": "pause", "stopped": "stop", "done": "end"}


class SqliteRedriveLog(FileAdapter):
    """Batches of redrives and the audit trail in one SQLite file.

    Concurrency: any number of threads and processes; readers block nobody.
    """

    def put_batch(self, batch: RedriveBatch) -> None:
        """Write a batch, new or changed; a change of its state is in the audit trail.

        Raises:
            StoreError: nothing was written.
        """

        def act(writer: Writer) -> None:
            db = writer.db
            query = "SELECT state FROM redrive_batch WHERE batch_id = ?"
            row = db.execute(query, (batch.batch_id,)).fetchone()
            kept = msgspec.structs.replace(batch, counts={}, reason=redact_text(batch.reason))
            db.execute(_PUT, (batch.batch_id, batch.created_ns, batch.state, _encode(kept)))
            before = "" if row is None else row[0]
            if before != batch.state:
                write_deeds(db, [_deed(batch, before)])

        self._file.write(act, lasting=True)

    def batches(self, *, limit: int = 50) -> list[RedriveBatch]:
        """Return batches, newest first, with exact counts.

        ``claimed``: letters taken at least once; ``resolved``, ``failed`` and ``lost``: those with
        such an outcome; ``parked``: those that are parked now.
        """
        with self._file.reading() as db:
            rows = db.execute(_NEWEST, (limit,)).fetchall()
            return [_with_counts(db, _decode(body)) for (body,) in rows]

    def redrives(self, *, batch_id: str = "", dl_id: str = "") -> list[Redrive]:
        """Return the redrives of a batch or of a letter, oldest first."""
        with self._file.reading() as db:
            return select_redrives(db, batch_id=batch_id, dl_id=dl_id)

    def actions(self, subject: str = "", *, limit: int = 500) -> list[RecoveryAction]:
        """Return the audit trail of a subject, or all of it, oldest first; the newest ``limit``."""
        with self._file.reading() as db:
            return load_deeds(db, subject, limit)

    def verify(self) -> int | None:
        """Return the number of the first action that was changed or removed, or None."""
        with self._file.reading() as db:
            return first_broken(db)


def _with_counts(db: sqlite3.Connection, batch: RedriveBatch) -> RedriveBatch:
    claimed, resolved, failed, lost, parked = db.execute(_COUNTS, (batch.batch_id,)).fetchone()
    counts = {
        "claimed": claimed,
        "resolved": resolved,
        "failed": failed,
        "lost": lost,
        "parked": parked,
    }
    return msgspec.structs.replace(batch, counts=counts)


def _deed(batch: RedriveBatch, before: str) -> Deed:
    detail: dict[str, Any] = {"before": {"state": before}, "after": {"state": batch.state}}
    if not before:
        detail |= {"filter": batch.filter, "mode": batch.mode, "force": batch.force}
    action = _ACTIONS.get(batch.state, "continue" if before else "begin")
    return Deed(
        subject=batch.batch_id,
        action=action,
        actor=batch.actor,
        reason=batch.reason,
        at_ns=time.time_ns(),
        detail=detail,
    )
