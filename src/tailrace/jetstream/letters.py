"""Dead letters of distributed runs: one message each, changed by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from tailrace.errors import Conflict, NotFound, StoreError
from tailrace.failures.match import means_letter
from tailrace.failures.supervision.letters import FAILED, LOST, RESOLVED, settle
from tailrace.jetstream.letter_text import (
    complete,
    letter_in,
    redrives_of,
    with_action,
    with_letter,
    with_redrive,
)
from tailrace.jetstream.link import Fence, Link
from tailrace.jetstream.names import Names, is_token
from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.model.remote import DEFAULT_TAG, StoredLetter, decode_letter, encode

_OPEN, _PARKED = LetterState.OPEN, LetterState.PARKED
_DISCARDED, _REDRIVING = LetterState.DISCARDED, LetterState.REDRIVING
_ENDED = frozenset({RESOLVED, FAILED})
_CHANGES = {
    "park": (_PARKED, {_OPEN}),
    "discard": (_DISCARDED, {_OPEN, _PARKED}),
    "reopen": (_OPEN, {_PARKED}),
}
_NAMED = _CHANGES | {"reopen": (_OPEN, {_PARKED, _DISCARDED, LetterState.RESOLVED, _REDRIVING})}
_TRIES = 20
"""Of a compare-and-set, each of which fails only because somebody else's succeeded."""

Change = Callable[[DeadLetter], DeadLetter | None]


