"""Dead letters of runs that are executed elsewhere, as rows beside all others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from msgspec import Struct

from tailrace.model.letter import DeadLetter
from tailrace.store.letters import insert_letters, load_letter, update_letter
from tailrace.store.liveness import REMOTE


class LetterMessage(Struct, frozen=True, gc=False):
    """A dead letter as it stands now."""

    sequence: int
    letter: DeadLetter
    tenant: str = ""


_KNOWN = "SELECT seq FROM remote_letter WHERE dl_id = ?"
_PUT = "INSERT OR REPLACE INTO remote_letter (seq, dl_id, tenant) VALUES (?, ?, ?)"
_CLAIMED = "UPDATE dead_letter SET claimer = ? WHERE dl_id = ?"


def write_letters(db: sqlite3.Connection, messages: Sequence[LetterMessage]) -> None:
    """Write letters as they stand, inside the caller's transaction; older news change nothing."""
    for message in messages:
        letter = message.letter
        row = db.execute(_KNOWN, (letter.dl_id,)).fetchone()
        if row is not None and row[0] >= message.sequence:
            continue
        if load_letter(db, letter.dl_id) is None:
            insert_letters(db, [letter])
        else:
            update_letter(db, letter)
        # Who redrives it is elsewhere: that nobody here holds it says nothing.
        db.execute(_CLAIMED, (REMOTE, letter.dl_id))
        db.execute(_PUT, (message.sequence, letter.dl_id, message.tenant))


def remove_letters(db: sqlite3.Connection, sequences: Iterable[int]) -> None:
    """Delete letters by the numbers of their messages, inside the caller's transaction."""
    for sequence in sequences:
        db.execute(
            "DELETE FROM dead_letter WHERE dl_id = (SELECT dl_id FROM remote_letter WHERE seq = ?)",
            (sequence,),
        )
        db.execute("DELETE FROM remote_letter WHERE seq = ?", (sequence,))


def letter_sequences(db: sqlite3.Connection) -> list[int]:
    """Return the numbers of the messages of all letters."""
    return [seq for (seq,) in db.execute("SELECT seq FROM remote_letter ORDER BY seq")]
