"""Flows: how they are written, checked, and turned into plans.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.flows.build import (
        build_flow,
    )
    from tailrace.flows.check import (
        check_flow,
        needs_param,
    )
    from tailrace.flows.compile import (
        compile_flow,
    )
    from tailrace.flows.discovery import (
        ParameterInfo,
        PluginReport,
        TaskInfo,
        allowed_modules,
        describe_task,
        lint_plugins,
        list_plugins,
        list_tasks,
        make_spec,
        resolve_callable,
        resolve_use,
    )
    from tailrace.flows.expressions import (
        canonical,
        compile_expression,
        compile_value,
    )
    from tailrace.flows.hash import (
        definition_hash,
    )
    from tailrace.flows.load import (
        load_target,
    )
    from tailrace.flows.loaded import (
        LoadedFlow,
    )
    from tailrace.flows.python import (
        Fragment,
        Task,
        as_node,
        foreach,
        repeat,
        route,
        subflow,
        switch,
        task,
        until,
    )
    from tailrace.flows.python_write import (
        to_python,
    )
    from tailrace.flows.schema import (
        json_schema,
    )
    from tailrace.flows.yaml_file import (
        load_yaml,
        parse_yaml,
    )
    from tailrace.flows.yaml_write import (
        to_yaml,
    )

_HOMES = {
    "Fragment": "python",
    "LoadedFlow": "loaded",
    "ParameterInfo": "discovery",
    "PluginReport": "discovery",
    "Task": "python",
    "TaskInfo": "discovery",
    "allowed_modules": "discovery",
    "as_node": "python",
    "build_flow": "build",
    "canonical": "expressions",
    "check_flow": "check",
    "compile_expression": "expressions",
    "compile_flow": "compile",
    "compile_value": "expressions",
    "definition_hash": "hash",
    "describe_task": "discovery",
    "foreach": "python",
    "json_schema": "schema",
    "lint_plugins": "discovery",
    "list_plugins": "discovery",
    "list_tasks": "discovery",
    "load_target": "load",
    "load_yaml": "yaml_file",
    "make_spec": "discovery",
    "needs_param": "check",
    "parse_yaml": "yaml_file",
    "repeat": "python",
    "resolve_callable": "discovery",
    "resolve_use": "discovery",
    "route": "python",
    "subflow": "python",
    "switch": "python",
    "task": "python",
    "to_python": "python_write",
    "to_yaml": "yaml_write",
    "until": "python",
}

__all__ = [
    "Fragment",
    "LoadedFlow",
    "ParameterInfo",
    "PluginReport",
    "Task",
    "TaskInfo",
    "allowed_modules",
    "as_node",
    "build_flow",
    "canonical",
    "check_flow",
    "compile_expression",
    "compile_flow",
    "compile_value",
    "definition_hash",
    "describe_task",
    "foreach",
    "json_schema",
    "lint_plugins",
    "list_plugins",
    "list_tasks",
    "load_target",
    "load_yaml",
    "make_spec",
    "needs_param",
    "parse_yaml",
    "repeat",
    "resolve_callable",
    "resolve_use",
    "route",
    "subflow",
    "switch",
    "task",
    "to_python",
    "to_yaml",
    "until",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
