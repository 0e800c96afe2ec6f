"""Runs: one, its tasks, many, watched, cancelled."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import NotFound, QueryError, TransportError
from tailrace.gateway.indexing import RunFilter
from tailrace.gateway.known import KnownRun
from tailrace.gateway.problems import Json, Problem, invalid_list
from tailrace.gateway.routes.asked import caller_of, gateway_of, tenant_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import (
    PROBLEMS,
    CancelRun,
    RunPageBody,
    RunSnapshot,
    RunSummaryBody,
    RunTasks,
)
from tailrace.gateway.shown import (
    records_of,
    snapshot,
    summary,
    tasks_of,
    wants_records,
    wants_whole,
    with_worker,
)
from tailrace.gateway.submission import listed
from tailrace.gateway.watched import Watching
from tailrace.gateway.watching import Wish
from tailrace.model.remote import CancelRequest

router = APIRouter(tags=["runs"], responses=PROBLEMS)
_MOST_APART = 4 * 1024 * 1024
_PAGED = ("updated_after", "cursor")

Include = Annotated[
    list[str],
    Query(description="`records`, `task_records`, `full` or `all` add the records of tasks."),
]
States = Annotated[
    str, Query(description="`full` shows skipped tasks as SKIPPED rather than CANCELLED.")
]


@router.get("/runs", response_model=list[RunSummaryBody] | RunPageBody)
async def list_runs(  # noqa: PLR0913 - the filters of the contract
    request: Request,
    *,
    status: str = "",
    flow: str = "",
    tag: str = "",
    updated_after: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    cursor: str | None = None,
    workflow_yaml_sha256: str = "",
    include: Include = [],  # noqa: B006 - FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List runs, the last changed first: an array, or a page where pages were asked for."""
    gateway, caller = gateway_of(request), caller_of(request)
    whole = wants_whole(include)
    wanted = RunFilter(
        status=status,
        flow=flow,
        tag=tag,
        tenant=tenant_of(caller),
        sha256=workflow_yaml_sha256,
        updated_after=updated_after,
        cursor=cursor or "",
        limit=limit,
        whole=whole,
    )
    try:
        page = await gateway.index.runs(wanted)
    except QueryError as error:
        raise Problem(
            422, "invalid list query", code="TR420", message=error.message, hint=error.hint
        ) from error
    items = [snapshot(run, include) if whole else summary(run) for run in page.items]
    is_paged = updated_after is not None or cursor is not None or workflow_yaml_sha256
    return Json({"items": items, "next_cursor": page.next_cursor} if is_paged else items)


@router.get("/runs/{run_id}", response_model=RunSnapshot)
async def show_run(
    request: Request,
    run_id: str,
    include: Include = [],  # noqa: B006 - FastAPI copies it
    states: States = "",
) -> Response:
    """Show a run as it stands."""
    return await _show(request, run_id, include, states)


async def show_run_at_once(request: Request) -> Response:
    """Show the run that the path names."""
    query = request.query_params if request.scope["query_string"] else None
    include = query.getlist("include") if query else []
    states = query.get("states", "") if query else ""
    return await _show(request, request.scope["path"][len("/runs/") :], include, states)


async def _show(request: Request, run_id: str, include: list[str], states: str) -> Response:
    gateway = gateway_of(request)
    run = await gateway.find(run_id, caller_of(request))
    if wants_whole(include):
        run = await _with_output(gateway, await _with_params(gateway, run))
    shown = snapshot(run, include, full_states=states == "full")
    return Json(await _with_worker(gateway, shown))


async def _with_params(gateway: Gateway, run: KnownRun) -> KnownRun:
    """Return a run with params that are kept apart from it, where they are still there."""
    if not run.job.params_object:
        return run
    job = await gateway.queue.load(run.job)
    return msgspec.structs.replace(run, job=job)


async def _with_output(gateway: Gateway, run: KnownRun) -> KnownRun:
    """Return a run with an output that is kept apart from it, where it is still there."""
    state = run.state
    if state is None or not state.output_object:
        return run
    try:
        text = await gateway.queue.objects.get(state.output_object)
    except NotFound:
        return run
    whole = msgspec.structs.replace(state, output=msgspec.Raw(text), output_object="")
    return msgspec.structs.replace(run, state=whole)


async def _with_worker(gateway: Gateway, shown: dict[str, Any]) -> dict[str, Any]:
    if "worker_id" not in shown:
        return shown
    try:
        worker = await gateway.board.worker(shown["worker_id"])
    except TransportError:
        worker = None
    return with_worker(shown, worker)


@router.get("/runs/{run_id}/tasks", response_model=RunTasks)
async def show_tasks(request: Request, run_id: str, states: States = "") -> Response:
    """Show the tasks of a run with their records."""
    run = await gateway_of(request).find(run_id, caller_of(request))
    is_full = states == "full"
    return Json(
        {
            "run_id": run_id,
            "flow_name": run.job.flow_name,
            "status": run.status,
            "tasks": tasks_of(run.state, full=is_full),
            "task_records": records_of(run.state, full=is_full),
            "task_records_truncated": bool(run.state and run.state.task_records_truncated),
        }
    )


@router.get(
    "/runs/{run_id}/watch",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def watch_run(
    request: Request,
    run_id: str,
    include: Include = [],  # noqa: B006 - FastAPI copies it
    states: States = "",
    since: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    timeout_sec: Annotated[int, Query(ge=1, le=600)] = 60,
) -> Response:
    """Watch a run: events `snapshot` and `heartbeat`, until it is over or the time is."""
    wish = Wish(
        include=frozenset(include) if wants_records(include) else frozenset(),
        full_states=states == "full",
        since=since,
        timeout=timeout_sec,
        last_event=request.headers.get("last-event-id", ""),
    )
    return await _watch(request, run_id, wish)


async def watch_run_at_once(request: Request) -> Response:
    """Watch the run that the path names, in the usual form."""
    wish = Wish(last_event=request.headers.get("last-event-id", ""))
    return await _watch(request, request.scope["path"].split("/")[2], wish)


async def _watch(request: Request, run_id: str, wish: Wish) -> Response:
    gateway = gateway_of(request)
    run = await gateway.find_to_watch(run_id, caller_of(request))
    return Watching(gateway, run, wish)


@router.post(
    "/runs/{run_id}/cancel",
    response_model=RunSnapshot,
    openapi_extra={
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": CancelRun.model_json_schema()}},
        }
    },
)
async def cancel_run(request: Request, run_id: str) -> Response:
    """Have a run cancelled. One that is over stays as it is."""
    gateway, caller = gateway_of(request), caller_of(request)
    body = await request.body()
    run = await gateway.find(run_id, caller)
    wish = _cancel_body(body, request.headers.get("content-type", ""))
    request_ = CancelRequest(
        at=time.time(), by=caller.name or wish.requested_by or None, reason=wish.reason
    )
    run = await gateway.cancel(run, request_)
    return Json(snapshot(run))


def _cancel_body(body: bytes, kind: str) -> CancelRun:
    """Return what a cancel says of itself; older clients send nothing, or anything."""
    if not body.strip() or "json" not in kind:
        return CancelRun()
    try:
        return CancelRun.model_validate_json(body)
    except ValidationError as error:
        raise invalid_list(listed(error)) from None
