"""What the end of a redrive makes of its letter."""

from __future__ import annotations

import sqlite3

from tailrace.failures.supervision import LetterChange
from tailrace.failures.supervision.letters import settle
from tailrace.model.letter import DeadLetter, LetterState
from tailrace.store.audit import Deed, write_deeds
from tailrace.store.letters import RUNTIME, end_redrive, load_letter, update_letter
from tailrace.store.limits import StoreLimits

_ACTIONS = {LetterState.RESOLVED: "resolve", LetterState.PARKED: "park"}


def settle_letter(db: sqlite3.Connection, limits: StoreLimits, change: LetterChange) -> None:
    """Write what the end of a redrive means, inside the caller's transaction.

    A redrive that is not the letter's newest one changes nothing but its own outcome.
    """
    letter = load_letter(db, change.dl_id)
    if letter is None:
        return
    end_redrive(db, change.dl_id, change.generation, change.outcome)
    if letter.generation != change.generation or letter.state == LetterState.RESOLVED:
        return
    settled = settle(
        letter,
        change.outcome,
        change.failure,
        at_ns=change.at,
        poison_limit=limits.poison,
        max_generations=limits.generations,
    )
    update_letter(db, settled)
    write_deeds(db, [_deed(letter, settled, change)])


def _deed(before: DeadLetter, after: DeadLetter, change: LetterChange) -> Deed:
    return Deed(
        subject=after.dl_id,
        action=_ACTIONS.get(LetterState(after.state), "reopen"),
        actor=RUNTIME,
        reason=f"redrive {change.generation}: {change.outcome}",
        at_ns=change.at,
        detail={
            "outcome": change.outcome,
            "run": change.run_id,
            "generation": change.generation,
            "attempts_total": after.attempts_total,
            "before": {"state": before.state, "failure": before.failure_id},
            "after": {"state": after.state, "failure": after.failure_id},
        },
    )
