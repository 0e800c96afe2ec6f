"""The audit trail: each line's hash covers the line before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from tailrace.model.letter import RecoveryAction
from tailrace.model.secret import REDACTED, is_secret, redact_text

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_COLUMNS = "seq, at, subject, action, actor, reason, detail, prev_hash, hash"
_LAST = "SELECT seq, hash FROM recovery_action ORDER BY seq DESC LIMIT 1"
_GIVEN = "SELECT seq FROM sqlite_sequence WHERE name = 'recovery_action'"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to a letter, a group or a batch."""

    subject: str
    action: str
    actor: str
    at_ns: int
    reason: str = ""
    detail: dict[str, Any] = {}


def write_deeds(db: sqlite3.Connection, deeds: Iterable[Deed]) -> None:
    """Append to the trail, inside the transaction that did it (which must be the only writer)."""
    row = db.execute(_LAST).fetchone()
    seq, before = (0, "") if row is None else row
    given = db.execute(_GIVEN).fetchone()
    seq = seq if given is None else max(seq, given[0])
    rows = []
    for deed in deeds:
        seq += 1
        detail = _encode(deed.detail).decode()
        values = (
            seq,
            deed.at_ns,
            deed.subject,
            deed.action,
            deed.actor,
            redact_text(deed.reason),
            detail,
        )
        after = _hash(values, before)
        rows.append((*values, before, after))
        before = after
    db.executemany(
        f"INSERT INTO recovery_action ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant columns
        rows,
    )


def without_secrets(value: Any) -> Any:
    """Return JSON-able data with what a secret's name stands for, and secrets in texts, hidden."""
    match value:
        case dict():
            return {
                key: REDACTED if is_secret(key, item) else without_secrets(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [without_secrets(item) for item in value]
        case str():
            return redact_text(value)
        case _:
            return value


def load_deeds(db: sqlite3.Connection, subject: str, limit: int) -> list[RecoveryAction]:
    """Return the newest ``limit`` lines of a subject, or of all, oldest first."""
    condition = "WHERE subject = ?" if subject else ""
    query = (
        f"SELECT {_COLUMNS} FROM recovery_action {condition} "  # noqa: S608 - constant text
        "ORDER BY seq DESC LIMIT ?"
    )
    rows = db.execute(query, (subject, limit) if subject else (limit,)).fetchall()
    return [_action_of(row) for row in reversed(rows)]


def first_broken(db: sqlite3.Connection) -> int | None:
    """Return the number of the first line that was changed or removed; None: the chain is whole."""
    expected, before = 1, ""
    query = f"SELECT {_COLUMNS} FROM recovery_action ORDER BY seq"  # noqa: S608 - constant columns
    for row in db.execute(query):
        *values, previous, own = row
        if row[0] != expected:
            return expected
        if previous != before or _hash(values, previous) != own:
            return expected
        expected, before = expected + 1, own
    given = db.execute(_GIVEN).fetchone()
    return expected if given is not None and given[0] >= expected else None


def _hash(values: Sequence[Any], before: str) -> str:
    return sha256(before.encode() + _encode(list(values))).hexdigest()


def _action_of(row: Sequence[Any]) -> RecoveryAction:
    seq, at, subject, action, actor, reason, detail, before, own = row
    return RecoveryAction(
        seq=seq,
        at_ns=at,
        subject=subject,
        action=action,
        actor=actor,
        reason=reason,
        detail=_decode(detail),
        prev_hash=before,
        hash=own,
    )
