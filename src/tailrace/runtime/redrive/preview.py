"""What a redrive would do; nothing is changed by asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tailrace.errors import NotFound
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterState
from tailrace.ports import DeadLetters
from tailrace.runtime.redrive.judge import cautions, refusal
from tailrace.runtime.redrive.outcome import RedriveMode
from tailrace.runtime.redrive.outlook import Outlook

ALL = 1_000_000_000
"""More letters than there are."""
_OLD_INPUTS = "what is reused was made from the old inputs; use the mode new-run if that matters"


class PlannedRedrive(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen to one letter."""

    letter: DeadLetter
    refusal: str = ""
    """Why it would be left alone; empty when it would be run."""
    cautions: tuple[str, ...] = ()
    reuse: tuple[str, ...] = ()
    """Nodes that would give what they gave, in the order of the flow."""
    rerun: tuple[str, ...] = ()
    """Nodes that would run, or run if the flow gets there."""
    results: int = 0
    """Stored outputs that would be reused, those of iterations counted one by one."""


class RedrivePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen to the letters a filter matches, oldest first."""

    mode: str
    items: tuple[PlannedRedrive, ...]
    matched: int
    """Letters that match, those beyond the limit included."""
    patch: Any = None
    policy: Any = None
    force: bool = False

    @property
    def ready(self) -> tuple[PlannedRedrive, ...]:
        """Those that would be run."""
        return tuple(item for item in self.items if not item.refusal)

    @property
    def refused(self) -> tuple[PlannedRedrive, ...]:
        """Those that would be left alone."""
        return tuple(item for item in self.items if item.refusal)


def plan_redrive(
    letters: DeadLetters,
    wanted: FailureFilter,
    outlook: Outlook,
    *,
    mode: str = RedriveMode.RESUME.value,
    patch: Any = None,
    policy: Any = None,
    force: bool = False,
    limit: int = 0,
) -> RedrivePlan:
    """Return what a redrive of these letters would do.

    ``limit`` bounds the letters that would be run; 0: no bound.

    Raises:
        NotFound: an id of ``wanted.ids`` names no letter, or more than one.
    """
    found = find_letters(letters, wanted)
    items: list[PlannedRedrive] = []
    ready = 0
    for letter in found:
        if limit and ready >= limit:
            break
        item = _planned(letter, outlook, mode=mode, force=force)
        if patch is not None and item.reuse:
            item = msgspec.structs.replace(item, cautions=(*item.cautions, _OLD_INPUTS))
        ready += not item.refusal
        items.append(item)
    return RedrivePlan(
        mode=mode,
        items=tuple(items),
        matched=len(found),
        patch=patch,
        policy=policy,
        force=force,
    )


def find_letters(letters: DeadLetters, wanted: FailureFilter) -> list[DeadLetter]:
    """Return the letters that are meant, oldest first: open ones, or in any state those named.

    Raises:
        NotFound: an id of ``wanted.ids`` names no letter, or more than one.
    """
    if not wanted.ids:
        state = wanted.state or LetterState.OPEN.value
        found = letters.letters(msgspec.structs.replace(wanted, state=state), limit=ALL)
        return _oldest_first(found)
    named = {letter.dl_id: letter for letter in map(letters.letter, wanted.ids)}
    narrowed: set[str] = set()
    for state in LetterState:
        narrow = msgspec.structs.replace(wanted, ids=tuple(named), state=state.value)
        if wanted.state in {"", state}:
            narrowed.update(letter.dl_id for letter in letters.letters(narrow, limit=len(named)))
    return _oldest_first([letter for key, letter in named.items() if key in narrowed])


def nothing_matches() -> NotFound:
    """Return what to raise where there is no letter to redrive (TR349)."""
    return NotFound(
        "no dead letter matches",
        code="TR349",
        hint="tailrace dlq list shows those that wait, and with --state those that are over",
    )


def _oldest_first(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: (letter.created_ns, letter.dl_id))


def judged(letter: DeadLetter, outlook: Outlook, *, mode: str, force: bool) -> str:
    """Return why a letter is not redriven as things stand; empty when it may be."""
    return refusal(letter, outlook.flow(letter), mode=mode, force=force)


def _planned(letter: DeadLetter, outlook: Outlook, *, mode: str, force: bool) -> PlannedRedrive:
    today = outlook.flow(letter)
    why = refusal(letter, today, mode=mode, force=force)
    if why:
        return PlannedRedrive(letter=letter, refusal=why)
    kept = frozenset() if mode == RedriveMode.NEW_RUN else outlook.finished(letter)
    rerun = tuple(node for node in today.nodes if node not in kept)
    return PlannedRedrive(
        letter=letter,
        cautions=cautions(letter, today, mode=mode, force=force),
        reuse=tuple(node for node in today.nodes if node in kept),
        rerun=(letter.node_id,) if mode == RedriveMode.NODE and letter.node_id else rerun,
        results=len(kept),
    )
