"""Dead letters as rows, and the redrives of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.model.secret import redact_text
from tailrace.store.audit import Deed, without_secrets, write_deeds
from tailrace.store.conditions import Condition, params, where
from tailrace.store.failure_row import encode_tags

SELECT = "SELECT d.body, d.state, d.generation, d.updated, d.claimer FROM dead_letter AS d"
"""The query whose rows ``letter_of_row`` takes."""
RUNTIME = "runtime"
"""Who did what nobody asked for by hand."""
WAITING = ("open", "parked", "redriving")
"""States of letters that are not over; they are never purged."""

_VALUES = """kind, task_key, run, flow, node, failure_id, reason, category, class, type, fp,
template, version, attempts_total, crash_attempts, state, generation, updated, expires, tags,
body"""
_SETS = ", ".join(f"{name.strip()} = ?" for name in _VALUES.split(","))
_MARKS = ", ".join("?" * (_VALUES.count(",") + 3))
_INSERT = f"""INSERT OR IGNORE INTO dead_letter ({_VALUES}, dl_id, created)
VALUES ({_MARKS})"""  # noqa: S608 - constant columns
_UPDATE = f"UPDATE dead_letter SET {_SETS}, claimer = '' WHERE dl_id = ?"  # noqa: S608 - likewise

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode
_decode_redrive = msgspec.msgpack.Decoder(Redrive).decode


def letter_of_row(row: Sequence[Any]) -> DeadLetter:
    """Return the letter of a row of ``SELECT``."""
    body, state, generation, updated, *_ = row
    return msgspec.structs.replace(
        _decode(body), state=state, generation=generation, updated_ns=updated
    )


def insert_letters(db: sqlite3.Connection, letters: Iterable[DeadLetter]) -> None:
    """Write new letters; one that is there already stays as it is."""
    db.executemany(
        _INSERT, [(*_values(letter), letter.dl_id, letter.created_ns) for letter in letters]
    )


def update_letter(db: sqlite3.Connection, letter: DeadLetter) -> None:
    """Write a letter anew; nobody claims it any longer."""
    db.execute(_UPDATE, (*_values(letter), letter.dl_id))


def load_letter(db: sqlite3.Connection, dl_id: str) -> DeadLetter | None:
    """Return a letter; None when there is none with that id."""
    row = db.execute(f"{SELECT} WHERE d.dl_id = ?", (dl_id,)).fetchone()
    return None if row is None else letter_of_row(row)


def select_letters(
    db: sqlite3.Connection,
    conditions: Sequence[Condition],
    states: Sequence[str],
    *,
    limit: int,
    oldest_first: bool = False,
) -> list[DeadLetter]:
    """Return letters in these states, each state read in the order of its index."""
    order = "ASC" if oldest_first else "DESC"
    found: list[DeadLetter] = []
    for state in states:
        terms = [Condition("d.state = ?", (state,)), *conditions]
        query = f"{SELECT}{where(terms)} ORDER BY d.created {order}, d.dl_id {order} LIMIT ?"
        found += map(letter_of_row, db.execute(query, (*params(terms), limit)))
    found.sort(key=_age, reverse=not oldest_first)
    return found[:limit]


def claim_letters(
    db: sqlite3.Connection,
    conditions: Sequence[Condition],
    redrive: Redrive,
    *,
    at_ns: int,
    limit: int,
    claimer: str,
) -> list[DeadLetter]:
    """Take open letters, oldest first; inside the caller's transaction, alone with the file.

    A letter whose redrive in the same batch has ended is left alone.
    """
    ended = Condition(
        """NOT EXISTS (SELECT 1 FROM redrive AS e WHERE e.dl_id = d.dl_id AND e.batch_id = ?
        AND e.outcome IN ('resolved', 'failed'))""",
        (redrive.batch_id,),
    )
    terms = [Condition("d.state = 'open'"), *conditions, ended]
    statement = f"""UPDATE dead_letter SET state = 'redriving', generation = generation + 1,
        updated = ?, claimer = ? WHERE dl_id IN
        (SELECT d.dl_id FROM dead_letter AS d{where(terms)} ORDER BY d.created, d.dl_id LIMIT ?)
        RETURNING body, state, generation, updated"""  # noqa: S608 - constant text
    values = (at_ns, claimer, *params(terms), limit)
    taken = sorted(map(letter_of_row, db.execute(statement, values).fetchall()), key=_age)
    write_redrives(db, msgspec.structs.replace(redrive, at_ns=at_ns), taken)
    return taken


def write_redrives(db: sqlite3.Connection, redrive: Redrive, letters: Sequence[DeadLetter]) -> None:
    """Write one generation of each letter, and who began it; secrets are left out."""
    rows, deeds = [], []
    redrive = msgspec.structs.replace(
        redrive, reason=redact_text(redrive.reason), patch=without_secrets(redrive.patch)
    )
    for letter in letters:
        one = msgspec.structs.replace(redrive, dl_id=letter.dl_id, generation=letter.generation)
        rows.append((one.dl_id, one.generation, one.batch_id, one.at_ns, _encode(one)))
        detail = {
            "batch": one.batch_id,
            "mode": one.mode,
            "generation": one.generation,
            "before": {"state": LetterState.OPEN.value},
            "after": {"state": LetterState.REDRIVING.value},
        }
        if one.patch is not None:
            detail["patch"] = one.patch
        deeds.append(
            Deed(
                subject=one.dl_id,
                action="redrive",
                actor=one.actor,
                reason=one.reason,
                at_ns=one.at_ns,
                detail=detail,
            )
        )
    db.executemany(
        "INSERT INTO redrive (dl_id, generation, batch_id, at, body) VALUES (?, ?, ?, ?, ?)", rows
    )
    write_deeds(db, deeds)


def begin_redrive(db: sqlite3.Connection, dl_id: str, generation: int, run_id: str) -> None:
    """Note the run that a redrive has become."""
    db.execute(
        "UPDATE redrive SET run = ? WHERE dl_id = ? AND generation = ?",
        (run_id, dl_id, generation),
    )


def end_redrive(db: sqlite3.Connection, dl_id: str, generation: int, outcome: str) -> None:
    """Note how a redrive ended, the first time it is told."""
    db.execute(
        "UPDATE redrive SET outcome = ? WHERE dl_id = ? AND generation = ? AND outcome = ''",
        (outcome, dl_id, generation),
    )


def select_redrives(db: sqlite3.Connection, *, batch_id: str, dl_id: str) -> list[Redrive]:
    """Return the redrives of a batch, of a letter, or all, oldest first."""
    terms = [
        Condition(f"{column} = ?", (value,))
        for column, value in (("batch_id", batch_id), ("dl_id", dl_id))
        if value
    ]
    query = f"SELECT body, run, outcome FROM redrive{where(terms)} ORDER BY at, dl_id, generation"  # noqa: S608 - constant text
    return [
        msgspec.structs.replace(_decode_redrive(body), run_id=run, outcome=outcome)
        for body, run, outcome in db.execute(query, params(terms))
    ]


def _age(letter: DeadLetter) -> tuple[int, str]:
    return letter.created_ns, letter.dl_id


def _values(letter: DeadLetter) -> tuple[Any, ...]:
    return (
        letter.kind,
        letter.task_key,
        letter.run_id,
        letter.flow,
        letter.node_id,
        letter.failure_id,
        letter.reason,
        letter.category,
        letter.class_,
        letter.type,
        letter.fp_site,
        letter.fp_template,
        letter.code_version,
        letter.attempts_total,
        letter.crash_attempts,
        letter.state,
        letter.generation,
        letter.updated_ns,
        letter.expires_ns,
        encode_tags(letter.tags),
        bytearray(_encode(letter)),  # bytes are slow to bind
    )
