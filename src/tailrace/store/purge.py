"""Deleting what is old, and never what somebody still waits for."""

from __future__ import annotations

import sqlite3
import time

from msgspec import Struct

from tailrace.model.letter import LetterState
from tailrace.store.audit import Deed, write_deeds
from tailrace.store.flood import MINUTE_NS
from tailrace.store.letters import WAITING

_WAITING = f"SELECT {{}} FROM dead_letter WHERE state IN {WAITING!r}"  # noqa: S608 - constant text
_FAILURES = f"""DELETE FROM failure WHERE at < ?
AND NOT (disposition = 'open' AND run IN (SELECT no FROM run WHERE "end" IS NULL))
AND failure_id NOT IN ({_WAITING.format("failure_id")})
AND (run IS NULL OR run NOT IN
  (SELECT no FROM run WHERE run_id IN ({_WAITING.format("run")})))"""  # noqa: S608 - constant text
_OVER = f"state IN ('{LetterState.RESOLVED}', '{LetterState.DISCARDED}') AND updated < ?"
_REDRIVES = f"DELETE FROM redrive WHERE dl_id IN (SELECT dl_id FROM dead_letter WHERE {_OVER})"  # noqa: S608 - constant text
_LETTERS = f"DELETE FROM dead_letter WHERE {_OVER}"  # noqa: S608 - constant text


class Purged(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    failures: int = 0
    """Records; their groups keep counting them."""
    suppressed: int = 0
    """Failures that had no record, no longer told by time."""
    letters: int = 0


def purge(db: sqlite3.Connection, *, until_ns: int, actor: str, reason: str = "") -> Purged:
    """Delete what is older than that instant, inside the caller's transaction.

    Never letters that wait or are being redriven, nor failures of the runs they point to, nor
    failures on their way through a run. Stacks stay: they are few, and other processes remember
    the numbers of their rows.
    """
    failures = db.execute(_FAILURES, (until_ns,)).rowcount
    db.execute(_REDRIVES, (until_ns,))
    letters = db.execute(_LETTERS, (until_ns,)).rowcount
    minute = until_ns // MINUTE_NS
    query = "SELECT coalesce(sum(count), 0) FROM failure_flood WHERE minute < ?"
    suppressed = db.execute(query, (minute,)).fetchone()[0]
    db.execute("DELETE FROM failure_flood WHERE minute < ?", (minute,))
    purged = Purged(failures=failures, suppressed=suppressed, letters=letters)
    if failures or suppressed or letters:
        deed = Deed(
            subject="store",
            action="purge",
            actor=actor,
            reason=reason,
            at_ns=time.time_ns(),
            detail={
                "until_ns": until_ns,
                "failures": failures,
                "suppressed": suppressed,
                "letters": letters,
            },
        )
        write_deeds(db, [deed])
    return purged
