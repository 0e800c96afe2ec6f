"""What an import hands to the log, and the port behind which it is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tailrace.model.event import Event
from tailrace.model.failure import FailureSnapshot
from tailrace.model.letter import DeadLetter


class ImportedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a file: an event, or bytes that are none."""

    offset: int
    """Byte at which it begins."""
    digest: str
    """SHA-256 of its bytes, in hex; with file and offset the identity of the piece."""
    event: Event | None = None
    """None: it goes into quarantine."""
    failure: FailureSnapshot | None = None
    """Of an event that is a dead letter."""
    letter: DeadLetter | None = None
    line: bytes = b""
    """What is kept in quarantine."""
    reason: str = ""
    """Why it is there."""


class ImportLog(Protocol):
    """Where imports leave their events, each piece of a file once."""

    def take(self, source: str, lines: Sequence[ImportedLine]) -> list[bool]:
        """Write what is new, in one commit, and return for each line whether it was.

        Raises:
            StoreError: nothing was written.
        """
        ...

    def known(self, source: str, lines: Sequence[ImportedLine]) -> list[bool]:
        """Return for each line whether it has been taken before; nothing is written."""
        ...

    def quarantine(self, source: str = "") -> list[ImportedLine]:
        """Return what no event could be made of, by offset; of one source, or of all."""
        ...
