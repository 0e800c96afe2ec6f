"""A run as a row of lists: what its job and its state say, without what is large."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from tailrace.model.remote import CancelRequest, Job, RunState
from tailrace.model.states import RunStatus

PENDING, CANCELLING = RunStatus.PENDING.value, RunStatus.CANCELLING.value
TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)


class _Body(Struct, array_like=True, gc=False):
    """Fields that nobody filters by. Append with defaults, never reorder."""

    tags: tuple[str, ...] = ()
    api_key_id: str | None = None
    submitted_at: float = 0.0
    error: str | None = None
    worker_id: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    heartbeat_at: float | None = None
    claims: int = 0
    crashes: int = 0
    label: str = ""
    priority: str = "normal"
    run_at: float | None = None
    source: str = ""
    resumed_from: str = ""
    lineage: str = ""
    redrives: str = ""
    generation: int = 0
    idempotency_key: str = ""
    workflow_yaml_bytes: int | None = None
    cancel_at: float | None = None
    cancel_by: str | None = None
    cancel_reason: str = ""
    letter: str = ""
    failed_node: str = ""
    failure_id: str = ""
    params_object: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class ListedRun(Struct, kw_only=True, gc=False):
    """A run in a list. Its job has no params, its state no tasks, records, output or journal."""

    sequence: int
    """Of the message that changed it last: the order of lists, and where a page ends."""
    at: int
    """The server's time of that message, microseconds since the epoch."""
    job: Job
    state: RunState | None = None
    """None: no worker has had it yet."""
    state_sequence: int = 0
    cancel: CancelRequest | None = None
    """The wish to cancel it, while it is not over."""

    @property
    def status(self) -> str:
        """A value of ``RunStatus``; CANCELLING from the wish on."""
        status = PENDING if self.state is None else self.state.status
        return CANCELLING if self.cancel is not None and status not in TERMINAL else status


def encode_body(job: Job, state: RunState | None, cancel: CancelRequest | None) -> bytearray:
    """Return the column ``body`` of a run."""
    body = _Body(
        job.tags,
        job.api_key_id,
        job.submitted_at,
        label=job.label,
        priority=job.priority,
        run_at=job.run_at,
        source=job.source,
        resumed_from=job.resumed_from,
        lineage=job.lineage,
        redrives=job.letter,
        generation=job.generation,
        idempotency_key=job.idempotency_key,
        workflow_yaml_bytes=job.workflow_yaml_bytes,
        params_object=job.params_object,
    )
    if state is not None:
        body.error, body.worker_id = state.error, state.worker_id
        body.start_time, body.end_time = state.start_time, state.end_time
        body.heartbeat_at, body.claims = state.heartbeat_at, state.claims
        body.crashes, body.letter = state.crashes, state.letter
        body.failed_node, body.failure_id = state.failed_node, state.failure_id
        body.cancel_at, body.cancel_by = state.cancel_requested_at, state.cancel_requested_by
        body.cancel_reason = state.cancel_reason
    if cancel is not None:
        body.cancel_at, body.cancel_by, body.cancel_reason = cancel.at, cancel.by, cancel.reason
    return bytearray(_encode(body))


class Kind(Struct, frozen=True, array_like=True, gc=False):
    """What lists are filtered by."""

    status: str
    flow: str
    tag: str
    tenant: str
    """Empty: none."""


class RunRow(NamedTuple):
    """A row of ``remote_run``."""

    sequence: int
    run_id: str
    kind: int
    state: int
    at: int
    workflow: str
    body: bytes


def run_of_row(kind: Kind, row: RunRow) -> ListedRun:
    """Return the run of a row, whose kind is that."""
    kept = _decode(row.body)
    job = Job(
        run_id=row.run_id,
        flow_name=kind.flow,
        params_object=kept.params_object,
        tag=kind.tag,
        tags=kept.tags,
        tenant_id=kind.tenant or None,
        api_key_id=kept.api_key_id,
        submitted_at=kept.submitted_at,
        priority=kept.priority,
        run_at=kept.run_at,
        label=kept.label,
        workflow_yaml_sha256=row.workflow or None,
        workflow_yaml_bytes=kept.workflow_yaml_bytes,
        idempotency_key=kept.idempotency_key,
        source=kept.source,
        resumed_from=kept.resumed_from,
        lineage=kept.lineage,
        letter=kept.redrives,
        generation=kept.generation,
    )
    cancel = None
    if kept.cancel_at is not None and kind.status not in TERMINAL:
        cancel = CancelRequest(at=kept.cancel_at, by=kept.cancel_by, reason=kept.cancel_reason)
    found = None if not row.state else RunState(
        job=job,
        status=kind.status,
        start_time=kept.start_time,
        end_time=kept.end_time,
        heartbeat_at=kept.heartbeat_at,
        updated_at=row.at / 1e6,
        error=kept.error,
        worker_id=kept.worker_id,
        claims=kept.claims,
        crashes=kept.crashes,
        cancel_requested_at=kept.cancel_at,
        cancel_requested_by=kept.cancel_by,
        cancel_reason=kept.cancel_reason,
        letter=kept.letter,
        failed_node=kept.failed_node,
        failure_id=kept.failure_id,
    )  # fmt: skip
    return ListedRun(
        sequence=row.sequence,
        at=row.at,
        job=job,
        state=found,
        state_sequence=row.state,
        cancel=cancel,
    )
