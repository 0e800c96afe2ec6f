"""Tracers that settings and the variables of OpenTelemetry ask for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tailrace.errors import SettingsError
from tailrace.settings import Settings

if TYPE_CHECKING:
    from tailrace.ports import Tracer
    from tailrace.tracing.otel_tracer import OtelTracer

_log = logging.getLogger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_lock = threading.Lock()
_shared: dict[tuple[tuple[str, str], ...], OtelTracer] = {}
_missing: list[str] = []


def named_tracers(names: tuple[str, ...] | list[str]) -> list[Tracer]:
    """Return tracers by their names: ``otlp``, ``console``.

    With ``OTEL_SDK_DISABLED`` there is none for ``otlp``.

    Raises:
        SettingsError: ``otlp`` needs packages that are not installed (TR196).
    """
    found: list[Tracer] = []
    if "console" in names:
        from tailrace.tracing.console import ConsoleTracer  # noqa: PLC0415 - only on request

        found.append(ConsoleTracer())
    if "otlp" in names and not _is_disabled(os.environ):
        found.append(_otlp())
    return found


def configured_tracers(settings: Settings, given: tuple[Tracer, ...]) -> tuple[Tracer, ...]:
    """Return the tracers of a run: those given, and what settings and variables ask for besides.

    An endpoint in ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``…_TRACES_ENDPOINT`` asks for ``otlp``, as
    it does of any program; without the packages for it that is logged once and the run goes on.

    Raises:
        SettingsError: the settings ask for ``otlp``, and its packages are not installed (TR196).
    """
    asked = settings.tracers
    found: list[Tracer] = list(given)
    if asked:
        found += [one for one in named_tracers(asked) if one not in found]
    if "otlp" not in asked and _is_implied(os.environ):
        try:
            found += [one for one in named_tracers(("otlp",)) if one not in found]
        except SettingsError as error:
            if not _missing:
                _missing.append(str(error))
                _log.warning("spans are not sent over OTLP: %s", error)
    return tuple(found)


def _is_implied(environ: Mapping[str, str]) -> bool:
    if not any(environ.get(name) for name in _ENDPOINTS):
        return False
    wanted = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    return "otlp" in wanted.lower()


def _is_disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _otlp() -> OtelTracer:
    """Return this process's tracer for the variables as they are now."""
    from tailrace.tracing.otel_tracer import OtelTracer  # noqa: PLC0415 - only on request

    key = tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith("OTEL_")))
    with _lock:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = OtelTracer()
        return found
