"""What running a dead letter's work again comes to, and who does it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from tailrace.model import Policy
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter, Redrive


class RedriveMode(StrEnum):
    """How much of a run is run again."""

    RESUME = "resume"
    """Finished nodes give what they gave; the failed node and all after it run."""
    NODE = "node"
    """The failed node alone, with the inputs it had."""
    NEW_RUN = "new-run"
    """Everything, in a new run that names the old one."""


class RerunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one redrive ended."""

    ok: bool
    run_id: str = ""
    """The run it became, whose journal settles the letter; empty when none started."""
    failure: FailureSnapshot | None = None
    """Why it failed, where no journal knows it."""
    message: str = ""
    """Why it failed, in one line; empty when it did not."""
    cancelled: bool = False
    """Somebody stopped it; ``ok`` is False then."""
    settled: bool = False
    """The letter has been settled by whoever did the work."""


class Rerun(Protocol):
    """Does the work of a claimed letter again, to its end.

    What stands in the way before any work began (no such flow, inputs that cannot be read) may be
    raised as a ``TailraceError``; the letter is then open again.
    """

    def __call__(
        self, letter: DeadLetter, redrive: Redrive, *, policy: Policy | None
    ) -> RerunOutcome:
        """Return how it ended. ``redrive`` says generation, mode and patch."""
        ...
