"""The newest failures, in memory."""

from __future__ import annotations

from collections import deque

from tailrace.errors import SettingsError
from tailrace.failures.telemetry.tally import Tally
from tailrace.model.failure import FailureSnapshot


class RingBufferFailureTelemetry:
    """Keeps the newest failures of this process and counts the others. Thread-safe.

    Raises:
        SettingsError: the size is no positive number (TR330).
    """

    is_instant = True
    """It cannot be slow, so nobody measures whether it was."""

    def __init__(self, size: int = 256) -> None:
        if size < 1:
            raise SettingsError(
                f"a ring of {size!r} failures keeps nothing; it must be 1 or more",
                code="TR330",
                hint="use NoopFailureTelemetry to keep none",
            )
        self._kept: deque[FailureSnapshot] = deque(maxlen=size)
        self._tally = Tally()
        self._append, self._bump = self._kept.append, self._tally.bump
        self._size = size

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Keep the failure; the oldest makes room."""
        self._append(snapshot)
        self._bump()

    @property
    def size(self) -> int:
        """Failures that are kept at most."""
        return self._size

    @property
    def total(self) -> int:
        """Failures taken so far."""
        return self._tally.read()

    @property
    def dropped(self) -> int:
        """Failures that had to make room."""
        return max(self.total - self._size, 0)

    def dump(self) -> list[FailureSnapshot]:
        """Return what is kept, oldest first."""
        return list(self._kept)
