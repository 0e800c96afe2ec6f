"""What a program adds to the runtime, and which of it wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    FailureEventStream,
    FailureHub,
    FailureTelemetryObservationConfig,
    NoopFailureTelemetry,
    RingBufferFailureTelemetry,
    TelemetryContext,
    TelemetryInvoked,
)
from tailrace.runtime.config import DEFAULT, RuntimeConfig, build_hub, shared_hub
from tailrace.settings import FailureSettings, Settings


def names(hub: FailureHub) -> list[str]:
    return [health.name for health in hub.health().sinks]


def test_without_any_configuration_a_failure_is_in_the_log_and_in_the_ring(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hub = build_hub(RuntimeConfig(), Settings())
    failure = make()
    hub.escalated(failure)
    assert names(hub) == ["LoggingFailureTelemetry", "RingBufferFailureTelemetry"]
    assert [vars(record)["failure_id"] for record in caplog.records] == [failure.failure_id]
    assert hub.ring is not None
    assert hub.ring.dump() == [failure]


def test_a_builder_wins_over_an_instance_and_sees_the_metrics_sink_and_the_extensions(
    make: Any, diary: Any
) -> None:
    seen: list[TelemetryContext] = []
    ring = RingBufferFailureTelemetry()

    def build(context: TelemetryContext) -> CompositeFailureTelemetry:
        seen.append(context)
        return CompositeFailureTelemetry(diary, context.ring)

    settings = Settings(failures=FailureSettings(worker_id="w1"))
    config = (
        RuntimeConfig()
        .with_failure_telemetry(ring)
        .with_failure_telemetry_builder(build)
        .with_metrics_sink(diary)
        .with_extension(Path("/data"), Path)
        .with_extension("text")
    )
    hub = build_hub(config, settings)
    hub.escalated(make())
    (context,) = seen
    assert context.metrics_sink == diary
    assert context.extensions.get(Path) == Path("/data")
    assert context.extensions.require(str) == "text"
    assert context.config is settings
    assert context.worker_id == "w1"
    assert context.logger.name == "tailrace.failures"
    assert context.clock() > 0
    assert diary.callers == ["telemetry", "metrics"]
    assert (ring.total, context.ring.total) == (0, 1)


def test_an_extension_that_is_not_there_is_refused_with_those_that_are() -> None:
    def build(context: TelemetryContext) -> NoopFailureTelemetry:
        context.extensions.require(Path)
        raise AssertionError

    assert RuntimeConfig().extensions.get(Path) is None
    config = RuntimeConfig().with_extension("text").with_failure_telemetry_builder(build)
    with pytest.raises(SettingsError, match=r"no extension of type Path \(there are: str\)"):
        build_hub(config, Settings())


def test_an_instance_wins_over_the_settings(make: Any) -> None:
    ring = RingBufferFailureTelemetry()
    settings = Settings(failures=FailureSettings(telemetry=("nobody-has-it",)))
    hub = build_hub(RuntimeConfig().with_failure_telemetry(ring), settings)
    hub.escalated(make())
    assert ring.total == 1


def test_a_builder_that_raises_fails_the_start() -> None:
    def build(_: TelemetryContext) -> NoopFailureTelemetry:
        raise KeyError("token")

    config = RuntimeConfig().with_failure_telemetry_builder(build)
    with pytest.raises(SettingsError, match="the builder of failure telemetry raised Key") as no:
        build_hub(config, Settings())
    assert no.value.code == "TR332"
    assert isinstance(no.value.__cause__, KeyError)


def test_a_builder_that_returns_nothing_fails_the_start() -> None:
    config = RuntimeConfig().with_failure_telemetry_builder(lambda _: None)  # type: ignore[arg-type,return-value]  # the user's mistake
    with pytest.raises(SettingsError, match="returned None, which has no method on_failure") as no:
        build_hub(config, Settings())
    assert no.value.code == "TR332"


PLUGIN = """
from tailrace.failures.telemetry import RingBufferFailureTelemetry

def ring(context):
    return context.ring

