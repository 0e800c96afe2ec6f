"""What a fold of a run's failures hands out."""

from __future__ import annotations

import msgspec

from tailrace.model.failure import FailureSnapshot, Hop
from tailrace.model.letter import DeadLetter


class LetterChange(msgspec.Struct, frozen=True, kw_only=True):
    """What the end of a run means for the dead letter that it redrove."""

    dl_id: str
    outcome: str
    """``resolved``, ``failed`` (also when the redrive was cancelled) or ``lost``."""
    failure: FailureSnapshot | None
    """What ended the run; None when nothing did."""
    attempts: int
    """Attempts that the run made at the letter's work."""
    at: int
    """Nanoseconds since the epoch."""
    run_id: str
    generation: int


class FailureChanges(msgspec.Struct):
    """What has happened to failures since the last time it was asked."""

    moved: list[FailureSnapshot] = []
    """The newest state of each failure that changed, one entry per ``failure_id``."""
    hops: list[tuple[FailureSnapshot, Hop]] = []
    """Every hop in order, with the failure as it stood after it."""
    ended: list[FailureSnapshot] = []
    """Those that have reached their final disposition."""
    letter: DeadLetter | None = None
    """The letter that the end of the run leaves."""
    settled: LetterChange | None = None
    """What that end means for the letter that the run redrove."""

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.moved or self.ended or self.letter or self.settled)
