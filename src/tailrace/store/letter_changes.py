"""What users, and time, do to dead letters."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tailrace.errors import StoreError
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterReason, LetterState
from tailrace.store.audit import Deed, write_deeds
from tailrace.store.conditions import Condition, of_letters
from tailrace.store.letters import (
    RUNTIME,
    end_redrive,
    load_letter,
    select_letters,
    update_letter,
)

_OPEN, _PARKED = LetterState.OPEN.value, LetterState.PARKED.value
_DISCARDED, _RESOLVED = LetterState.DISCARDED.value, LetterState.RESOLVED.value
_REDRIVING = LetterState.REDRIVING.value
_TARGETS = {"park": _PARKED, "discard": _DISCARDED, "reopen": _OPEN}
_SOURCES = {"park": (_OPEN,), "discard": (_OPEN, _PARKED), "reopen": (_PARKED,)}
_NAMED = {**_SOURCES, "reopen": (_PARKED, _DISCARDED, _RESOLVED, _REDRIVING)}
"""States that are left when letters are named by id or state."""
_NO_RUN = Condition(
    """(d.state <> 'redriving' OR EXISTS (SELECT 1 FROM redrive AS e
    WHERE e.dl_id = d.dl_id AND e.generation = d.generation AND e.run = ''))"""
)
_CLAIMED = """SELECT d.dl_id, d.generation, d.claimer, coalesce(e.run, '') FROM dead_letter AS d
LEFT JOIN redrive AS e ON e.dl_id = d.dl_id AND e.generation = d.generation
WHERE d.state = 'redriving'"""
_ENDED = """SELECT "end" IS NOT NULL FROM run WHERE run_id = ?"""
_ALL = 1 << 62


def change_letters(
    db: sqlite3.Connection,
    *,
    wanted: FailureFilter,
    action: str,
    actor: str,
    reason: str,
    at_ns: int,
) -> list[DeadLetter]:
    """``park``, ``discard`` or ``reopen`` letters, inside the caller's transaction.

    Raises:
        StoreError: TR508, there is no such action, or no reason to discard.
    """
    _check(action, reason)
    sources = (_NAMED if wanted.ids or wanted.state else _SOURCES)[action]
    states = [state for state in sources if wanted.state in {"", state}]
    found = select_letters(db, [*of_letters(wanted), _NO_RUN], states, limit=_ALL)
    return _put(db, found, _TARGETS[action], Deed(
        subject="", action=action, actor=actor, reason=reason, at_ns=at_ns
    ))  # fmt: skip


def _check(action: str, reason: str) -> None:
    if action not in _TARGETS:
        raise StoreError(
            f"a letter cannot be {action!r} (known: {', '.join(_TARGETS)})",
            code="TR508",
            hint="choose one of them; redrives have commands of their own",
        )
    if action == "discard" and not reason.strip():
        raise StoreError(
            "a letter is discarded for a reason, and none was given",
            code="TR508",
            hint="say why with --reason",
        )


def expire_letters(db: sqlite3.Connection, now_ns: int) -> list[DeadLetter]:
    """Discard the letters whose time is over, inside the caller's transaction."""
    over = Condition("d.expires > 0 AND d.expires <= ?", (now_ns,))
    found = select_letters(db, [over], (_OPEN, _PARKED), limit=_ALL)
    expired = [
        msgspec.structs.replace(letter, reason=LetterReason.EXPIRED.value) for letter in found
    ]
    deed = Deed(
        subject="", action="discard", actor=RUNTIME, reason="its time is over", at_ns=now_ns
    )
    return _put(db, expired, _DISCARDED, deed)


def release_letters(
    db: sqlite3.Connection, is_alive: Callable[[str], bool], at_ns: int
) -> list[DeadLetter]:
    """Open letters again whose redrive died, inside the caller's transaction.

    That is when its claimer died before it became a run, or when that run is over or gone and
    has not settled the letter. Processes that died over it are counted by the runs alone.
    """
    released = []
    for dl_id, generation, claimer, run in db.execute(_CLAIMED).fetchall():
        if is_alive(claimer) or (run and not _is_over(db, run)):
            continue
        letter = load_letter(db, dl_id)
        if letter is not None:
            end_redrive(db, dl_id, generation, "lost")
            released.append(letter)
    deed = Deed(subject="", action="reopen", actor=RUNTIME, reason="its process died", at_ns=at_ns)
    return _put(db, released, _OPEN, deed)


def _is_over(db: sqlite3.Connection, run_id: str) -> bool:
    row = db.execute(_ENDED, (run_id,)).fetchone()
    return row is None or bool(row[0])


def _put(
    db: sqlite3.Connection, letters: Sequence[DeadLetter], state: str, deed: Deed
) -> list[DeadLetter]:
    """Put letters into a state, each with a line in the audit trail like ``deed``."""
    changed = [
        msgspec.structs.replace(letter, state=state, updated_ns=deed.at_ns) for letter in letters
    ]
    for letter in changed:
        update_letter(db, letter)
    write_deeds(db, _deeds(letters, changed, deed))
    return changed


def _deeds(before: Iterable[DeadLetter], after: Iterable[DeadLetter], deed: Deed) -> list[Deed]:
    return [
        msgspec.structs.replace(
            deed,
            subject=new.dl_id,
            detail={"before": {"state": old.state}, "after": {"state": new.state}},
        )
        for old, new in zip(before, after, strict=True)
    ]
