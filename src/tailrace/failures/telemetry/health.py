"""How telemetry itself has fared."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tailrace.failures.telemetry.prometheus import Family, Sample, prometheus_text


class SinkHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a callee has behaved so far."""

    name: str
    errors: int = 0
    """Calls that raised."""
    skipped: int = 0
    """Calls that were left out while it was off."""
    slow: int = 0
    """Calls that took longer than allowed."""
    dropped: int = 0
    """Failures that fell out of its queue."""
    is_off: bool = False
    """True while it is left out after too many errors in a row."""


class HubHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a hub has fared so far."""

    escalated: int
    """Terminal failures taken, each once."""
    repeated: int
    """Calls with a failure that was there already."""
    suppressed: int
    """Of the failures, those beyond the flood limit."""
    reentries: int
    """Failures inside telemetry, which are not reported through it again."""
    sinks: tuple[SinkHealth, ...] = ()
    """Of the store, telemetry, metrics sink, handler and listeners, in the order of calls."""


def health_text(health: HubHealth) -> str:
    """Return the counts in Prometheus' text format."""
    return prometheus_text(_families(health))


def _families(health: HubHealth) -> Iterable[Family]:
    for name, text, value in (
        ("escalated", "Terminal failures, each once.", health.escalated),
        ("repeated", "Failures that were reported again.", health.repeated),
        ("suppressed", "Failures beyond the flood limit.", health.suppressed),
        ("reentries", "Failures inside telemetry.", health.reentries),
    ):
        yield Family(f"tailrace_failure_telemetry_{name}_total", "counter", text, [Sample(value)])
    for name, text in (
        ("errors", "Calls of a sink that raised."),
        ("skipped", "Calls left out while a sink was off."),
        ("slow", "Calls of a sink that took too long."),
        ("dropped", "Failures that fell out of a sink's queue."),
    ):
        yield Family(
            f"tailrace_failure_telemetry_sink_{name}_total",
            "counter",
            text,
            [Sample(getattr(sink, name), {"sink": sink.name}) for sink in health.sinks],
        )
