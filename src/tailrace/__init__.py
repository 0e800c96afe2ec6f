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
    from tailrace.events import ResilientEventStream
    from tailrace.failures import Permanent, Transient
    from tailrace.failures.telemetry import (
        FailureTelemetry,
        FailureTelemetryObservationConfig,
        LoggingFailureTelemetry,
        NoopFailureTelemetry,
        RingBufferFailureTelemetry,
        RootEscalationSink,
        TelemetryContext,
    )
    from tailrace.flow import Flow
    from tailrace.flows.python import Task, foreach, repeat, route, subflow, switch, task, until
    from tailrace.model import (
        Context,
        ErrorCategory,
        FailureSnapshot,
        LoopFrame,
        OnError,
        Policy,
        Retry,
        Routing,
        Span,
        Trace,
    )
    from tailrace.model.report import RuntimeExecutionReport
    from tailrace.model.rule import Rule
    from tailrace.policy import PolicyValidator, RetryPolicy
    from tailrace.runtime import FlowRuntime, RunHandle, RunOptions, RunResult
    from tailrace.runtime.config import RuntimeConfig
    from tailrace.runtime.events import emit, emit_with_retry, get_resilient_stream
    from tailrace.runtime.replay import Replay
    from tailrace.store import SqliteTraceReader
    from tailrace.tracing.console import ConsoleTracer
    from tailrace.tracing.redact import Secret


__version__ = "0.1.0"

_HOMES = {
    "ConsoleTracer": "tailrace.tracing.console",
    "Context": "tailrace.model",
    "DefinitionError": "tailrace.errors",
    "ErrorCategory": "tailrace.model",
    "FailureSnapshot": "tailrace.model",
    "FailureTelemetry": "tailrace.failures.telemetry",
    "FailureTelemetryObservationConfig": "tailrace.failures.telemetry",
    "Flow": "tailrace.flow",
    "FlowRuntime": "tailrace.runtime",
    "LoggingFailureTelemetry": "tailrace.failures.telemetry",
    "LoopFrame": "tailrace.model",
    "NoopFailureTelemetry": "tailrace.failures.telemetry",
    "OnError": "tailrace.model",
    "Permanent": "tailrace.failures",
    "Policy": "tailrace.model",
    "PolicyValidationError": "tailrace.errors",
    "PolicyValidator": "tailrace.policy",
    "Replay": "tailrace.runtime.replay",
    "ResilientEventStream": "tailrace.events",
    "Retry": "tailrace.model",
    "RetryPolicy": "tailrace.policy",
    "RingBufferFailureTelemetry": "tailrace.failures.telemetry",
    "RootEscalationSink": "tailrace.failures.telemetry",
    "Routing": "tailrace.model",
    "Rule": "tailrace.model.rule",
    "RunCancelled": "tailrace.errors",
    "RunError": "tailrace.errors",
    "RunFailed": "tailrace.errors",
    "RunHandle": "tailrace.runtime",
    "RunOptions": "tailrace.runtime",
    "RunResult": "tailrace.runtime",
    "RuntimeConfig": "tailrace.runtime.config",
    "RuntimeExecutionReport": "tailrace.model.report",
    "Secret": "tailrace.tracing.redact",
    "Span": "tailrace.model",
    "SqliteTraceReader": "tailrace.store",
    "StoreError": "tailrace.errors",
    "TailraceError": "tailrace.errors",
    "Task": "tailrace.flows.python",
    "TelemetryContext": "tailrace.failures.telemetry",
    "Trace": "tailrace.model",
    "Transient": "tailrace.failures",
    "emit": "tailrace.runtime.events",
    "emit_with_retry": "tailrace.runtime.events",
    "foreach": "tailrace.flows.python",
    "get_resilient_stream": "tailrace.runtime.events",
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
    "ErrorCategory",
    "FailureSnapshot",
    "FailureTelemetry",
    "FailureTelemetryObservationConfig",
    "Flow",
    "FlowRuntime",
    "LoggingFailureTelemetry",
    "LoopFrame",
    "NoopFailureTelemetry",
    "OnError",
    "Permanent",
    "Policy",
    "PolicyValidationError",
    "PolicyValidator",
    "Replay",
    "ResilientEventStream",
    "Retry",
    "RetryPolicy",
    "RingBufferFailureTelemetry",
    "RootEscalationSink",
    "Routing",
    "Rule",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "RuntimeConfig",
    "RuntimeExecutionReport",
    "Secret",
    "Span",
    "SqliteTraceReader",
    "StoreError",
    "TailraceError",
    "Task",
    "TelemetryContext",
    "Trace",
    "Transient",
    "emit",
    "emit_with_retry",
    "foreach",
    "get_resilient_stream",
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
