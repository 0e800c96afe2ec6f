"""Failures as counters whose number does not grow with what fails."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from tailrace.failures.telemetry.observation import (
    MetricsEvent,
    TelemetryInvoked,
    TelemetryLatencyNanos,
)
from tailrace.failures.telemetry.prometheus import Family, Sample, prometheus_text
from tailrace.failures.telemetry.tally import Tally
from tailrace.model import ErrorCategory
from tailrace.model.failure import Directive, FailureClass, FailureSnapshot, Hop, ScopeLevel

OTHER = "other"
"""Label of every value that is none of the known ones."""
LATENCY_BOUNDS_S = (1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1.0)
_CATEGORIES = frozenset(item.value for item in ErrorCategory)
_CLASSES = frozenset(item.value for item in FailureClass)
_LEVELS = frozenset(item.value for item in ScopeLevel)
_DIRECTIVES = frozenset(item.value for item in Directive)


class MetricsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment."""

    failures: dict[tuple[str, str, str], int]
    """By (category, class, level)."""
    hops: dict[tuple[str, str], int]
    """By (level, directive)."""
    suppressed: int = 0
    """Of the failures, those beyond the flood limit."""
    invoked: int = 0
    """Calls of telemetry."""
    latency: tuple[int, ...] = ()
    """Sampled calls by the first of ``LATENCY_BOUNDS_S`` they stay within; the last: beyond."""
    latency_sum_ns: int = 0

    @property
    def total(self) -> int:
        """Failures in all."""
        return sum(self.failures.values())


class MetricsFailureTelemetry:
    """Counts failures by category, class and level, and hops by level and directive.

    Labels take the values of the model's lists and ``other``, never a message, node or
    fingerprint: the number of series is bounded. It is a ``MetricsSink`` as well. Thread-safe.
    """

    is_instant = True
    """It cannot be slow, so nobody measures whether it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str, str], Tally] = {}
        self._hops: dict[tuple[str, str], Tally] = {}
        self._suppressed = Tally()
        self._invoked = Tally()
        self._latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._latency_sum_ns = 0

    def on_failure(self, snapshot: FailureSnapshot, /) -> None:
        """Count the failure."""
        key = (snapshot.category, snapshot.class_, snapshot.level)
        tally = self._failures.get(key)
        if tally is None:
            bounded = (_known(key[0], _CATEGORIES), _known(key[1], _CLASSES), _level(key[2]))
            tally = self._failures.setdefault(bounded, Tally())
        tally.bump()

    def on_suppressed(self, snapshot: FailureSnapshot, /) -> None:
        """Count the failure, and that nothing else was told of it."""
        self.on_failure(snapshot)
        self._suppressed.bump()

    def on_hop(self, _: FailureSnapshot, hop: Hop, /) -> None:
        """Count the hop."""
        key = (hop.level, hop.directive)
        tally = self._hops.get(key)
        if tally is None:
            bounded = (_level(key[0]), _known(key[1], _DIRECTIVES))
            tally = self._hops.setdefault(bounded, Tally())
        tally.bump()

    def emit(self, event: MetricsEvent, /) -> None:
        """Count a measurement of telemetry itself."""
        match event:
            case TelemetryInvoked():
                self._invoked.bump()
            case TelemetryLatencyNanos(nanos=nanos):
                with self._lock:
                    self._latency[bisect_left(LATENCY_BOUNDS_S, nanos / 1e9)] += 1
                    self._latency_sum_ns += nanos

    def snapshot(self) -> MetricsSnapshot:
        """Return the counters as they are now."""
        with self._lock:
            return MetricsSnapshot(
                failures={key: tally.read() for key, tally in dict(self._failures).items()},
                hops={key: tally.read() for key, tally in dict(self._hops).items()},
                suppressed=self._suppressed.read(),
                invoked=self._invoked.read(),
                latency=tuple(self._latency),
                latency_sum_ns=self._latency_sum_ns,
            )

    def prometheus_text(self) -> str:
        """Return the counters in Prometheus' text format."""
        return prometheus_text(_families(self.snapshot()))


def _known(value: str, values: frozenset[str]) -> str:
    return value if value in values else OTHER


def _level(value: str) -> str:
    return _known(value, _LEVELS)


def _families(now: MetricsSnapshot) -> Iterable[Family]:
    yield Family(
        "tailrace_failures_total",
        "counter",
        "Failures that ended a run or reached the root.",
        [
            Sample(count, {"category": category, "class": class_, "level": level})
            for (category, class_, level), count in sorted(now.failures.items())
        ],
    )
    yield Family(
        "tailrace_failure_hops_total",
        "counter",
        "Arrivals of failures at a scope, by what it decided.",
        [
            Sample(count, {"level": level, "directive": directive})
            for (level, directive), count in sorted(now.hops.items())
        ],
    )
    for name, text, value in (
        ("failures_suppressed", "Of the failures, those beyond the flood limit.", now.suppressed),
        ("failure_telemetry_invoked", "Calls of failure telemetry.", now.invoked),
    ):
        yield Family(f"tailrace_{name}_total", "counter", text, [Sample(value)])
    yield _latency(now)


def _latency(now: MetricsSnapshot) -> Family:
    samples: list[Sample] = []
    within = 0
    for bound, count in zip((*LATENCY_BOUNDS_S, None), now.latency, strict=True):
        within += count
        edge = "+Inf" if bound is None else f"{bound:g}"
        samples.append(Sample(within, {"le": edge}, "_bucket"))
    samples.append(Sample(now.latency_sum_ns / 1e9, suffix="_sum"))
    samples.append(Sample(within, suffix="_count"))
    return Family(
        "tailrace_failure_telemetry_latency_seconds",
        "histogram",
        "Sampled duration of a call of failure telemetry.",
        samples,
    )
