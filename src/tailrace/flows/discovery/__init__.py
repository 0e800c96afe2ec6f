"""Finding tasks: callables named by flow files, and the tasks of plug-ins."""

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.flows.discovery.callables import call_kind, make_spec, reference_of
    from tailrace.flows.discovery.catalog import (
        allowed_modules,
        find_task,
        forget_plugins,
        lint_plugins,
        list_plugins,
        list_tasks,
        resolve_use,
    )
    from tailrace.flows.discovery.describe import ParameterInfo, TaskInfo, describe_task
    from tailrace.flows.discovery.modules import import_module
    from tailrace.flows.discovery.plugins import PluginReport
    from tailrace.flows.discovery.resolve import resolve_callable

_HOMES = {
    "ParameterInfo": "describe",
    "PluginReport": "plugins",
    "TaskInfo": "describe",
    "allowed_modules": "catalog",
    "call_kind": "callables",
    "describe_task": "describe",
    "find_task": "catalog",
    "forget_plugins": "catalog",
    "import_module": "modules",
    "lint_plugins": "catalog",
    "list_plugins": "catalog",
    "list_tasks": "catalog",
    "make_spec": "callables",
    "reference_of": "callables",
    "resolve_callable": "resolve",
    "resolve_use": "catalog",
}

__all__ = [
    "ParameterInfo",
    "PluginReport",
    "TaskInfo",
    "allowed_modules",
    "call_kind",
    "describe_task",
    "find_task",
    "forget_plugins",
    "import_module",
    "lint_plugins",
    "list_plugins",
    "list_tasks",
    "make_spec",
    "reference_of",
    "resolve_callable",
    "resolve_use",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
