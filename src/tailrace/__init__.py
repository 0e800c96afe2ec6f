"""Tailrace: write a Python workflow, run it with one command, see exactly what happened.

Names are loaded when first used, so importing the package costs almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.compat.flujo import SQLiteBackend, StateManager, TraceManager
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
    from tailrace.store import SQLiteTracer, SQLiteTraceReader, SqliteTraceReader
    from tailrace.tracing.composite import CompositeTracer
    from tailrace.tracing.console import ConsoleTracer
    from tailrace.tracing.otel_tracer import OtelTracer
    from tailrace.tracing.redact import Secret


__version__ = "0.1.0"

_HOMES = {
    "CompositeTracer": "tracing.composite",
    "ConsoleTracer": "tracing.console",
    "Context": "model",
    "DefinitionError": "errors",
    "ErrorCategory": "model",
    "FailureSnapshot": "model",
    "FailureTelemetry": "failures.telemetry",
    "FailureTelemetryObservationConfig": "failures.telemetry",
    "Flow": "flow",
    "FlowRuntime": "runtime",
    "LoggingFailureTelemetry": "failures.telemetry",
    "LoopFrame": "model",
    "NoopFailureTelemetry": "failures.telemetry",
    "OnError": "model",
    "OtelTracer": "tracing.otel_tracer",
    "Permanent": "failures",
    "Policy": "model",
    "PolicyValidationError": "errors",
    "PolicyValidator": "policy",
    "Replay": "runtime.replay",
    "ResilientEventStream": "events",
    "Retry": "model",
    "RetryPolicy": "policy",
    "RingBufferFailureTelemetry": "failures.telemetry",
    "RootEscalationSink": "failures.telemetry",
    "Routing": "model",
    "Rule": "model.rule",
    "RunCancelled": "errors",
    "RunError": "errors",
    "RunFailed": "errors",
    "RunHandle": "runtime",
    "RunOptions": "runtime",
    "RunResult": "runtime",
    "RuntimeConfig": "runtime.config",
    "RuntimeExecutionReport": "model.report",
    "SQLiteBackend": "compat.flujo",
    "SQLiteTraceReader": "store",
    "SQLiteTracer": "store",
    "Secret": "tracing.redact",
    "Span": "model",
    "SqliteTraceReader": "store",
    "StateManager": "compat.flujo",
    "StoreError": "errors",
    "TailraceError": "errors",
    "Task": "flows.python",
    "TelemetryContext": "failures.telemetry",
    "Trace": "model",
    "TraceManager": "compat.flujo",
    "Transient": "failures",
    "emit": "runtime.events",
    "emit_with_retry": "runtime.events",
    "foreach": "flows.python",
    "get_resilient_stream": "runtime.events",
    "repeat": "flows.python",
    "route": "flows.python",
    "subflow": "flows.python",
    "switch": "flows.python",
    "task": "flows.python",
    "until": "flows.python",
}

__all__ = [
    "CompositeTracer",
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
    "OtelTracer",
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
    "SQLiteBackend",
    "SQLiteTraceReader",
    "SQLiteTracer",
    "Secret",
    "Span",
    "SqliteTraceReader",
    "StateManager",
    "StoreError",
    "TailraceError",
    "Task",
    "TelemetryContext",
    "Trace",
    "TraceManager",
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

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
