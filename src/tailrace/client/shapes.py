"""What a server answers, with types. Fields that it adds later are ignored."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from tailrace.errors import RunCancelled, RunFailed

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
"""Statuses that a run keeps."""


class Submitted(Struct, frozen=True, kw_only=True):
    """A run that is queued."""

    run_id: str
    status: str = "PENDING"
    duplicate: bool = False
    """It was submitted before, with the same idempotency key."""
    warning: str = ""
    """Such as that no worker for its tag is alive."""


class TaskRecord(Struct, frozen=True, kw_only=True):
    """How a node of a run went. Instants are Unix seconds."""

    state: str
    """``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``CANCELLED`` or ``SKIPPED``."""
    started_at: float | None = None
    ended_at: float | None = None
    duration_ms: float | None = None
    error: str | None = None
    traceback: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    output: Any = None
    artifacts: dict[str, Any] = field(default_factory=dict)
    attempt: int = 1


class Run(Struct, frozen=True, kw_only=True):
    """A run as it stands. Rows of lists lack params, tasks and records. Instants: Unix seconds."""

    run_id: str
    flow_name: str = ""
    status: str = "PENDING"
    """``PENDING``, ``RUNNING``, ``COMPLETED``, ``FAILED``, ``CANCELLING`` or ``CANCELLED``."""
    params: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    task_records: dict[str, TaskRecord] = field(default_factory=dict)
    task_records_truncated: bool = False
    output: Any = None
    """What the run returned; a summary where ``output_kept_apart``."""
    output_kept_apart: bool = False
    """The output is large: ``get(run_id, records=True)`` has it whole."""
    output_bytes: int = 0
    """Bytes of a large output as JSON."""
    error: str | None = None
    failed_node: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """All that is wrong with the definition of a run that could not begin for that."""
    failure_id: str = ""
    letter: str = ""
    """Dead letter that the run has left."""
    seen_before: int = 0
    tag: str = ""
    tags: tuple[str, ...] = ()
    label: str = ""
    tenant_id: str | None = None
    worker_id: str | None = None
    worker_alive: bool | None = None
    claims: int = 0
    crashes: int = 0
    """Workers that died with it."""
    submitted_at: float | None = None
    run_at: float | None = None
    """When it is to begin, if it was submitted for later."""
    start_time: float | None = None
    end_time: float | None = None
    heartbeat_at: float | None = None
    updated_at: float = 0.0
    cancel_requested_at: float | None = None
    cancel_requested_by: str | None = None
    cancel_reason: str = ""
    resumed_from: str = ""
    workflow_yaml_sha256: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether it will not change any more."""
        return self.status in TERMINAL

    @property
    def ok(self) -> bool:
        """Whether it has completed."""
        return self.status == "COMPLETED"

    def raise_for_status(self) -> Run:
        """Return the run if it has completed.

        Raises:
            RunFailed: it has failed. There is no report: the trace is with the server.
            RunCancelled: it was cancelled.
        """
        where = f" at node {self.failed_node}" if self.failed_node else ""
        if self.status == "FAILED":
            raise RunFailed(f"run {self.run_id} failed{where}: {self.error}", report=None)
        if self.status == "CANCELLED":
            raise RunCancelled(f"run {self.run_id} was cancelled", report=None)
        return self


class Tasks(Struct, frozen=True, kw_only=True):
    """The tasks of a run."""

    run_id: str
    flow_name: str
    status: str
    tasks: dict[str, str]
    task_records: dict[str, TaskRecord] = field(default_factory=dict)
    task_records_truncated: bool = False


class Page(Struct, frozen=True, kw_only=True):
    """Some runs of a list, the last changed first."""

    items: list[Run]
    next_cursor: str | None = None
    """Where the next page begins; None: this is the last one."""


class Worker(Struct, frozen=True, kw_only=True):
    """A worker as it was seen last. Instants are Unix seconds."""

    worker_id: str
    instance_id: str = ""
    state: str = "IDLE"
    """``RUNNING``, ``IDLE``, ``STOPPED_GRACEFUL`` or ``DISCONNECTED``."""
    hidden: bool = False
    tags: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    concurrency: int = 1
    host: str = ""
    pid: int = 0
    version: str = ""
    last_seen_at: float = 0.0
    current_run_id: str | None = None
    current_run_ids: tuple[str, ...] = ()
    last_run_id: str | None = None
    last_run_status: str | None = None
    stopped_at: float | None = None
    stop_reason: str | None = None
    runs_done: int = 0


class RunEvent(Struct, frozen=True, kw_only=True):
    """A run as it stood at an instant."""

    run: Run
    ts: float = 0.0
    """When it was sent, in Unix seconds."""
    event_id: str = ""
    """Where to go on from, after a break."""
