"""Which threads are inside of something."""

from __future__ import annotations

from threading import get_ident

from tailrace.failures.telemetry.tally import Tally


class Inside:
    """Keeps a thread from entering again what it is inside of. Thread-safe."""

    __slots__ = ("leave", "reentries", "threads")

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.leave = self.threads.discard
        """Let the thread go, with what ``enter`` returned."""
        self.reentries = Tally()
        """Times a thread was kept out."""

    def enter(self) -> int:
        """Return the thread's number, 0 when it is inside already."""
        thread = get_ident()
        if thread in self.threads:
            self.reentries.bump()
            return 0
        self.threads.add(thread)
        return thread
