"""How telemetry itself is watched, and what it tells of its own calls."""

from __future__ import annotations

from typing import Literal, Protocol, Self

import msgspec

from tailrace.errors import SettingsError


class TelemetryInvoked(msgspec.Struct, frozen=True, gc=False):
    """Telemetry was called for one failure."""

    sinks: int
    """Sinks that are not left out at present."""


class TelemetryLatencyNanos(msgspec.Struct, frozen=True, gc=False):
    """What one call of telemetry took."""

    nanos: int
    """Elapsed nanoseconds over all sinks."""


MetricsEvent = TelemetryInvoked | TelemetryLatencyNanos


class MetricsSink(Protocol):
    """Takes measurements of telemetry; must not block."""

    def emit(self, event: MetricsEvent, /) -> None:
        """Take one measurement; from any thread."""
        ...


class FailureTelemetryObservationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How telemetry is called and measured.

    Raises:
        SettingsError: a field is out of its bounds (TR334).
    """

    metrics_sink: MetricsSink | None = None
    """Where ``TelemetryInvoked`` and ``TelemetryLatencyNanos`` go; None: nowhere."""
    record_timing: bool = False
    """Emit ``TelemetryLatencyNanos``."""
    sample_every: int = 64
    """Of so many calls one is emitted as ``TelemetryLatencyNanos``, the first one included."""
    slow_call_ns: int = 5_000_000
    """A call of a sink that takes longer is counted as slow, sampled or not."""
    events: Literal["terminal", "hops"] = "terminal"
    """``hops``: ``on_hop`` is called as well, at every scope a failure arrives at."""
    breaker_threshold: int = 5
    """Errors in a row after which a sink is left out; 0: never."""
    breaker_cooldown_s: float = 30.0
    """Seconds for which it is left out."""
    flood_limit: int = 100
    """Failures of one fingerprint per minute that telemetry is told of; the others are counted.
    0: all."""

    def __post_init__(self) -> None:
        bounds = {
            "sample_every": (1, 1_000_000_000),
            "slow_call_ns": (0, 1_000_000_000_000),
            "breaker_threshold": (0, 1_000_000),
            "breaker_cooldown_s": (0, 86_400),
            "flood_limit": (0, 1_000_000_000),
        }
        for field, (least, most) in bounds.items():
            value = getattr(self, field)
            if not least <= value <= most:
                raise SettingsError(
                    f"{field} is {value!r}; it must be from {least} to {most}",
                    code="TR334",
                    details={"field": field, "value": value},
                )
        if self.events not in ("terminal", "hops"):
            raise SettingsError(
                f"events is {self.events!r}; it must be 'terminal' or 'hops'",
                code="TR334",
                details={"field": "events", "value": self.events},
            )

    @classmethod
    def new(cls) -> Self:
        """Return the defaults: nothing is measured."""
        return cls()
