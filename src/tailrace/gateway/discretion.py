"""Workers as a caller may see them: which runs of other tenants they have is nobody's business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace.gateway.caller import Caller
from tailrace.gateway.index import SqliteRunIndex

_LAST = ("last_run_id", "last_run_status", "last_run_started_at", "last_run_finished_at")


async def for_caller(
    workers: Sequence[dict[str, Any]], caller: Caller, index: SqliteRunIndex
) -> Sequence[dict[str, Any]]:
    """Return the workers with the runs that the caller may see; others are left out."""
    tenant = caller.tenant_id
    if caller.sees_all or tenant is None:
        return workers
    own = await index.own({run_id for one in workers for run_id in _named(one)}, tenant)
    return [_without_others(one, own) for one in workers]


def _named(worker: dict[str, Any]) -> list[str]:
    named = [worker["current_run_id"], worker["last_run_id"], *worker["current_run_ids"]]
    return [run_id for run_id in named if run_id]


def _without_others(worker: dict[str, Any], own: set[str]) -> dict[str, Any]:
    current = [run_id for run_id in worker["current_run_ids"] if run_id in own]
    first = worker["current_run_id"]
    shown = worker | {
        "current_run_id": first if first in own else next(iter(current), None),
        "current_run_ids": current,
    }
    return shown if worker["last_run_id"] in own else shown | dict.fromkeys(_LAST)
