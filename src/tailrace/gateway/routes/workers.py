"""Workers: who they are and how they do."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tailrace.gateway.discretion import for_caller
from tailrace.gateway.problems import Json, Problem, not_found
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.shapes import PROBLEMS, HideWorker, WorkerBody, WorkerHidden
from tailrace.jetstream.names import TOKEN

router = APIRouter(tags=["workers"], responses=PROBLEMS)
_STATES = ("RUNNING", "IDLE", "STOPPED_GRACEFUL", "DISCONNECTED")
_ACTIVE = frozenset(_STATES[:2])


@router.get("/workers", response_model=list[WorkerBody])
async def list_workers(
    request: Request,
    scope: Annotated[str, Query(description="`active` (RUNNING or IDLE) or `all`.")] = "active",
    state: Annotated[str | None, Query(description=f"One of {', '.join(_STATES)}.")] = None,
    *,
    include_hidden: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """List workers, the last seen first; runs of other tenants are not named."""
    wanted = state.upper() if state else None
    if scope.lower() not in {"active", "all"} or (wanted and wanted not in _STATES):
        raise Problem(
            422,
            "invalid workers request",
            code="TR420",
            hint=f"scope is active or all; state is one of {', '.join(_STATES)}.",
        )
    gateway = gateway_of(request)
    found = await gateway.board.workers()
    shown = [
        one
        for one in found
        if (include_hidden or not one["hidden"])
        and (wanted is None or one["state"] == wanted)
        and (scope.lower() == "all" or one["state"] in _ACTIVE)
    ]
    return Json(await for_caller(shown[:limit], caller_of(request), gateway.index))


@router.patch("/workers/{worker_id}", response_model=WorkerHidden)
async def hide_worker(request: Request, worker_id: str, body: HideWorker) -> Response:
    """Hide a worker from lists, or show it again; that outlives its restarts."""
    gateway = gateway_of(request)
    known = TOKEN.fullmatch(worker_id) and await gateway.registry.worker(worker_id)
    if not known:
        raise not_found("worker")
    await gateway.registry.hide(worker_id, hidden=body.hidden)
    gateway.board.forget()
    return Json({"worker_id": worker_id, "hidden": body.hidden, "updated_at": time.time()})