class JetStreamLetters:
    """``ports.DeadLetters``, with every method awaited. Lists read the whole stream.

    For lists of people there is the index of a gateway; here is the truth. Letters expire by age,
    number and size as the stream says.
    """

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    async def put(self, letter: StoredLetter) -> bool:
        """Store a letter, before the message it is about is settled; False: it is there already.

        Fields that its job has are filled in. Storing it again does no harm.
        """
        whole = complete(letter)
        generation = letter_in(whole).generation
        subject = self._subject(whole)
        try:
            _, known = await self._link.store(
                subject,
                encode(whole),
                message_id=f"dl:{whole.letter_id}:{generation}",
                fence=Fence(subject, 0),
                stream=self._names.letters,
            )
        except Conflict:
            return False
        return not known

    def _subject(self, letter: StoredLetter) -> str:
        tag = letter.tag or DEFAULT_TAG
        return self._names.letter(tag if is_token(tag) else DEFAULT_TAG, letter.letter_id)

    async def get(self, letter_id: str) -> tuple[StoredLetter, int] | None:
        """Return a letter and the sequence it is stored under; None: there is none."""
        if not is_token(letter_id):
            return None
        found = await self._link.last_of(
            self._names.letters, [self._names.letters_named(letter_id)]
        )
        return (decode_letter(found[-1].body), found[-1].sequence) if found else None

    async def remove(self, letter_id: str) -> bool:
        """Delete a letter for good; False: there is none."""
        if not is_token(letter_id):
            return False
        subject = self._names.letters_named(letter_id)
        return await self._link.purge(self._names.letters, subject) > 0

    async def stored(self, *, first: int = 1) -> list[StoredLetter]:
        """Return all letters from a sequence on, in the order in which they changed last."""
        found: list[StoredLetter] = []
        while page := await self._link.scan(self._names.letters, first):
            found += [decode_letter(one.body) for one in page if not one.is_marker]
            first = page[-1].sequence + 1
        return found

    async def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first; without ``state`` those that are open or parked."""
        states = {wanted.state} if wanted.state else set(LetterState) if wanted.ids else None
        found = [
            letter
            for letter in map(letter_in, await self.stored())
            if letter.state in (states or {_OPEN, _PARKED}) and means_letter(wanted, letter)
        ]
        return sorted(found, key=_age, reverse=True)[:limit]

    async def letter(self, prefix: str) -> DeadLetter:
        """Return the one letter whose id begins so (``DL-`` may be left out).

        Raises:
            NotFound: none, or more than one, matches.
        """
        text = prefix.strip().upper()
        low = text if text.startswith("DL-") else f"DL-{text}"
        whole = await self.get(low)
        if whole is not None:
            return letter_in(whole[0])
        found = [one for one in await self.stored() if text and one.letter_id.startswith(low)]
        if len(found) != 1:
            raise NotFound(f"{len(found) or 'no'} ids of a record begin with {prefix!r}")
        return letter_in(found[0])

    async def claim(
        self, wanted: FailureFilter, redrive: Redrive, *, limit: int
    ) -> list[DeadLetter]:
        """Take open letters for a redrive, oldest first; see ``ports.DeadLetters``."""
        if wanted.state not in {"", _OPEN}:
            return []
        wanted = replace(wanted, state=_OPEN.value)
        found = [
            letter
            for letter in map(letter_in, await self.stored())
            if letter.state == _OPEN and means_letter(wanted, letter)
        ]
        taken: list[DeadLetter] = []
        for letter in sorted(found, key=_age):
            if len(taken) >= limit:
                break
            one = await self.claim_one(letter.dl_id, redrive)
            taken += [] if one is None else [one]
        return taken

    async def claim_one(self, letter_id: str, redrive: Redrive) -> DeadLetter | None:
        """Take an open letter for a redrive; None: it is not open, or was faster taken."""

        def take(letter: DeadLetter) -> DeadLetter | None:
            ended = any(
                one.batch_id == redrive.batch_id and one.outcome in _ENDED
                for one in redrives_of(letter)
            )
            if letter.state != _OPEN or ended:
                return None
            number = letter.generation + 1
            at_ns = redrive.at_ns or time.time_ns()
            taken = replace(letter, state=_REDRIVING.value, generation=number, updated_ns=at_ns)
            one = replace(redrive, dl_id=letter.dl_id, generation=number, at_ns=at_ns)
            return with_redrive(taken, one)

        return await self._change(letter_id, take)

    async def settle(
        self,
        letter: DeadLetter,
        outcome: str,
        *,
        failure: FailureSnapshot | None,
        run_id: str = "",
    ) -> DeadLetter | None:
        """End a redrive: ``resolved``, ``failed`` or ``lost``; None: it has ended already.

        Args:
            letter: its id and generation say which redrive.
            outcome: how it ended.
            failure: what ended it; None when it succeeded or was cancelled.
            run_id: the run that it became.

        Raises:
            StoreError: TR508, nothing ends so.
        """
        if outcome not in {*_ENDED, LOST}:
            raise StoreError(f"a redrive cannot end as {outcome!r}", code="TR508")

        def end(present: DeadLetter) -> DeadLetter | None:
            ours = [one for one in redrives_of(present) if one.generation == letter.generation]
            if present.generation != letter.generation or (ours and ours[0].outcome):
                return None
            if present.state == LetterState.RESOLVED:
                return None
            ended = settle(present, outcome, failure, at_ns=time.time_ns())
            for one in ours:
                changed = replace(one, outcome=outcome, run_id=run_id or one.run_id)
                ended = with_redrive(ended, changed)
            return ended

        return await self._change(letter.dl_id, end)

    async def change(
        self, wanted: FailureFilter, action: str, *, actor: str, reason: str
    ) -> list[DeadLetter]:
        """``park``, ``discard`` or ``reopen`` letters and return those changed, as they are now.

        Raises:
            StoreError: TR508, there is no such action, or a discard without a reason.
        """
        known = _NAMED if wanted.ids or wanted.state else _CHANGES
        if action not in known or (action == "discard" and not reason.strip()):
            raise StoreError(f"a letter cannot be {action!r} so", code="TR508")
        target, sources = known[action]

        def turn(letter: DeadLetter) -> DeadLetter | None:
            if letter.state not in sources or wanted.state not in {"", letter.state}:
                return None
            at_ns = time.time_ns()
            line = {
                "at_ns": at_ns,
                "action": action,
                "actor": actor,
                "reason": reason,
                "before": letter.state,
            }
            turned = replace(letter, state=target.value, updated_ns=at_ns)
            return with_action(turned, line)

        changed = []
        for letter in map(letter_in, await self.stored()):
            if letter.state in sources and means_letter(wanted, letter):
                one = await self._change(letter.dl_id, turn)
                changed += [] if one is None else [one]
        return sorted(changed, key=_age, reverse=True)

    async def _change(self, letter_id: str, change: Change) -> DeadLetter | None:
        """Change a letter as it is at that moment; None: it is gone, or there is nothing to do.

        Raises:
            Conflict: others were faster again and again.
        """
        for _ in range(_TRIES):
            found = await self.get(letter_id)
            changed = None if found is None else change(letter_in(found[0]))
            if found is None or changed is None:
                return None
            stored, sequence = found
            subject = self._subject(stored)
            body = encode(with_letter(stored, changed))
            try:
                await self._link.store(subject, body, fence=Fence(subject, sequence))
            except Conflict:
                continue
            return changed
        raise Conflict(f"dead letter {letter_id} is changed by others all the time")


def _age(letter: DeadLetter) -> tuple[int, str]:
    return letter.created_ns, letter.dl_id
