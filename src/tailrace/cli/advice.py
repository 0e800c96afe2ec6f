"""What to do about a kind of failure, in one word."""

from __future__ import annotations

REDRIVE = "redrive"
FIX = "fix"
INSPECT = "inspect"
NONE = "-"
_PASSING = frozenset({"transient", "timeout"})
_PASSING_CLASSES = frozenset({"worker_lost", "infrastructure", "budget_exceeded"})


def advice(category: str, class_: str, *, open_letters: int) -> str:
    """Return ``redrive``, ``fix``, ``inspect``, or ``-`` where nothing waits for anybody.

    What passes by itself is redriven where work is left over; what is wrong with code or data is
    mended first; what nobody can tell apart, or took processes down, is looked at.
    """
    if class_ in {"cancelled", "benign"} or category == "cancelled":
        return NONE
    if category == "permanent":
        return FIX
    if class_ == "poison":
        return INSPECT
    if category in _PASSING or class_ in _PASSING_CLASSES:
        return REDRIVE if open_letters else NONE
    return INSPECT
