"""Dead letters in memory."""

from __future__ import annotations

import time

import msgspec

from tailrace.errors import StoreError
from tailrace.failures.match import means_letter
from tailrace.failures.supervision.letters import settle
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.testing.failures import MemoryFailures, unique_id

_OPEN, _PARKED = LetterState.OPEN, LetterState.PARKED
_DISCARDED = LetterState.DISCARDED
_ENDED = frozenset({"resolved", "failed"})
_CHANGES = {
    "park": (LetterState.PARKED, {_OPEN}),
    "discard": (_DISCARDED, {_OPEN, _PARKED}),
    "reopen": (_OPEN, {_PARKED}),
}
_NAMED = _CHANGES | {
    "reopen": (_OPEN, {_PARKED, _DISCARDED, LetterState.RESOLVED, LetterState.REDRIVING}),
}


class MemoryDeadLetters(MemoryFailures):
    """Work that gave up, kept for as long as it lives. Nobody dies here but everybody."""

    def __init__(self) -> None:
        super().__init__()
        self._redrives: dict[tuple[str, int], Redrive] = {}

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first; see ``SqliteDeadLetters``."""
        states = {wanted.state} if wanted.state else set(LetterState) if wanted.ids else None
        with self._guard:
            self._catch_up()
            found = [
                letter
                for letter in self._letters.values()
                if letter.state in (states or {_OPEN, _PARKED}) and means_letter(wanted, letter)
            ]
        return sorted(found, key=_age, reverse=True)[:limit]

    def letter(self, prefix: str) -> DeadLetter:
        """Return the one letter whose id begins so (``DL-`` may be left out)."""
        with self._guard:
            self._catch_up()
            return self._letters[unique_id(self._letters, prefix, "DL-")]

    def claim(self, wanted: FailureFilter, redrive: Redrive, *, limit: int) -> list[DeadLetter]:
        """Take open letters for a redrive, oldest first: each is taken by one claimer only."""
        if wanted.state not in {"", _OPEN}:
            return []
        with self._guard:
            self._catch_up()
            still = msgspec.structs.replace(wanted, state=_OPEN.value)
            found = self.letters(still, limit=len(self._letters))
            fresh = [letter for letter in reversed(found) if not self._has_ended(letter, redrive)]
            return [self._take(letter, redrive) for letter in fresh[:limit]]

    def _has_ended(self, letter: DeadLetter, redrive: Redrive) -> bool:
        return any(
            one.dl_id == letter.dl_id and one.batch_id == redrive.batch_id and one.outcome in _ENDED
            for one in self._redrives.values()
        )

    def _take(self, letter: DeadLetter, redrive: Redrive) -> DeadLetter:
        number = letter.generation + 1
        one = msgspec.structs.replace(redrive, dl_id=letter.dl_id, generation=number)
        self._redrives[letter.dl_id, number] = one
        at = redrive.at_ns or time.time_ns()
        taken = msgspec.structs.replace(
            letter, state=LetterState.REDRIVING.value, generation=number, updated_ns=at
        )
        self._letters[letter.dl_id] = taken
        return taken

    def settle(self, letter: DeadLetter, outcome: str, *, failure: FailureSnapshot | None) -> None:
        """End a redrive of a letter that is no run: ``resolved`` or ``failed``."""
        if outcome not in {*_ENDED, "lost"}:
            raise StoreError(f"a redrive cannot end as {outcome!r}", code="TR508")
        with self._guard:
            if failure is not None:
                self._keep(failure)
            self._settle(letter.dl_id, letter.generation, outcome, failure, at_ns=time.time_ns())

    def _settle(
        self,
        dl_id: str,
        generation: int,
        outcome: str,
        failure: FailureSnapshot | None,
        *,
        at_ns: int,
    ) -> None:
        present = self._letters.get(dl_id)
        redrive = self._redrives.get((dl_id, generation))
        if redrive is not None:
            ended = msgspec.structs.replace(redrive, outcome=outcome)
            self._redrives[dl_id, generation] = ended
        if present is None or present.generation != generation:
            return
        if present.state != LetterState.RESOLVED:
            self._letters[dl_id] = settle(present, outcome, failure, at_ns=at_ns)

    def change(
        self, wanted: FailureFilter, action: str, *, actor: str, reason: str
    ) -> list[DeadLetter]:
        """``park``, ``discard`` or ``reopen`` letters and return those changed, as they are now."""
        del actor  # there is no audit trail in memory
        known = _NAMED if wanted.ids or wanted.state else _CHANGES
        if action not in known or (action == "discard" and not reason.strip()):
            raise StoreError(f"a letter cannot be {action!r} so", code="TR508")
        target, sources = known[action]
        with self._guard:
            self._catch_up()
            changed = [
                msgspec.structs.replace(letter, state=target.value, updated_ns=time.time_ns())
                for letter in self._letters.values()
                if letter.state in sources
                and wanted.state in {"", letter.state}
                and means_letter(wanted, letter)
            ]
            self._letters |= {letter.dl_id: letter for letter in changed}
        return sorted(changed, key=_age, reverse=True)


def _age(letter: DeadLetter) -> tuple[int, str]:
    return letter.created_ns, letter.dl_id
