"""What a batch does next, from what it has done so far: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from tailrace.model.letter import Redrive, RedriveBatch

FEWEST_FOR_RATIO = 10
"""Finished letters below which ``stop_ratio`` says nothing."""


class BatchState(StrEnum):
    """Life of a batch."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    """Too much failed; what is left stays open."""


class Step(StrEnum):
    """The next thing to do."""

    CLAIM = "claim"
    WAIT = "wait"
    """Until a letter in hand has ended."""
    STOP = "stop"
    END = "end"


class Tally(Struct, frozen=True, kw_only=True):
    """Letters of a batch, each counted once."""

    resolved: int = 0
    failed: int = 0
    in_hand: int = 0
    """Claimed, and not ended yet."""

    @property
    def finished(self) -> int:
        """Letters whose redrive has ended."""
        return self.resolved + self.failed

    @property
    def claimed(self) -> int:
        """Letters taken in all."""
        return self.finished + self.in_hand

    def take(self) -> Tally:
        """Return the tally with one more letter in hand."""
        return replace(self, in_hand=self.in_hand + 1)

    def end(self, *, ok: bool) -> Tally:
        """Return the tally after a letter in hand has ended."""
        return replace(
            self,
            in_hand=self.in_hand - 1,
            resolved=self.resolved + ok,
            failed=self.failed + (not ok),
        )


def next_step(batch: RedriveBatch, tally: Tally, *, is_left: bool) -> Step:
    """Return what comes next; ``is_left`` says whether there are letters to take.

    Letters in hand are always waited for before a batch stops or ends. All canaries run, even
    when the first of them has failed.
    """
    is_trial = tally.claimed <= batch.canary
    more = is_left and not (batch.limit and tally.claimed >= batch.limit)
    if is_trial and (tally.claimed == batch.canary or not more):
        if tally.in_hand:
            return Step.WAIT
        if tally.failed:
            return Step.STOP
    elif not is_trial and is_too_bad(batch, tally):
        return Step.WAIT if tally.in_hand else Step.STOP
    if more:
        return Step.CLAIM
    return Step.WAIT if tally.in_hand else Step.END


def is_too_bad(batch: RedriveBatch, tally: Tally) -> bool:
    """Return whether the share of failed letters is above the batch's bound."""
    finished = tally.finished
    return finished >= FEWEST_FOR_RATIO and tally.failed > batch.stop_ratio * finished


def ended_letters(redrives: Iterable[Redrive]) -> dict[str, bool]:
    """Return letters whose redrive in a batch ended, and whether it went well.

    A redrive whose process died has not ended: its letter is open again and is taken once more.
    """
    return {
        redrive.dl_id: redrive.outcome == "resolved"
        for redrive in redrives
        if redrive.outcome in {"resolved", "failed"}
    }


def tally_of(ended: dict[str, bool]) -> Tally:
    """Return the tally with which a batch goes on."""
    resolved = sum(ended.values())
    return Tally(resolved=resolved, failed=len(ended) - resolved)
