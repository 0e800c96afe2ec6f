"""Sinks in a row, each behind a guard of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tailrace.failures.telemetry.background import BackgroundTelemetry
from tailrace.failures.telemetry.guard import DEFAULT, Guard, GuardedCall
from tailrace.failures.telemetry.health import SinkHealth
from tailrace.failures.telemetry.observation import FailureTelemetryObservationConfig
from tailrace.failures.telemetry.protocol import FailureTelemetry, sink_name
from tailrace.model.failure import FailureSnapshot, Hop

_Method = Callable[..., Any]


class IsolatedSinks:
    """Calls each sink in order; none keeps another from being called.

    The methods a sink lacks are left out. A sink with ``blocking = True`` is called from a thread
    of its own.
    """

    def __init__(
        self,
        sinks: Iterable[FailureTelemetry],
        config: FailureTelemetryObservationConfig = DEFAULT,
        *,
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Put guards around the sinks; ``timer`` tells them the time."""
        self._timer = timer
        self._sinks = [_in_background(sink) for sink in sinks]
        names = _numbered(sink_name(sink) for sink in self._sinks)
        self._guards = [Guard(name, config, timer=timer) for name in names]
        self.failure_calls = self._calls("on_failure")
        """For the hub, which spares itself a call."""
        self._hop_calls = self._calls("on_hop", _taking_pairs)
        self._suppressed_calls = self._calls("on_suppressed")

    def on_failure(self, snapshot: FailureSnapshot) -> None:
        """Hand the failure to each."""
        now = self._timer()
        for call in self.failure_calls:
            now = call(now, snapshot)

    def on_hop(self, snapshot: FailureSnapshot, hop: Hop) -> None:
        """Hand the hop to each that wants it."""
        now = self._timer()
        for call in self._hop_calls:
            now = call(now, (snapshot, hop))

    def on_suppressed(self, snapshot: FailureSnapshot) -> None:
        """Let each count that counts."""
        now = self._timer()
        for call in self._suppressed_calls:
            now = call(now, snapshot)

    def flush(self, timeout: float) -> bool:
        """Flush each, within ``timeout`` seconds in all; return whether nothing waits in any."""
        end = time.monotonic() + timeout
        done = [_flush(sink, max(end - time.monotonic(), 0.0)) for sink in self._sinks]
        return all(done)

    def health(self) -> list[SinkHealth]:
        """Return how each has behaved."""
        return [
            msgspec.structs.replace(guard.health(), dropped=sink.dropped)
            if isinstance(sink, BackgroundTelemetry)
            else guard.health()
            for sink, guard in zip(self._sinks, self._guards, strict=True)
        ]

    @property
    def on_duty(self) -> int:
        """Sinks that are not left out at present."""
        return sum(not guard.is_off for guard in self._guards)

    def _calls(
        self, method: str, adapt: Callable[[_Method], _Method] = lambda function: function
    ) -> list[GuardedCall]:
        pairs = zip(self._sinks, self._guards, strict=True)
        return [
            guard.around(adapt(function), timed=not getattr(sink, "is_instant", False))
            for sink, guard in pairs
            if (function := getattr(sink, method, None)) is not None
        ]


def _taking_pairs(on_hop: _Method) -> _Method:
    return lambda pair: on_hop(*pair)


def _flush(sink: FailureTelemetry, timeout: float) -> bool:
    flush = getattr(sink, "flush", None)
    try:
        return flush is None or flush(timeout) is not False
    except Exception:  # noqa: BLE001 - a sink may raise anything
        return False


def _in_background(sink: FailureTelemetry) -> FailureTelemetry:
    if getattr(sink, "blocking", False) and not isinstance(sink, BackgroundTelemetry):
        return BackgroundTelemetry(sink)
    return sink


def _numbered(names: Iterable[str]) -> list[str]:
    """Return the names, the second of equal ones as ``name#2``."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered
