"""Dead letters in the store's file."""

from __future__ import annotations

import time
from functools import partial

from tailrace.errors import StoreError
from tailrace.failures.supervision import LetterChange
from tailrace.failures.supervision.letters import attempts_of
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.store.access import unique_id
from tailrace.store.adapter import FileAdapter
from tailrace.store.conditions import of_letters
from tailrace.store.letter_changes import change_letters, expire_letters
from tailrace.store.letters import claim_letters, load_letter, select_letters
from tailrace.store.recovery import recover
from tailrace.store.settlement import settle_letter
from tailrace.store.writer import Writer

_SHOWN = (LetterState.OPEN.value, LetterState.PARKED.value)
_ANY = tuple(state.value for state in LetterState)
_OWN = """EXISTS (SELECT 1 FROM remote_letter AS o
WHERE o.dl_id = dead_letter.dl_id AND o.tenant = ?)"""
_OUTCOMES = ("resolved", "failed", "lost")


class SqliteDeadLetters(FileAdapter):
    """Dead letters in one SQLite file, beside the runs they come from.

    Every change is durable against the loss of power when the call returns, and in the audit
    trail. Concurrency: any number of threads and processes; each letter is claimed by one.
    """

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first.

        Without ``state`` those that are open or parked; of ``ids``, in whatever state they are.
        """
        states = (wanted.state,) if wanted.state else _ANY if wanted.ids else _SHOWN
        with self._file.reading() as db:
            return select_letters(db, of_letters(wanted), states, limit=limit)

    def letter(self, prefix: str, *, tenant: str | None = None) -> DeadLetter:
        """Return the one letter whose id begins so (``DL-`` may be left out).

        Args:
            prefix: the beginning of the id.
            tenant: of an index: whose letters are the only ones; None: of all.

        Raises:
            NotFound: none, or more than one, matches.
        """
        with self._file.reading() as db:
            own = None if tenant is None else (_OWN, tenant)
            dl_id = unique_id(db, "dl_id", "dead_letter", prefix, "DL-", own=own)
            letter = load_letter(db, dl_id)
        if letter is None:
            raise StoreError(f"letter {dl_id} went away while it was read")
        return letter

    def claim(self, wanted: FailureFilter, redrive: Redrive, *, limit: int) -> list[DeadLetter]:
        """Take open letters for a redrive, oldest first: each is taken by one claimer only.

        They become ``redriving`` with a generation one higher; ``redrive`` says batch, actor,
        mode and patch (its ``dl_id`` and ``generation`` are filled in for each). A letter whose
        claimer died before its run started is open again, as is one whose run died. One whose
        redrive has ended in the same batch is left alone.
        """
        if wanted.state not in {"", LetterState.OPEN}:
            return []
        recover(self._file.writer())
        now = redrive.at_ns or time.time_ns()

        def act(writer: Writer) -> list[DeadLetter]:
            expire_letters(writer.db, now)
            return claim_letters(
                writer.db,
                of_letters(wanted),
                redrive,
                at_ns=now,
                limit=limit,
                claimer=writer.lease.token,
            )

        return self._file.write(act, lasting=True)

    def settle(self, letter: DeadLetter, outcome: str, *, failure: FailureSnapshot | None) -> None:
        """End a redrive of a letter that is no run: ``resolved`` or ``failed``.

        Redrives of runs are settled by their journal, in the commit that ends the run.

        Raises:
            StoreError: there is no such outcome (TR508), or it could not be written.
        """
        if outcome not in _OUTCOMES:
            raise StoreError(
                f"a redrive cannot end as {outcome!r} (known: {', '.join(_OUTCOMES)})",
                code="TR508",
            )
        change = LetterChange(
            dl_id=letter.dl_id,
            outcome=outcome,
            failure=failure,
            attempts=attempts_of(failure),
            at=time.time_ns(),
            run_id="" if failure is None else failure.run_id,
            generation=letter.generation,
        )

        def act(writer: Writer) -> None:
            if failure is not None:
                writer.failures.record([failure], kept={failure.failure_id})
            settle_letter(writer.db, writer.limits, change)

        self._file.write(act, lasting=True)

    def change(
        self, wanted: FailureFilter, action: str, *, actor: str, reason: str
    ) -> list[DeadLetter]:
        """``park``, ``discard`` or ``reopen`` letters and return those changed, as they are now.

        Open letters are parked; open and parked ones discarded; parked ones reopened. By ``ids``
        or ``state``, letters that are resolved or discarded are reopened too, and those whose
        redrive never became a run.

        Raises:
            StoreError: there is no such action, or a letter is discarded without a reason (TR508).
        """
        act = partial(
            change_letters,
            wanted=wanted,
            action=action,
            actor=actor,
            reason=reason,
            at_ns=time.time_ns(),
        )
        return self._file.write(lambda writer: act(writer.db), lasting=True)
