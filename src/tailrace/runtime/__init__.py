"""The only place that wires adapters to ports."""

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names
from tailrace.runtime.execute import RunHandle, execute, execute_async, start
from tailrace.runtime.options import RunOptions, RunResult
from tailrace.runtime.stores import open_database

if TYPE_CHECKING:
    from tailrace.runtime.config import RuntimeConfig
    from tailrace.runtime.flow_runtime import FinishedContext, FlowRuntime
    from tailrace.runtime.resuming import ResumeFrom

_LAZY = {
    "FinishedContext": "flow_runtime",
    "FlowRuntime": "flow_runtime",
    "ResumeFrom": "resuming",
    "RuntimeConfig": "config",
}
"""Name to module, of what few programs need."""

__all__ = [
    "FinishedContext",
    "FlowRuntime",
    "ResumeFrom",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "RuntimeConfig",
    "execute",
    "execute_async",
    "open_database",
    "start",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _LAZY)
