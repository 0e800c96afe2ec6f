"""What listeners are told of failures and dead letters."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from tailrace.model.failure import FailureSnapshot, Hop
from tailrace.model.letter import DeadLetter


class FailureEventKind(StrEnum):
    """What has happened."""

    CAPTURED = "captured"
    """A failure inside a run was raised."""
    HOP = "hop"
    """It arrived at a scope, which decided."""
    RETRIED = "retried"
    """It arrived at a scope, which tries again."""
    DEAD_LETTERED = "dead_lettered"
    """Work gave up, or a redrive of it failed."""
    REDRIVEN = "redriven"
    """A dead letter is run again."""
    RESOLVED = "resolved"
    """A redrive of it completed."""
    ROOT_ESCALATED = "root_escalated"
    """A failure ended its run, or reached the root outside of one."""
    SUPPRESSED = "suppressed"
    """Failures of one fingerprint come so often that they are only counted now."""


class FailureEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event. Which fields are set follows from ``kind``."""

    kind: FailureEventKind
    at_ns: int
    """Nanoseconds since the epoch."""
    snapshot: FailureSnapshot | None = None
    hop: Hop | None = None
    """Of ``hop`` and ``retried``."""
    letter: DeadLetter | None = None
    """Of ``dead_lettered``, when the letter is new."""
    letter_id: str = ""
    """Of everything about dead letters."""
    data: dict[str, Any] = {}
    """What else is worth knowing, by name."""
