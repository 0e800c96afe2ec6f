"""Ours beside the older contract: resume, dead letters, flows, traces, queries, failures."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from tailrace.gateway.caller import Caller
from tailrace.gateway.problems import Json, Problem, not_found
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import (
    PROBLEMS,
    ChangeLetter,
    Items,
    RedriveLetter,
    ResumeRun,
    Submitted,
)
from tailrace.gateway.stored_traces import StoredTraces
from tailrace.jetstream.letter_text import letter_in
from tailrace.jetstream.redrive import redrive_letter
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import Redrive
from tailrace.model.remote import StoredLetter

router = APIRouter(prefix="/api", tags=["more"], responses=PROBLEMS)
T = TypeVar("T")
_HOUR = 3600 * 10**9
_MOST_NS = 2**62

Limit = Annotated[int, Query(ge=1, le=500)]
Instant = Annotated[int | None, Query(ge=0, le=_MOST_NS, description="Nanoseconds since 1970.")]
Text = Annotated[str, Query(max_length=1000)]
TraceQL = Annotated[str, Query(min_length=1, max_length=10_000, description="TraceQL.")]


@router.post("/runs/{run_id}/resume", response_model=Submitted)
async def resume_run(request: Request, run_id: str, body: ResumeRun | None = None) -> Response:
    """Go on with a run that failed or was cancelled, as a new run; what is finished is reused."""
    gateway, caller = gateway_of(request), caller_of(request)
    run = await gateway.find(run_id, caller)
    if run.state is None or run.status not in {"FAILED", "CANCELLED"}:
        raise Problem(
            409,
            f"run is {run.status}",
            code="TR432",
            message=f"run {run_id} is {run.status}; only one that failed or was cancelled goes on",
            hint="Cancel it first, or submit it anew.",
        )
    start_from = tuple((body or ResumeRun()).start_from)
    mark = f"resume:{run_id}:{run.sequence}:{','.join(start_from)}"
    job = replace(
        run.job,
        run_id=hashlib.sha256(mark.encode()).hexdigest()[:32],
        submitted_at=time.time(),
        run_at=None,
        idempotency_key="",
        source="resume",
        resumed_from=run_id,
        lineage=run.job.lineage or run_id,
        start_from=start_from,
        api_key_id=caller.key_id,
        traceparent="",
        tracestate="",
    )
    known = await gateway.submit(job)
    return Json({"run_id": job.run_id, "status": "PENDING" if known is None else known.status})


@router.get("/flows", response_model=Items)
async def list_flows(request: Request) -> Response:
    """List the flows that workers say they know, with the workers that are alive."""
    flows: dict[str, dict[str, Any]] = {}
    for worker in await gateway_of(request).board.workers():
        for name in worker["flows"]:
            flow = flows.setdefault(name, {"name": name, "workers": [], "tags": set()})
            if worker["state"] in {"RUNNING", "IDLE"}:
                flow["workers"].append(worker["worker_id"])
                flow["tags"] |= set(worker["tags"])
    found = [flow | {"tags": sorted(flow["tags"])} for _, flow in sorted(flows.items())]
    return Json({"items": found})


@router.get("/dead-letters", response_model=Items)
async def list_letters(
    request: Request,
    state: Annotated[str, Query(max_length=20)] = "",
    reason: Text = "",
    flow: Text = "",
    run: Text = "",
    limit: Limit = 50,
) -> Response:
    """List dead letters, newest first; without `state` those that are open or parked."""
    gateway, caller = gateway_of(request), caller_of(request)
    wanted = FailureFilter(state=state, reason=reason, flow=flow, run=run)
    found = await gateway.letters.letters(wanted, limit=100_000 if not caller.sees_all else limit)
    if not caller.sees_all:
        stored = {one.letter_id: one for one in await gateway.letters.stored()}
        found = [one for one in found if _may_see(caller, stored.get(one.dl_id))][:limit]
    return Json({"items": [msgspec.to_builtins(one) for one in found]})


def _may_see(caller: Caller, letter: StoredLetter | None) -> bool:
    if caller.sees_all:
        return True
    return letter is not None and letter.tenant_id == caller.tenant_id


async def _letter(gateway: Gateway, caller: Caller, letter_id: str) -> StoredLetter:
    """Return a letter by its id, or the beginning of it.

    Raises:
        Problem: 404.
        NotFound: none begins so, or more than one.
    """
    found = await gateway.letters.get((await gateway.letters.letter(letter_id)).dl_id)
    if found is None or not _may_see(caller, found[0]):
        raise not_found("dead letter")
    return found[0]


@router.get("/dead-letters/{letter_id}", response_model=dict[str, Any])
async def show_letter(request: Request, letter_id: str) -> Response:
    """Show a dead letter, with the fields of the older contract."""
    stored = await _letter(gateway_of(request), caller_of(request), letter_id)
    shown = msgspec.to_builtins(replace(stored, letter=b""), builtin_types=(bytes,))
    job = shown.pop("job", None) or {}
    job.pop("workflow_yaml", None)
    return Json(shown | {"job": job or None, "letter": msgspec.to_builtins(letter_in(stored))})


@router.post("/dead-letters/{letter_id}/redrive", response_model=Submitted)
async def redrive(request: Request, letter_id: str, body: RedriveLetter | None = None) -> Response:
    """Do the work of an open dead letter again, as a new run."""
    gateway, caller = gateway_of(request), caller_of(request)
    wanted = body or RedriveLetter()
    stored = await _letter(gateway, caller, letter_id)
    order = Redrive(
        dl_id=stored.letter_id,
        generation=0,
        batch_id="",
        actor=caller.name or "http",
        reason=wanted.reason,
        mode=wanted.mode,
    )
    job = await redrive_letter(
        gateway.queue, gateway.letters, stored.letter_id, order, params=wanted.params
    )
    if job is None:
        raise Problem(
            409,
            "dead letter cannot be redriven",
            code="TR432",
            message=f"dead letter {stored.letter_id} is {letter_in(stored).state}, or no job",
            hint="Reopen it first; one that never was a job can only be discarded.",
        )
    gateway.index.accepted(job)
    return Json({"run_id": job.run_id, "status": "PENDING"})


@router.post("/dead-letters/{letter_id}", response_model=dict[str, Any])
async def change_letter(request: Request, letter_id: str, body: ChangeLetter) -> Response:
    """Park, discard or reopen a dead letter."""
    gateway, caller = gateway_of(request), caller_of(request)
    stored = await _letter(gateway, caller, letter_id)
    changed = await gateway.letters.change(
        FailureFilter(ids=(stored.letter_id,)),
        body.action,
        actor=caller.name or "http",
        reason=body.reason,
    )
    if not changed:
        state = letter_in(stored).state
        raise Problem(
            409,
            f"dead letter is {state}",
            code="TR432",
            message=f"dead letter {stored.letter_id} is {state}: {body.action} changes nothing",
        )
    return Json(msgspec.to_builtins(changed[0]))


async def _asked(request: Request, question: Callable[[StoredTraces], T]) -> T:
    """Return what the index of traces answers. What is of all tenants is for who sees all.

    Raises:
        Problem: 403.
        TailraceError: the index says so.
    """
    if not caller_of(request).sees_all:
        raise Problem(
            403,
            "forbidden",
            code="TR423",
            message="traces and failures of all tenants are for keys with the role 'admin'",
            hint="A run's own trace is at /api/traces/{run_id}.",
        )
    return await asyncio.to_thread(question, gateway_of(request).traces)


@router.get("/traces/{trace_id}", response_model=dict[str, Any])
async def show_trace(request: Request, trace_id: str) -> Response:
    """Show a trace with its spans and events; a run's trace has the run's id."""
    gateway, caller = gateway_of(request), caller_of(request)
    if not caller.sees_all:
        await gateway.find(trace_id, caller)
    return Json(await asyncio.to_thread(gateway.traces.trace, trace_id))


@router.get("/search", response_model=dict[str, Any])
async def search(
    request: Request,
    *,
    q: TraceQL,
    since_ns: Instant = None,
    until_ns: Instant = None,
    limit: Limit = 20,
    spans_per_set: Annotated[int, Query(ge=1, le=100)] = 3,
    flow: Text = "",
    status: Text = "",
) -> Response:
    """Search traces with TraceQL, newest first."""
    return Json(
        await _asked(
            request,
            lambda index: index.search(
                q,
                since_ns=since_ns,
                until_ns=until_ns,
                limit=limit,
                spans_per_set=spans_per_set,
                flow=flow or None,
                status=status or None,
            ),
        )
    )


@router.get("/metrics/query_range", response_model=dict[str, Any])
async def metrics_query(
    request: Request,
    *,
    q: TraceQL,
    since_ns: Instant = None,
    until_ns: Instant = None,
    step_ns: Annotated[int | None, Query(ge=1_000_000, le=_MOST_NS)] = None,
    exemplars: Annotated[int, Query(ge=0, le=100)] = 0,
    instant: bool = False,
) -> Response:
    """Calculate metrics with TraceQL; the last hour otherwise."""
    until = time.time_ns() if until_ns is None else until_ns
    since = until - _HOUR if since_ns is None else since_ns
    return Json(
        await _asked(
            request,
            lambda index: index.metrics(
                q,
                since_ns=since,
                until_ns=until,
                step_ns=step_ns,
                exemplars=exemplars,
                instant=instant,
            ),
        )
    )


@router.get("/failures", response_model=Items)
async def list_failures(
    request: Request,
    *,
    flow: Text = "",
    run: Text = "",
    fingerprint: Text = "",
    category: Text = "",
    since_ns: Instant = None,
    limit: Limit = 50,
) -> Response:
    """List failures, newest first."""
    wanted = FailureFilter(
        flow=flow, run=run, fingerprint=fingerprint, category=category, since_ns=since_ns
    )
    found = await _asked(request, lambda index: index.failures(wanted, limit=limit))
    return Json({"items": found})


@router.get("/failures/groups", response_model=Items)
async def list_failure_groups(
    request: Request,
    flow: Text = "",
    state: Literal["open", "regressed", "resolved", "ignored", "any"] = "any",
    since_ns: Instant = None,
    limit: Limit = 50,
) -> Response:
    """List groups of failures, the most frequent first."""
    wanted = FailureFilter(flow=flow, since_ns=since_ns)
    states = () if state == "any" else (state,)
    found = await _asked(
        request, lambda index: index.failure_groups(wanted, states=states, limit=limit)
    )
    return Json({"items": found})


@router.get("/failures/{failure_id}", response_model=dict[str, Any])
async def show_failure(request: Request, failure_id: str) -> Response:
    """Show a failure."""
    return Json(await _asked(request, lambda index: index.failure(failure_id)))
