"""The only place that wires adapters to ports."""

from tailrace.runtime.execute import RunHandle, execute, execute_async, open_database, start
from tailrace.runtime.flow_runtime import FinishedContext, FlowRuntime
from tailrace.runtime.options import RunOptions, RunResult

__all__ = [
    "FinishedContext",
    "FlowRuntime",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "execute",
    "execute_async",
    "open_database",
    "start",
]
