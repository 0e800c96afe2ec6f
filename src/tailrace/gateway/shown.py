"""Runs as the HTTP contract shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tailrace.gateway.known import KnownRun
from tailrace.model.remote import RunState

_RECORDS = frozenset({"records", "task_records", "full", "all"})
_WHOLE = frozenset({"full", "all"})
_SKIPPED, _CANCELLED = "SKIPPED", "CANCELLED"


def wants_records(include: Collection[str]) -> bool:
    """Whether records of tasks are asked for."""
    return not _RECORDS.isdisjoint(include)


def wants_whole(include: Collection[str]) -> bool:
    """Whether a list is to hold whole snapshots."""
    return not _WHOLE.isdisjoint(include)


def tasks_of(state: RunState | None, *, full: bool) -> dict[str, str]:
    """Return the states of tasks; older clients know no SKIPPED."""
    if state is None:
        return {}
    if full:
        return state.tasks
    return {name: _CANCELLED if value == _SKIPPED else value for name, value in state.tasks.items()}


def records_of(state: RunState | None, *, full: bool) -> dict[str, Any]:
    """Return the records of tasks."""
    if state is None:
        return {}
    records = {name: msgspec.structs.asdict(one) for name, one in state.task_records.items()}
    if not full:
        for record in records.values():
            if record["state"] == _SKIPPED:
                record["state"] = _CANCELLED
    return records


def snapshot(
    run: KnownRun, include: Collection[str] = (), *, full_states: bool = False
) -> dict[str, Any]:
    """Return a run as ``GET /runs/{id}`` shows it.

    Args:
        run: the run.
        include: ``records``, ``task_records``, ``full`` or ``all`` add the records of tasks.
        full_states: show SKIPPED as it is.
    """
    job = run.job
    state = run.state or RunState(job=job, updated_at=job.submitted_at)
    shown: dict[str, Any] = {
        "run_id": job.run_id,
        "flow_name": job.flow_name,
        "tag": job.tag,
        "tags": job.tags or (job.tag,),
        "tenant_id": job.tenant_id,
        "api_key_id": job.api_key_id,
        "status": run.status,
        "params": job.params,
        "tasks": tasks_of(run.state, full=full_states),
        "start_time": state.start_time,
        "end_time": state.end_time,
        "heartbeat_at": _heartbeat(run),
        "updated_at": run.updated_at,
        "error": state.error,
        "workflow_yaml_sha256": job.workflow_yaml_sha256,
        "workflow_yaml_bytes": job.workflow_yaml_bytes,
        **_cancel(run),
        "submitted_at": job.submitted_at,
        "priority": job.priority,
        "claims": state.claims,
    }
    if state.worker_id is not None:
        shown["worker_id"] = state.worker_id
    if wants_records(include):
        shown["task_records"] = records_of(run.state, full=full_states)
    if state.task_records_truncated or wants_records(include):
        shown["task_records_truncated"] = state.task_records_truncated
    if job.params_object:
        shown["params_kept_apart"] = True
    return shown | _extras(run, state)


def _heartbeat(run: KnownRun) -> float:
    """Return when the run's worker was heard of last, by the server's clock where it is known."""
    told = None if run.state is None else run.state.heartbeat_at
    if told is None:
        return run.job.submitted_at
    return run.stored_at or told


def _cancel(run: KnownRun) -> dict[str, Any]:
    """Return who wants the run cancelled; its worker's word goes last, as the first one stays."""
    state, wish = run.state, run.cancel
    at = wish.at if wish else state.cancel_requested_at if state else None
    by = wish.by if wish else state.cancel_requested_by if state else None
    return {"cancel_requested_at": at, "cancel_requested_by": by}


def _extras(run: KnownRun, state: RunState) -> dict[str, Any]:
    """Return the fields that few runs have."""
    job = run.job
    found = {
        "label": job.label,
        "run_at": job.run_at,
        "idempotency_key": job.idempotency_key,
        "resumed_from": job.resumed_from,
        "lineage": job.lineage,
        "redrives": job.letter,
        "letter": state.letter,
        "failed_node": state.failed_node,
        "failure_id": state.failure_id,
        "findings": state.findings or None,
        "seen_before": state.seen_before,
        "crashes": state.crashes,
        "cancel_reason": (run.cancel.reason if run.cancel else "") or state.cancel_reason,
    }
    shown = {name: value for name, value in found.items() if value not in (None, "", 0)}
    if state.output is not None:
        shown["output"] = state.output
    if state.output_bytes:
        shown["output_bytes"] = state.output_bytes
    if state.output_object:
        shown["output_kept_apart"] = True
    return shown


def summary(run: KnownRun) -> dict[str, Any]:
    """Return a run as a row of a list."""
    job, state = run.job, run.state
    shown: dict[str, Any] = {
        "run_id": job.run_id,
        "flow_name": job.flow_name,
        "tag": job.tag,
        "tags": job.tags or (job.tag,),
        "tenant_id": job.tenant_id,
        "api_key_id": job.api_key_id,
        "status": run.status,
        "updated_at": run.updated_at,
        "heartbeat_at": _heartbeat(run),
        "error": None,
        "submitted_at": job.submitted_at,
        "start_time": None,
        "end_time": None,
    }
    if state is not None:
        shown["error"] = state.error
        shown["start_time"], shown["end_time"] = state.start_time, state.end_time
        if state.worker_id is not None:
            shown["worker_id"] = state.worker_id
    if job.workflow_yaml_sha256 is not None:
        shown["workflow_yaml_sha256"] = job.workflow_yaml_sha256
    if job.label:
        shown["label"] = job.label
    return shown


def with_worker(shown: dict[str, Any], worker: Mapping[str, Any] | None) -> dict[str, Any]:
    """Add what is known of the worker that holds the run, where one does."""
    if "worker_id" in shown:
        state = None if worker is None else worker["state"]
        shown["worker_alive"] = state in {"RUNNING", "IDLE"}
        shown["worker_state"] = state
        shown["worker_heartbeat_at"] = None if worker is None else worker["heartbeat_at"]
        shown["worker_hidden"] = False if worker is None else worker["hidden"]
        shown["worker_tags"] = [] if worker is None else worker["tags"]
        if worker is not None and shown["run_id"] in worker["current_run_ids"]:
            # The worker's sign of life is one of its runs, which may have nothing to write.
            shown["heartbeat_at"] = max(shown["updated_at"], worker["heartbeat_at"])
    return shown
