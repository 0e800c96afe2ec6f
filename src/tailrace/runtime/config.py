"""What a program adds to the runtime: telemetry of failures, and who is told of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakKeyDictionary

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import SettingsError
from tailrace.failures.telemetry import (
    CompositeFailureTelemetry,
    EventHandler,
    EventListener,
    Extensions,
    FailureHub,
    FailureTelemetry,
    FailureTelemetryObservationConfig,
    LoggingFailureTelemetry,
    MetricsSink,
    RingBufferFailureTelemetry,
    TelemetryBuilder,
    TelemetryContext,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tailrace.model.failure import FailureSnapshot
    from tailrace.ports import FailureLog
    from tailrace.settings import Settings

GROUP = "tailrace.telemetry"
"""Entry point group of builders that ``[failures] telemetry`` names."""


class RuntimeConfig(Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """Frozen; each ``with_…`` returns a new one.

    Telemetry is that of the builder, else the one given, else the entry points that the settings
    name, else logging and a ring of the newest failures: never nothing.

    Raises:
        SettingsError: by ``with_…``: what is given cannot be called as it would be (TR330).
    """

    failure_telemetry: FailureTelemetry | None = None
    failure_telemetry_builder: TelemetryBuilder | None = None
    failure_observation: FailureTelemetryObservationConfig | None = None
    event_handler: EventHandler | None = None
    event_listeners: tuple[EventListener, ...] = ()
    metrics_sink: MetricsSink | None = None
    extensions: Extensions = field(default_factory=Extensions)

    def with_failure_telemetry(self, telemetry: FailureTelemetry) -> Self:
        """Use this telemetry."""
        _must_have("on_failure", telemetry, "failure telemetry")
        return replace(self, failure_telemetry=telemetry)

    def with_failure_telemetry_builder(self, build: TelemetryBuilder) -> Self:
        """Use the telemetry that ``build`` makes at the start; it wins over any other."""
        _must_be_callable(build, "a builder of failure telemetry")
        return replace(self, failure_telemetry_builder=build)

    def with_failure_observation_config(self, config: FailureTelemetryObservationConfig) -> Self:
        """Watch telemetry so."""
        return replace(self, failure_observation=config)

    def with_event_handler(self, handler: EventHandler) -> Self:
        """Call ``handler`` with each terminal failure; one that was set before is replaced."""
        _must_be_callable(handler, "an event handler")
        return replace(self, event_handler=handler)

    def with_event_listener(self, listener: EventListener) -> Self:
        """Tell ``listener`` of every event, besides those that are told already."""
        _must_have("on_event", listener, "an event listener")
        return replace(self, event_listeners=(*self.event_listeners, listener))

    def with_metrics_sink(self, sink: MetricsSink) -> Self:
        """Send measurements of telemetry there, unless the observation config names another."""
        _must_have("emit", sink, "a metrics sink")
        return replace(self, metrics_sink=sink)

    def with_extension(self, value: object, kind: type[Any] | None = None) -> Self:
        """Give builders a value, found by its type or by ``kind``."""
        return replace(self, extensions=self.extensions.having(value, kind))


DEFAULT = RuntimeConfig()
"""Of programs that add nothing."""


def build_hub(
    config: RuntimeConfig, settings: Settings, *, store: FailureLog | None = None
) -> FailureHub:
    """Put the hub together that a configuration and the settings describe.

    Args:
        config: what the program adds.
        settings: those in force; ``failures`` names entry points and the flood limit.
        store: where failures from outside of runs are recorded; None: nowhere.

    Raises:
        SettingsError: a builder raised or returned no telemetry (TR332), or an entry point is
            unknown or cannot be loaded (TR333).
    """
    observation = config.failure_observation
    if observation is None:
        limit = settings.failures.flood_limit
        observation = FailureTelemetryObservationConfig(flood_limit=limit)
    if observation.metrics_sink is None and config.metrics_sink is not None:
        observation = replace(observation, metrics_sink=config.metrics_sink)
    context = TelemetryContext(
        metrics_sink=observation.metrics_sink,
        extensions=config.extensions,
        worker_id=settings.failures.worker_id,
        config=settings,
    )
    return FailureHub(
        _telemetry(config, context),
        store=store,
        observation=observation,
        handler=config.event_handler,
        listeners=config.event_listeners,
        ring=context.ring,
    )


_lock = threading.Lock()
_hubs: WeakKeyDictionary[RuntimeConfig, tuple[object, FailureHub]] = WeakKeyDictionary()


def shared_hub(
    config: RuntimeConfig, settings: Settings, *, store: FailureLog | None = None
) -> FailureHub:
    """Return the process's hub of a configuration, built at its first use.

    It is built anew when the settings of failures or the store have changed. Its ring so holds
    the failures of all runs of the process.

    Raises:
        SettingsError: as ``build_hub``.
    """
    wanted = (settings.failures, store)
    with _lock:
        known = _hubs.get(config)
        if known is not None and known[0] == wanted:
            return known[1]
        hub = build_hub(config, settings, store=store)
        _hubs[config] = (wanted, hub)
        return hub


def recent_failures(config: RuntimeConfig = DEFAULT) -> list[FailureSnapshot]:
    """Return the newest failures of this process, oldest first, at most 256.

    Empty when nothing has failed yet, and when the configuration's telemetry leaves the ring out.
    """
    with _lock:
        known = _hubs.get(config)
    ring = None if known is None else known[1].ring
    return [] if ring is None else ring.dump()


def default_telemetry(ring: RingBufferFailureTelemetry) -> FailureTelemetry:
    """Return what tells of failures when nothing else is configured: the log, and the ring."""
    return CompositeFailureTelemetry(LoggingFailureTelemetry(), ring)


def _telemetry(config: RuntimeConfig, context: TelemetryContext) -> FailureTelemetry:
    if config.failure_telemetry_builder is not None:
        build = config.failure_telemetry_builder
        return _built(build, context, "the builder of failure telemetry", "TR332")
    if config.failure_telemetry is not None:
        return config.failure_telemetry
    names = context.config.failures.telemetry
    if not names:
        return default_telemetry(context.ring)
    return CompositeFailureTelemetry(*(_from_entry_point(name, context) for name in names))


def _from_entry_point(name: str, context: TelemetryContext) -> FailureTelemetry:
    entry = _entry_point(name)
    what = f"the telemetry {name!r} of the setting failures.telemetry ({entry.value})"

    def build(context: TelemetryContext) -> FailureTelemetry:
        loaded: TelemetryBuilder = entry.load()
        return loaded(context)

    return _built(build, context, what, "TR333")


def _entry_point(name: str) -> EntryPoint:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name in known:
        return known[name]
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    near = get_close_matches(name, known, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise SettingsError(
        f"the setting failures.telemetry names {name!r}, and no installed package has an entry "
        f"point of that name in the group {GROUP} (known: {', '.join(known) or 'none'}){meant}",
        code="TR333",
        hint="install the package that has it, or take the name out of the setting",
        details={"name": name, "known": sorted(known)},
    )


def _built(
    build: Callable[[TelemetryContext], object], context: TelemetryContext, what: str, code: str
) -> FailureTelemetry:
    try:
        telemetry = build(context)
    except SettingsError:
        raise
    except Exception as error:  # a factory of the user's or a plug-in's may raise anything
        raise SettingsError(
            f"{what} raised {type(error).__name__}: {error}",
            code=code,
            hint="mend it, or leave it out: without any, failures go to the log and to a ring",
        ) from error
    if not callable(getattr(telemetry, "on_failure", None)):
        raise SettingsError(
            f"{what} returned {telemetry!r}, which has no method on_failure(snapshot)",
            code=code,
            hint="return an object with that method, or NoopFailureTelemetry() for none",
        )
    return cast("FailureTelemetry", telemetry)


def _must_have(method: str, value: object, what: str) -> None:
    if not callable(getattr(value, method, None)):
        raise SettingsError(
            f"{value!r} is no {what.removeprefix('an ').removeprefix('a ')}: it has no method "
            f"{method}()",
            code="TR330",
            hint=f"give an object with a method {method}()",
        )


def _must_be_callable(value: object, what: str) -> None:
    if not callable(value):
        raise SettingsError(
            f"{value!r} is no {what.removeprefix('an ').removeprefix('a ')}: it cannot be called",
            code="TR330",
            hint="give a function of one argument",
        )
