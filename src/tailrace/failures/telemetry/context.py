"""What a builder of telemetry is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct, field

from tailrace.errors import SettingsError
from tailrace.failures.telemetry.log import LOGGER_NAME
from tailrace.failures.telemetry.observation import MetricsSink
from tailrace.failures.telemetry.protocol import FailureTelemetry
from tailrace.failures.telemetry.ring import RingBufferFailureTelemetry
from tailrace.settings import Settings

T = TypeVar("T")


class Extensions:
    """Values of the program by their type, read-only."""

    def __init__(self, values: Mapping[type[Any], Any] = MappingProxyType({})) -> None:
        self._values = dict(values)

    def get(self, kind: type[T]) -> T | None:
        """Return the value of a type, None when there is none."""
        found: T | None = self._values.get(kind)
        return found

    def require(self, kind: type[T]) -> T:
        """Return the value of a type.

        Raises:
            SettingsError: there is none (TR330); the message names those there are.
        """
        if kind not in self._values:
            known = ", ".join(sorted(each.__name__ for each in self._values)) or "none"
            raise SettingsError(
                f"there is no extension of type {kind.__name__} (there are: {known})",
                code="TR330",
                hint=f"add one with RuntimeConfig.with_extension(a {kind.__name__})",
            )
        found: T = self._values[kind]
        return found

    def having(self, value: object, kind: type[Any] | None = None) -> Extensions:
        """Return these and one more; ``kind``: the type to find it by, else its own."""
        return Extensions({**self._values, kind or type(value): value})

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, kind: object) -> bool:
        return kind in self._values


class TelemetryContext(Struct, frozen=True, kw_only=True):
    """What is at hand when telemetry is built, once at the start."""

    metrics_sink: MetricsSink | None = None
    extensions: Extensions = field(default_factory=Extensions)
    worker_id: str = ""
    clock: Callable[[], int] = time.time_ns
    """Nanoseconds since the epoch."""
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger(LOGGER_NAME))
    config: Settings = field(default_factory=Settings)
    """The settings in force, read-only."""
    ring: RingBufferFailureTelemetry = field(default_factory=RingBufferFailureTelemetry)
    """The ring that programs ask for the newest failures; put it among your sinks."""


TelemetryBuilder = Callable[[TelemetryContext], FailureTelemetry]
"""Makes telemetry at the start; what it raises ends the start."""
