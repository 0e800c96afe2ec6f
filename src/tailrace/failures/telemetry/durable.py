"""Failures from outside of runs, made durable."""

from __future__ import annotations

from tailrace.model.failure import FailureSnapshot
from tailrace.ports import FailureLog


class StoreFailureTelemetry:
    """Records each failure in a ``FailureLog``, beyond the flood limit too: groups count exactly.

    Failures inside runs get there through the journal and need no such sink.
    """

    def __init__(self, log: FailureLog) -> None:
        self._log = log

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Record the failure; returns when it is on disk.

        Raises:
            StoreError: it is not.
        """
        self._log.record([snapshot])

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Record it likewise; the log has a flood limit of its own."""
        self._log.record([snapshot])
