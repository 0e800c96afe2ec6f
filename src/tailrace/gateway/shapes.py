"""The shapes of answers, for OpenAPI. Clients ignore what they do not know; more may come."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class ProblemBody(_Open):
    """Why a request was refused."""

    detail: Any = Field(description="A text, or the list of a validation.")
    code: str = Field(description="Stable; `tailrace explain CODE` tells more.")
    message: str
    hint: str


class Submitted(_Open):
    """A run that is queued."""

    run_id: str
    status: str
    warning: str | None = None


class TaskRecordBody(_Open):
    """How a node of a run went."""

    state: Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"]
    started_at: float | None
    ended_at: float | None
    duration_ms: float | None
    error: str | None
    traceback: str | None
    inputs: dict[str, Any]
    output: Any
    artifacts: dict[str, Any]


class RunSummaryBody(_Open):
    """A run as a row of a list. Instants are Unix seconds."""

    run_id: str
    flow_name: str
    tag: str
    tags: list[str]
    tenant_id: str | None
    api_key_id: str | None
    status: Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLING", "CANCELLED"]
    updated_at: float
    heartbeat_at: float
    error: str | None
    worker_id: str | None = None


class RunSnapshot(RunSummaryBody):
    """A run as it stands."""

    params: dict[str, Any]
    tasks: dict[str, str]
    task_records: dict[str, TaskRecordBody] | None = None
    task_records_truncated: bool | None = None
    output: Any = None
    output_kept_apart: bool | None = None
    output_bytes: int | None = None
    findings: list[dict[str, Any]] | None = None
    start_time: float | None
    end_time: float | None
    workflow_yaml_sha256: str | None
    workflow_yaml_bytes: int | None
    cancel_requested_at: float | None
    cancel_requested_by: str | None
    worker_alive: bool | None = None
    worker_state: str | None = None
    worker_heartbeat_at: float | None = None
    worker_tags: list[str] | None = None


class RunPageBody(BaseModel):
    """A page of runs."""

    items: list[RunSummaryBody]
    next_cursor: str | None


class RunTasks(_Open):
    """The tasks of a run."""

    run_id: str
    flow_name: str
    status: str
    tasks: dict[str, str]
    task_records: dict[str, TaskRecordBody]
    task_records_truncated: bool


class WorkerBody(_Open):
    """A worker as it was seen last."""

    worker_id: str
    instance_id: str
    state: Literal["RUNNING", "IDLE", "STOPPED_GRACEFUL", "DISCONNECTED"]
    hidden: bool
    tags: list[str]
    last_seen_at: float
    last_heartbeat_at: float
    heartbeat_at: float
    current_run_id: str | None
    last_run_id: str | None
    last_run_status: str | None
    stopped_at: float | None
    stop_reason: str | None
    wheel_sync: dict[str, Any]


class HideWorker(BaseModel):
    """Whether a worker is shown in lists."""

    hidden: bool


class WorkerHidden(BaseModel):
    """What was said of a worker."""

    worker_id: str
    hidden: bool
    updated_at: float


class CancelRun(BaseModel):
    """Why a run is cancelled."""

    reason: str = Field(default="", max_length=1000)
    requested_by: str = Field(default="", max_length=200)


class ResumeRun(BaseModel):
    """How a run goes on."""

    start_from: list[str] = Field(
        default_factory=list, max_length=100, description="Nodes from which on all is done again."
    )
    params: dict[str, Any] | None = Field(
        default=None, description="Params that differ; what is reused stays as it is."
    )
    policy: dict[str, Any] | None = Field(
        default=None, description="Overrides the policy of the flow."
    )
    on_change: Literal["refuse", "rerun", "keep"] = Field(
        default="refuse",
        description="What to do about finished nodes whose code or definition has changed.",
    )


class RedriveLetter(BaseModel):
    """How a dead letter's work is done again."""

    mode: Literal["resume", "node", "new-run"] = "resume"
    reason: str = Field(default="", max_length=1000)
    params: dict[str, Any] | None = None
    policy: dict[str, Any] | None = Field(
        default=None, description="Overrides the policy of the flow."
    )
    batch_id: str = Field(
        default="", max_length=128, description="A letter is redriven once in a batch."
    )
    actor: str = Field(default="", max_length=200, description="Who, where no key says it.")


class ChangeLetter(BaseModel):
    """What becomes of a dead letter."""

    action: Literal["park", "discard", "reopen"]
    reason: str = Field(min_length=1, max_length=1000)


class ChangeGroup(BaseModel):
    """What becomes of a group of failures."""

    action: Literal["resolve", "ignore", "reopen"]
    reason: str = Field(default="", max_length=1000)
    until_ns: int = Field(
        default=0, ge=0, le=2**62, description="Of `ignore`: when failures open it again; 0: never."
    )
    actor: str = Field(default="", max_length=200, description="Who, where no key says it.")


class Items(_Open):
    """A list of whatever there is."""

    items: list[dict[str, Any]]


class Status(_Open):
    """Whether something is well."""

    status: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": text}
    for status, text in (
        (401, "A key is missing."),
        (403, "The key is wrong, or may not."),
        (404, "There is no such thing."),
        (409, "It is in the way of something else."),
        (413, "The request is too large."),
        (422, "The request is not valid."),
        (500, "The gateway failed."),
        (503, "NATS does not answer; ask again after `Retry-After` seconds."),
    )
}
"""Answers that every route may give."""
