"""Bounds that a store keeps for failures and dead letters."""

from __future__ import annotations

import msgspec

from tailrace.model.letter import MOST_GENERATIONS, POISON_LIMIT, DeadLetter

_DAY_NS = 86_400_000_000_000


class StoreLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of a store, in their units."""

    flood: int = 100
    """Failures of a group, in a minute and a process, that get a row each; 0: all."""
    poison: int = POISON_LIMIT
    """Processes that a letter's work may take down before it is parked."""
    generations: int = MOST_GENERATIONS
    """Redrives of a letter before it is parked."""
    letter_days: float = 0
    """Days after which a letter expires; 0: never."""

    def dated(self, letter: DeadLetter) -> DeadLetter:
        """Return the letter with the instant at which it expires."""
        if not self.letter_days or letter.expires_ns:
            return letter
        expires = letter.created_ns + round(self.letter_days * _DAY_NS)
        return msgspec.structs.replace(letter, expires_ns=expires)
