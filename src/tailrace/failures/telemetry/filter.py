"""Sinks that are told of some failures only."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from tailrace.errors import SettingsError
from tailrace.failures.telemetry.protocol import FailureTelemetry, sink_name
from tailrace.model.failure import FailureSnapshot, Hop


class FilterTelemetry:
    """Hands on the failures for which ``wanted`` is true, and what belongs to them.

    The sink behind it is named ``filter(NAME)`` in the counts of the hub.
    """

    def __init__(self, sink: FailureTelemetry, wanted: Callable[[FailureSnapshot], object]) -> None:
        self.sink = sink
        self.name = f"filter({sink_name(sink)})"
        self.blocking = bool(getattr(sink, "blocking", False))
        self._wanted = wanted

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Hand the failure on if it is wanted."""
        if self._wanted(snapshot):
            self.sink.on_failure(snapshot)

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop, /) -> None:
        """Hand the hop on if its failure is wanted."""
        self._forward("on_hop", snapshot, hop)

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Let the sink count the failure if it is wanted."""
        self._forward("on_suppressed", snapshot)

    def flush(self, timeout: float, /) -> bool:
        """Flush the sink."""
        flush = getattr(self.sink, "flush", None)
        return flush is None or flush(timeout) is not False

    def _forward(self, method: str, snapshot: FailureSnapshot, *more: Any) -> None:
        function = getattr(self.sink, method, None)
        if function is not None and self._wanted(snapshot):
            function(snapshot, *more)


class SampleTelemetry(FilterTelemetry):
    """Hands on about one failure of ``every``; which ones follows from their ids.

    So a failure and its hops are either all told or not at all, by every sampler of that rate.

    Raises:
        SettingsError: ``every`` is no positive number (TR330).
    """

    def __init__(self, sink: FailureTelemetry, every: int) -> None:
        if every < 1:
            raise SettingsError(
                f"one failure of {every!r} cannot be told; it must be 1 or more", code="TR330"
            )
        super().__init__(sink, lambda s: zlib.crc32(s.failure_id.encode()) % every == 0)
        self.name = f"sample({sink_name(sink)})"
