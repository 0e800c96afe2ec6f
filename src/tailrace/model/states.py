"""The words for how things stand."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Life of a run. INTERRUPTED: its local process died."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"

    @property
    def is_terminal(self) -> bool:
        """True when the run will not change any more by itself."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}
)


class NodeState(StrEnum):
    """Life of a node in one scope of one run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class SpanStatus(StrEnum):
    """OpenTelemetry span status."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


class SpanKind(StrEnum):
    """OpenTelemetry span kind."""

    UNSPECIFIED = "unspecified"
    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class SpanType(StrEnum):
    """What a span stands for; FOREIGN is a span that no engine of ours opened."""

    RUN = "run"
    CONTAINER = "container"
    ITERATION = "iteration"
    BRANCH = "branch"
    NODE = "node"
    ATTEMPT = "attempt"
    USER = "user"
    FOREIGN = "foreign"


class Durability(StrEnum):
    """When a commit of the journal counts as done.

    POWER survives power loss (fsync each commit). PROCESS survives SIGKILL (the default).
    RELAXED commits within 100 ms: a SIGKILL may lose that much finished work, never integrity.
    """

    POWER = "power"
    PROCESS = "process"
    RELAXED = "relaxed"


class ErrorCategory(StrEnum):
    """What a failure means for a retry."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
