"""How telemetry is timed, how slow sinks show, and when a sink that was off is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    FailureHub,
    FailureTelemetryObservationConfig,
    RingBufferFailureTelemetry,
    TelemetryInvoked,
    TelemetryLatencyNanos,
)
from tailrace.failures.telemetry.guard import Guard
from tailrace.model import FailureSnapshot

Make = Callable[..., FailureSnapshot]


class Sink:
    """Keeps measurements."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def latencies(self) -> list[int]:
        return [one.nanos for one in self.events if isinstance(one, TelemetryLatencyNanos)]


def test_a_sink_that_sleeps_twenty_milliseconds_shows_in_the_latency_and_as_slow(
    make: Make,
) -> None:
    class Sleepy:
        def on_failure(self, _: FailureSnapshot) -> None:
            time.sleep(0.02)

    sink = Sink()
    config = FailureTelemetryObservationConfig(metrics_sink=sink, record_timing=True)
    hub = FailureHub(
        CompositeFailureTelemetry(Sleepy(), RingBufferFailureTelemetry()), observation=config
    )
    hub.escalated(make())
    assert sink.latencies()[0] >= 19_000_000
    assert [health.slow for health in hub.health().sinks][:1] == [1]
    assert sink.events[0] == TelemetryInvoked(sinks=2)


def test_one_call_of_sixty_four_is_timed(make: Make) -> None:
    sink = Sink()
    config = FailureTelemetryObservationConfig(
        metrics_sink=sink, record_timing=True, sample_every=64, flood_limit=0
    )
    hub = FailureHub(RingBufferFailureTelemetry(), observation=config)
    for _ in range(6_400):
        hub.escalated(make())
    assert len(sink.latencies()) == 100
    assert sum(isinstance(event, TelemetryInvoked) for event in sink.events) == 6_400
    assert min(sink.latencies()) > 0


def test_nothing_is_timed_unless_asked(make: Make) -> None:
    sink = Sink()
    config = FailureTelemetryObservationConfig(metrics_sink=sink)
    FailureHub(RingBufferFailureTelemetry(), observation=config).escalated(make())
    assert sink.events == [TelemetryInvoked(sinks=1)]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


def test_a_sink_that_was_off_is_tried_again_after_the_pause() -> None:
    clock = Clock()
    guard = Guard("sink", FailureTelemetryObservationConfig(), timer=clock)
    broken = True
    calls: list[int] = []

    def sink(number: int) -> None:
        calls.append(number)
        if broken:
            raise RuntimeError("not yet")

    def call(number: int) -> None:
        guard.around(sink)(clock.now, number)

    for number in range(7):
        call(number)
    assert calls == [0, 1, 2, 3, 4]
    clock.now += 29_000_000_000
    call(7)
    clock.now += 2_000_000_000
    call(8)  # fails again: off for another pause
    call(9)
    broken = False
    clock.now += 31_000_000_000
    call(10)
    call(11)
    assert calls == [0, 1, 2, 3, 4, 8, 10, 11]
    health = guard.health()
    assert (health.errors, health.skipped, health.is_off) == (6, 4, False)


def test_errors_must_come_in_a_row() -> None:
    guard = Guard("sink")

    def sink(number: int) -> None:
        if number % 5:
            raise RuntimeError("now and then")

    for number in range(50):
        guard.around(sink)(1, number)
    assert (guard.health().errors, guard.health().skipped) == (40, 0)


def test_no_threshold_means_never_off() -> None:
    guard = Guard("sink", FailureTelemetryObservationConfig(breaker_threshold=0))
    for _ in range(20):
        guard.around(lambda _: 1 // 0)(1, None)
    assert guard.health().errors == 20


def test_an_error_that_cannot_be_printed_is_still_described(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("mute")

    def sink(_: object) -> None:
        raise Mute

    Guard("handler", breaks=False).around(sink)(1, None)
    assert "no message" in caplog.records[0].getMessage()


def test_a_secret_in_a_sinks_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def sink(_: object) -> None:
        raise RuntimeError("cannot send: password=hunter2hunter2")

    Guard("handler", breaks=False).around(sink)(1, None)
    assert caplog.records
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_every", 0),
        ("slow_call_ns", -1),
        ("breaker_threshold", -1),
        ("breaker_cooldown_s", -0.5),
        ("flood_limit", -1),
        ("events", "all"),
    ],
)
def test_a_field_out_of_its_bounds_is_refused_with_what_is_allowed(field: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"{field} is {value!r}; it must be") as refused:
        FailureTelemetryObservationConfig(**{field: value})
    assert refused.value.code == "TR334"
    assert refused.value.details["field"] == field


def test_the_defaults_are_those_of_the_older_program() -> None:
    config = FailureTelemetryObservationConfig.new()
    assert config == FailureTelemetryObservationConfig()
    assert config.metrics_sink is None
    assert not config.record_timing
    assert (config.sample_every, config.slow_call_ns, config.flood_limit) == (64, 5_000_000, 100)
    assert (config.breaker_threshold, config.breaker_cooldown_s) == (5, 30)
    assert config.events == "terminal"
