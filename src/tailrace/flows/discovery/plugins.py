"""Plug-ins: entry points of installed packages, and modules the operator allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from tailrace.errors import DefinitionError
from tailrace.flows.discovery.callables import make_spec
from tailrace.flows.discovery.describe import Declared
from tailrace.flows.discovery.foreign import own_node, task_object
from tailrace.flows.discovery.modules import describe, failing_place, import_module
from tailrace.flows.discovery.registry import Registry
from tailrace.model import TaskSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = ("tailrace.tasks", "pyoco.tasks")
"""Entry point groups, in the order they are read."""
MODULES = "modules"
"""The group of modules that the operator allows."""


class PluginReport(Struct, frozen=True, kw_only=True):
    """A plug-in as ``tailrace plugins list`` prints it."""

    name: str
    group: str
    value: str
    """Where it is: ``module:hook``, or the module."""
    distribution: str = ""
    version: str = ""
    tasks: tuple[str, ...] = ()
    """Public names, in the order they were registered."""
    warnings: tuple[str, ...] = ()
    error: str = ""
    """Why it cannot be used; empty when it can."""


class Plugin(Struct, frozen=True, kw_only=True):
    """A plug-in that was loaded, or failed to."""

    report: PluginReport
    specs: tuple[TaskSpec, ...] = ()
    declared: Mapping[str, Declared] = field(default_factory=dict)


def load_plugins(modules: Iterable[str]) -> list[Plugin]:
    """Return every plug-in, broken ones too; none keeps another from loading."""
    found = [_load_module(name) for name in dict.fromkeys(modules)]
    return [*found, *(_load_entry_point(entry) for entry in _entry_points())]


def _entry_points() -> list[EntryPoint]:
    """Return the entry points of both groups; one that is in both is taken from the first."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    unique: dict[tuple[str, str], EntryPoint] = {}
    for group in GROUPS:
        for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
            unique.setdefault((entry.name, entry.value), entry)
    return list(unique.values())


def _load_entry_point(entry: EntryPoint) -> Plugin:
    distribution = entry.dist.name if entry.dist is not None else ""
    registry = Registry(entry.name)

    def register() -> list[TaskSpec]:
        hook = entry.load()
        if not callable(hook):
            raise TypeError(f"{entry.value} is no function that takes a registry")
        hook(registry)
        return registry.specs(f"plugin:{distribution or entry.name}")

    specs, error = _attempt(register)
    return Plugin(
        report=PluginReport(
            name=entry.name,
            group=entry.group,
            value=entry.value,
            distribution=distribution,
            version=entry.dist.version if entry.dist is not None else "",
            tasks=tuple(spec.name for spec in specs),
            warnings=_warnings(specs, registry.declared, error),
            error=error,
        ),
        specs=tuple(specs),
        declared=registry.declared,
    )


def _load_module(name: str) -> Plugin:
    def scan() -> list[TaskSpec]:
        module = import_module(name)
        return [
            make_spec(member, name=None if own_node(member) else key, origin=f"plugin:{name}")
            for key, member in vars(module).items()
            if not key.startswith("_") and _is_task(member)
        ]

    specs, error = _attempt(scan)
    return Plugin(
        report=PluginReport(
            name=name,
            group=MODULES,
            value=name,
            tasks=tuple(spec.name for spec in specs),
            warnings=_warnings(specs, {}, error),
            error=error,
        ),
        specs=tuple(specs),
    )


def _is_task(member: Any) -> bool:
    """Return whether a module's member is a task object; plain functions and classes are none."""
    if isinstance(member, type):
        return False
    return own_node(member) is not None or (
        (hasattr(member, "inputs") or hasattr(member, "task")) and task_object(member) is not None
    )


def _attempt(load: Callable[[], list[TaskSpec]]) -> tuple[list[TaskSpec], str]:
    try:
        return load(), ""
    except DefinitionError as error:
        return [], error.message
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything
        file, line = failing_place(error, None)
        return [], f"{describe(error)} ({file}:{line})" if file else describe(error)


def _warnings(
    specs: Iterable[TaskSpec], declared: Mapping[str, Declared], error: str
) -> tuple[str, ...]:
    if error:
        return ()
    names = [spec.name for spec in specs]
    found = [] if names else ["it registers no task"]
    found += [
        f"it registers {name!r} twice" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    found += [
        f"it describes {name!r}, which it does not register"
        for name in declared
        if name not in names
    ]
    return tuple(found)
