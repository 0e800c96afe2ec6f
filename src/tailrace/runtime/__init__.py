"""The only place that wires adapters to ports."""

from tailrace.runtime.execute import RunHandle, execute, execute_async, start
from tailrace.runtime.flow_runtime import FinishedContext, FlowRuntime
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.stores import open_database

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
