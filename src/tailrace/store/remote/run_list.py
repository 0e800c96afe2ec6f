"""The list of runs: what the newest messages make of its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tailrace.model.remote import CancelRequest, Job, RunState, decode_cancel, encode
from tailrace.store.remote.bulk import insert_rows
from tailrace.store.remote.kinds import KindTable
from tailrace.store.remote.listed import (
    CANCELLING,
    PENDING,
    TERMINAL,
    RunRow,
    encode_body,
    run_of_row,
)
from tailrace.store.remote.messages import Batch, Gone, Message, Queued, Stands, Wish

ROW = "seq, run_id, kind, state, updated, workflow, body"
"""Columns in the order of ``load``."""
_KNOWN = f"SELECT {ROW} FROM remote_run WHERE run_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
_WISHES = """SELECT run_id, seq, updated, body FROM remote_cancel
WHERE run_id IN (SELECT value FROM json_each(?))"""
_PUT = f"INSERT OR REPLACE INTO remote_run ({ROW}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - likewise
_PUT_WISH = "INSERT OR REPLACE INTO remote_cancel VALUES (?, ?, ?, ?)"
_REMOVE = """DELETE FROM remote_run WHERE run_id IN (SELECT value FROM json_each(?))
RETURNING kind"""
_WISH_KEPT = 86_400_000_000
"""Microseconds for which the stream keeps a wish to cancel."""
_json = msgspec.json.Encoder().encode


class _Entry(Struct, gc=False):
    """A run while messages are folded into it."""

    row: RunRow | None = None
    """As it was; None: it has none."""
    old_status: str = ""
    job: Job | None = None
    state: RunState | None = None
    sequence: int = 0
    at: int = 0
    state_sequence: int = 0
    wish: Wish | None = None
    stored_wish: bool = False
    is_gone: bool = False
    is_changed: bool = False

    @property
    def is_over(self) -> bool:
        status = self.old_status if self.state is None else self.state.status
        return status in TERMINAL

    @property
    def open_wish(self) -> Wish | None:
        """The wish to cancel it; None where it is over."""
        return None if self.is_over or self.is_gone else self.wish


class RunList:
    """Writes the rows of lists through one connection, inside its transactions.

    The messages may come in any order, and again: of a run the newest state counts, before its
    job, and the wish to cancel it until it is over.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.kinds = KindTable(db)

    def apply(self, messages: Sequence[Message]) -> None:
        """Fold messages into the rows of their runs."""
        told = [one for one in messages if one.__class__ is not Batch]
        if not told:
            return
        entries: dict[str, _Entry] = {}
        for message in told:
            if message.run_id not in entries:
                entries[message.run_id] = _Entry()
        self._load(entries)
        for message in told:
            _fold(entries[message.run_id], message)
        self._write({run_id: entry for run_id, entry in entries.items() if entry.is_changed})

    def _load(self, entries: dict[str, _Entry]) -> None:
        names = _json(list(entries)).decode()
        for row in map(RunRow._make, self._db.execute(_KNOWN, (names,))):
            entry = entries[row.run_id]
            entry.row, entry.old_status = row, self.kinds.kind(row.kind).status
            entry.sequence, entry.at, entry.state_sequence = row.sequence, row.at, row.state
        for run_id, seq, at, body in self._db.execute(_WISHES, (names,)):
            entry = entries[run_id]
            entry.wish = Wish(seq, at, run_id, decode_cancel(body))
            entry.stored_wish = True

    def _write(self, entries: dict[str, _Entry]) -> None:
        rows: list[tuple[Any, ...]] = []
        gone: list[tuple[int]] = []
        for run_id, entry in entries.items():
            row = entry.row
            if row is not None:
                self.kinds.count(row.kind, -1)
                if entry.job is None and not entry.is_gone:  # only a wish is new
                    known = run_of_row(self.kinds.kind(row.kind), row)
                    entry.job, entry.state = known.job, known.state
            if not entry.is_gone and entry.job is not None:
                rows.append(self._row(run_id, entry, entry.job))
            elif row is not None:
                gone.append((row.sequence,))
        self._write_wishes(entries)
        if gone:
            self._db.executemany("DELETE FROM remote_run WHERE seq = ?", gone)
        if rows:
            insert_rows(self._db, _PUT, rows)
        self.kinds.write()

    def _write_wishes(self, entries: dict[str, _Entry]) -> None:
        """Keep the wishes to cancel runs that go on, or that nothing else is known of yet."""
        for run_id, entry in entries.items():
            if entry.wish is None:
                continue
            wish = entry.open_wish
            if wish is not None:
                body = bytearray(encode(wish.request))
                self._db.execute(_PUT_WISH, (run_id, wish.sequence, wish.at, body))
            elif entry.stored_wish:
                self._db.execute("DELETE FROM remote_cancel WHERE run_id = ?", (run_id,))

    def _row(self, run_id: str, entry: _Entry, job: Job) -> tuple[Any, ...]:
        state, wish = entry.state, entry.open_wish
        status = PENDING if state is None else state.status
        sequence, at = entry.sequence, entry.at
        request: CancelRequest | None = None
        if wish is not None:
            request, status = wish.request, CANCELLING
            if wish.sequence > sequence:
                sequence, at = wish.sequence, wish.at
        kind = self.kinds.id(status, job.flow_name, job.tag, job.tenant_id or "")
        self.kinds.count(kind, 1)
        body = encode_body(job, state, request)
        workflow = job.workflow_yaml_sha256 or ""
        return (sequence, run_id, kind, entry.state_sequence, at, workflow, body)

    def remove(self, run_ids: Iterable[str]) -> None:
        """Delete the rows of runs."""
        names = _json(list(run_ids)).decode()
        for (kind,) in self._db.execute(_REMOVE, (names,)).fetchall():
            self.kinds.count(kind, -1)
        self.kinds.write()

    def forget_wishes(self, now: int) -> None:
        """Delete the wishes that the stream has let go by now (microseconds since the epoch)."""
        self._db.execute("DELETE FROM remote_cancel WHERE updated < ?", (now - _WISH_KEPT,))


def _fold(entry: _Entry, message: Message) -> None:
    match message:
        case Queued():
            if not entry.state_sequence and message.sequence > entry.sequence:
                entry.job, entry.sequence, entry.at = message.job, message.sequence, message.at
                entry.is_changed, entry.is_gone = True, False
        case Stands():
            if message.sequence > entry.state_sequence:
                entry.job, entry.state = message.state.job, message.state
                entry.sequence = entry.state_sequence = message.sequence
                entry.at = message.at
                entry.is_changed, entry.is_gone = True, False
        case Wish():
            if not entry.is_over and (entry.wish is None or message.sequence > entry.wish.sequence):
                entry.wish = message
                entry.is_changed = True
        case Gone():
            if message.sequence > entry.state_sequence:
                entry.is_gone = entry.is_changed = True
        case Batch():
            pass
