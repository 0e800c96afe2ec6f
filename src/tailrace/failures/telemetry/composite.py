"""Several sinks as one."""

from __future__ import annotations

from tailrace.failures.telemetry.guard import DEFAULT
from tailrace.failures.telemetry.health import SinkHealth
from tailrace.failures.telemetry.inside import Inside
from tailrace.failures.telemetry.isolated import IsolatedSinks
from tailrace.failures.telemetry.noop import NoopFailureTelemetry
from tailrace.failures.telemetry.observation import FailureTelemetryObservationConfig
from tailrace.failures.telemetry.protocol import FailureTelemetry
from tailrace.model.failure import FailureSnapshot, Hop


class CompositeFailureTelemetry:
    """Calls its sinks in order, each isolated from the others.

    A sink that calls the composite from within is kept out. A hub takes the sinks out of it and
    watches them itself, so there ``observation`` does not count.
    """

    def __init__(
        self,
        *sinks: FailureTelemetry,
        observation: FailureTelemetryObservationConfig = DEFAULT,
    ) -> None:
        self.sinks = sinks
        self._isolated = IsolatedSinks(sinks, observation)
        self._inside = Inside()

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Hand the failure to each."""
        if thread := self._inside.enter():
            try:
                self._isolated.on_failure(snapshot)
            finally:
                self._inside.leave(thread)

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop, /) -> None:
        """Hand the hop to each that wants it."""
        if thread := self._inside.enter():
            try:
                self._isolated.on_hop(snapshot, hop)
            finally:
                self._inside.leave(thread)

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Let each count that counts."""
        if thread := self._inside.enter():
            try:
                self._isolated.on_suppressed(snapshot)
            finally:
                self._inside.leave(thread)

    def flush(self, timeout: float, /) -> bool:
        """Flush each, within ``timeout`` seconds in all; return whether nothing waits in any."""
        return self._isolated.flush(timeout)

    def health(self) -> list[SinkHealth]:
        """Return how each has behaved."""
        return self._isolated.health()


def flatten(telemetry: FailureTelemetry) -> list[FailureTelemetry]:
    """Return the sinks that a telemetry consists of, in order; none for Noop."""
    if isinstance(telemetry, CompositeFailureTelemetry):
        return [leaf for sink in telemetry.sinks for leaf in flatten(sink)]
    return [] if isinstance(telemetry, NoopFailureTelemetry) else [telemetry]