def broken(context):
    raise OSError("cannot connect")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with two telemetries, installed where imports find it."""
    (tmp_path / "telemetry_plugin.py").write_text(PLUGIN, "utf-8")
    about = tmp_path / "telemetry_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: telemetry-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[tailrace.telemetry]\n"
        "ring = telemetry_plugin:ring\n"
        "broken = telemetry_plugin:broken\n"
        "missing = telemetry_plugin:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_the_settings_name_telemetry_by_entry_point(make: Any) -> None:
    settings = Settings(failures=FailureSettings(telemetry=("ring",)))
    hub = build_hub(RuntimeConfig(), settings)
    hub.escalated(make())
    assert names(hub) == ["RingBufferFailureTelemetry"]
    assert hub.ring is not None
    assert hub.ring.total == 1


@pytest.mark.usefixtures("installed")
def test_an_unknown_entry_point_is_refused_with_the_nearest_name() -> None:
    settings = Settings(failures=FailureSettings(telemetry=("rimg",)))
    with pytest.raises(
        SettingsError, match=r"known: ring, broken, missing\); did you mean 'ring'"
    ) as no:
        build_hub(RuntimeConfig(), settings)
    assert no.value.code == "TR333"


@pytest.mark.usefixtures("installed")
def test_an_entry_point_that_raises_fails_the_start() -> None:
    settings = Settings(failures=FailureSettings(telemetry=("broken",)))
    with pytest.raises(SettingsError, match=r"'broken' of the setting .* raised OSError") as no:
        build_hub(RuntimeConfig(), settings)
    assert no.value.code == "TR333"


@pytest.mark.usefixtures("installed")
def test_an_entry_point_that_cannot_be_loaded_fails_the_start() -> None:
    settings = Settings(failures=FailureSettings(telemetry=("missing",)))
    with pytest.raises(SettingsError, match="has no attribute 'nothing'") as no:
        build_hub(RuntimeConfig(), settings)
    assert no.value.code == "TR333"


@pytest.mark.parametrize(
    "add",
    [
        lambda config: config.with_failure_telemetry(print),
        lambda config: config.with_failure_telemetry_builder("builder"),
        lambda config: config.with_event_handler(None),
        lambda config: config.with_event_listener(print),
        lambda config: config.with_metrics_sink(3),
    ],
)
def test_what_cannot_be_called_is_refused_where_it_is_given(add: Any) -> None:
    with pytest.raises(SettingsError, match="is no ") as refused:
        add(RuntimeConfig())
    assert refused.value.code == "TR330"


def test_handler_listeners_and_observation_reach_the_hub(make: Any, diary: Any) -> None:
    stream = FailureEventStream()
    subscription = stream.subscribe()
    observation = FailureTelemetryObservationConfig(flood_limit=7, metrics_sink=diary)
    config = (
        RuntimeConfig()
        .with_failure_telemetry(NoopFailureTelemetry())
        .with_failure_observation_config(observation)
        .with_metrics_sink(UncalledSink())
        .with_event_handler(diary.handle)
        .with_event_listener(stream)
        .with_event_listener(diary)
    )
    hub = build_hub(config, Settings(), store=diary)
    hub.escalated(make())
    assert diary.callers == ["store", "metrics", "handler", "listener"]
    assert subscription.get(timeout=0) is not None
    assert hub.observation.flood_limit == 7


class UncalledSink:
    """A metrics sink that must not be called."""

    def emit(self, event: object) -> None:
        raise AssertionError(event)


def test_the_flood_limit_comes_from_the_settings_unless_given() -> None:
    settings = Settings(failures=FailureSettings(flood_limit=3))
    assert build_hub(RuntimeConfig(), settings).observation.flood_limit == 3


def test_a_metrics_sink_of_the_configuration_is_used(make: Any, diary: Any) -> None:
    hub = build_hub(RuntimeConfig().with_metrics_sink(diary), Settings())
    hub.escalated(make())
    assert diary.of("metrics") == [TelemetryInvoked(sinks=2)]


def test_the_shared_hub_lives_as_long_as_its_settings() -> None:
    config, settings = RuntimeConfig(), Settings()
    hub = shared_hub(config, settings)
    assert shared_hub(config, Settings()) is hub
    assert shared_hub(DEFAULT, settings) is not hub
    other = Settings(failures=FailureSettings(flood_limit=1))
    assert shared_hub(config, other) is not hub


def test_a_configuration_is_frozen_and_each_step_gives_a_new_one() -> None:
    first = RuntimeConfig()
    second = first.with_event_handler(print)
    assert first.event_handler is None
    assert second.event_handler is print
