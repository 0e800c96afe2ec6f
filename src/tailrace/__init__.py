"""Tailrace: write a Python workflow, run it with one command, see exactly what happened.

Names are loaded when first used, so importing the package costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.errors import (
        DefinitionError,
        PolicyValidationError,
        RunCancelled,
        RunError,
        RunFailed,
        StoreError,
        TailraceError,
    )
    from tailrace.failures import Permanent, Transient
    from tailrace.flow import Flow
    from tailrace.flows.python import (
        Task,
        foreach,
        repeat,
        route,
        subflow,
        switch,
        task,
        until,
    )
    from tailrace.model import Context, LoopFrame, OnError, Policy, Retry, Routing, Span, Trace
    from tailrace.model.report import RuntimeExecutionReport
    from tailrace.policy import PolicyValidator
    from tailrace.runtime import FlowRuntime, RunHandle, RunOptions, RunResult
    from tailrace.store import SqliteTraceReader
    from tailrace.tracing.console import ConsoleTracer
    from tailrace.tracing.redact import Secret

__version__ = "0.1.0"

_HOMES = {
    "ConsoleTracer": "tailrace.tracing.console",
    "Context": "tailrace.model",
    "DefinitionError": "tailrace.errors",
    "Flow": "tailrace.flow",
    "FlowRuntime": "tailrace.runtime",
    "LoopFrame": "tailrace.model",
    "OnError": "tailrace.model",
    "Permanent": "tailrace.failures",
    "Policy": "tailrace.model",
    "PolicyValidationError": "tailrace.errors",
    "PolicyValidator": "tailrace.policy",
    "Retry": "tailrace.model",
    "Routing": "tailrace.model",
    "RunCancelled": "tailrace.errors",
    "RunError": "tailrace.errors",
    "RunFailed": "tailrace.errors",
    "RunHandle": "tailrace.runtime",
    "RunOptions": "tailrace.runtime",
    "RunResult": "tailrace.runtime",
    "RuntimeExecutionReport": "tailrace.model.report",
    "Secret": "tailrace.tracing.redact",
    "Span": "tailrace.model",
    "SqliteTraceReader": "tailrace.store",
    "StoreError": "tailrace.errors",
    "TailraceError": "tailrace.errors",
    "Task": "tailrace.flows.python",
    "Trace": "tailrace.model",
    "Transient": "tailrace.failures",
    "foreach": "tailrace.flows.python",
    "repeat": "tailrace.flows.python",
    "route": "tailrace.flows.python",
    "subflow": "tailrace.flows.python",
    "switch": "tailrace.flows.python",
    "task": "tailrace.flows.python",
    "until": "tailrace.flows.python",
}

__all__ = [
    "ConsoleTracer",
    "Context",
    "DefinitionError",
    "Flow",
    "FlowRuntime",
    "LoopFrame",
    "OnError",
    "Permanent",
    "Policy",
    "PolicyValidationError",
    "PolicyValidator",
    "Retry",
    "Routing",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "RuntimeExecutionReport",
    "Secret",
    "Span",
    "SqliteTraceReader",
    "StoreError",
    "TailraceError",
    "Task",
    "Trace",
    "Transient",
    "foreach",
    "repeat",
    "route",
    "subflow",
    "switch",
    "task",
    "until",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tailrace' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
