"""Tasks by their public names, from every plug-in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from tailrace.errors import DefinitionError
from tailrace.flows.discovery.describe import Declared, TaskInfo, describe_task
from tailrace.flows.discovery.plugins import Plugin, PluginReport, load_plugins
from tailrace.flows.findings import listed, meant
from tailrace.model import Finding, Severity, TaskSpec

_OLDER_VARIABLE = "PYOCO_DISCOVERY_MODULES"


class _Offer(Struct, frozen=True):
    """A task and the plug-in that brings it."""

    spec: TaskSpec
    plugin: str
    declared: Declared | None


def allowed_modules() -> tuple[str, ...]:
    """Return the modules whose tasks ``use:`` may name.

    From the setting ``discovery_modules`` (``TAILRACE_DISCOVERY_MODULES``), then from the variable
    ``PYOCO_DISCOVERY_MODULES``.

    Raises:
        SettingsError: the settings cannot be read.
    """
    from tailrace.settings import load_settings  # noqa: PLC0415 - only where plug-ins are asked for

    older = os.environ.get(_OLDER_VARIABLE, "").replace(",", " ").split()
    return tuple(dict.fromkeys((*load_settings().discovery_modules, *older)))


def forget_plugins() -> None:
    """Load the plug-ins anew when they are next asked for."""
    _loaded.cache_clear()


def resolve_use(name: str) -> TaskSpec:
    """Return the plug-in task of a public name.

    Raises:
        DefinitionError: no plug-in has it, or two have different tasks of that name.
    """
    return _offer(name).spec


def list_tasks() -> list[TaskInfo]:
    """Return every task that ``use:`` can name, by name."""
    offers = _offers()
    return [
        describe_task(offer.spec, offer.declared)
        for name in sorted(offers)
        for offer in offers[name]
    ]


def find_task(name: str) -> TaskInfo:
    """Return the description of the plug-in task of a public name.

    Raises:
        DefinitionError: no plug-in has it, or two have different tasks of that name.
    """
    offer = _offer(name)
    return describe_task(offer.spec, offer.declared)


def list_plugins() -> list[PluginReport]:
    """Return every plug-in with what it brings, or why it cannot be used."""
    return [plugin.report for plugin in _plugins()]


def lint_plugins() -> list[Finding]:
    """Return what is wrong with the installed plug-ins."""
    found: list[Finding] = []
    for plugin in _plugins():
        report = plugin.report
        if report.error:
            found.append(_finding(report, Severity.ERROR, f"cannot be used: {report.error}"))
        found.extend(_finding(report, Severity.WARNING, warning) for warning in report.warnings)
    for name, offers in _offers().items():
        if len(offers) > 1:
            error = _ambiguous(name, offers)
            found.append(
                Finding(
                    code=error.code,
                    severity=Severity.ERROR,
                    message=error.message,
                    hint=error.hint,
                    subject=f"tasks.{name}",
                )
            )
    return found


def _finding(report: PluginReport, severity: Severity, problem: str) -> Finding:
    source = f" of {report.distribution} {report.version}" if report.distribution else ""
    return Finding(
        code="TR167",
        severity=severity,
        message=f"plug-in {report.name!r}{source} ({report.value}): {problem}",
        hint="Mend, upgrade or uninstall it; the other plug-ins are not affected.",
        subject=f"plugins.{report.name}",
    )


def _plugins() -> tuple[Plugin, ...]:
    return _loaded(allowed_modules())


@lru_cache(maxsize=8)
def _loaded(modules: tuple[str, ...]) -> tuple[Plugin, ...]:
    return tuple(load_plugins(modules))


def _offers() -> dict[str, list[_Offer]]:
    """Return the tasks by name; the same callable offered twice is one offer."""
    offers: dict[str, list[_Offer]] = {}
    for plugin in _plugins():
        for spec in plugin.specs:
            known = offers.setdefault(spec.name, [])
            if all(offer.spec.function is not spec.function for offer in known):
                declared = plugin.declared.get(spec.name)
                known.append(_Offer(spec, plugin.report.name, declared))
    return offers


def _offer(name: str) -> _Offer:
    offers = _offers()
    found = offers.get(name, [])
    if len(found) == 1:
        return found[0]
    raise _ambiguous(name, found) if found else _unknown(name, offers)


def _ambiguous(name: str, offers: list[_Offer]) -> DefinitionError:
    places = ", ".join(f"{offer.plugin!r} ({offer.spec.reference})" for offer in offers)
    return DefinitionError(
        f"more than one plug-in has a task {name!r}: {places}",
        code="TR168",
        hint=f"Name the one you mean with 'callable: {offers[0].spec.reference}', "
        "or uninstall the other plug-in.",
    )


def _unknown(name: str, known: Iterable[str]) -> DefinitionError:
    names = sorted(known)
    broken = [plugin.report.name for plugin in _plugins() if plugin.report.error]
    also = f"; broken plug-ins: {listed(broken)}" if broken else ""
    return DefinitionError(
        f"no plug-in has a task {name!r} (tasks: {listed(names)}){meant(name, names)}{also}",
        code="TR166",
        hint="See 'tailrace tasks list' and 'tailrace plugins lint'; to bind a function, write "
        "'callable: module:function'.",
    )
