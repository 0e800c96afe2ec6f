"""Traces and TraceQL over the index, each caller's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tailrace.gateway.caller import Caller
from tailrace.gateway.events import HEARTBEAT, EventStream, demand_room, frame
from tailrace.gateway.problems import Json, Problem, encode_json
from tailrace.gateway.routes.asked import caller_of, gateway_of, tenant_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import PROBLEMS, Items
from tailrace.gateway.stored_traces import StoredTraces
from tailrace.gateway.telling import states_told, steps_of

router = APIRouter(prefix="/api", tags=["traces"], responses=PROBLEMS)
T = TypeVar("T")
_HOUR = 3600 * 10**9
_MOST_NS = 2**62
_PAUSE = 0.1
"""Seconds between looks for spans that have ended."""
_LATE_NS = 5_000_000_000
"""How long a span may have ended before the index tells of it."""

Limit = Annotated[int, Query(ge=1, le=500)]
Instant = Annotated[int | None, Query(ge=0, le=_MOST_NS, description="Nanoseconds since 1970.")]
Text = Annotated[str, Query(max_length=1000)]
TraceQL = Annotated[str, Query(min_length=1, max_length=10_000, description="TraceQL.")]
Seconds = Annotated[float | None, Query(gt=0, le=60, description="What a query may take.")]


async def ask(request: Request, question: Callable[[StoredTraces, str | None], T]) -> T:
    """Return what the index answers about what the caller may see.

    Raises:
        TailraceError: the index says so.
    """
    index, tenant = gateway_of(request).traces, tenant_of(caller_of(request))
    return await asyncio.to_thread(question, index, tenant)


@router.get("/traces", response_model=Items)
async def list_traces(
    request: Request,
    *,
    status: Text = "",
    flow: Text = "",
    since_ns: Instant = None,
    until_ns: Instant = None,
    limit: Limit = 50,
    run_id: Annotated[list[str] | None, Query(max_length=500)] = None,
    runs_only: bool = False,
) -> Response:
    """List runs and traces from elsewhere, newest first; or those with the ids, in that order."""
    if run_id:
        found = await ask(request, lambda index, tenant: index.summaries(run_id, tenant=tenant))
    else:
        found = await ask(
            request,
            lambda index, tenant: index.runs(
                tenant=tenant,
                status=status or None,
                flow=flow or None,
                since_ns=since_ns,
                until_ns=until_ns,
                limit=limit,
                foreign=not runs_only,
            ),
        )
    return Json({"items": found})


@router.get(
    "/traces/tail",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def tail_traces(
    request: Request,
    since_ns: Instant = None,
    timeout_sec: Annotated[int, Query(ge=1, le=3600)] = 600,
) -> Response:
    """Hear of spans as they end.

    Events: `spans` (`{items: [{trace_id, flow, ended: [span]}], is_behind}`) and `heartbeat`;
    their `id` is where a client that comes again goes on (`since_ns`).
    """
    gateway, caller = gateway_of(request), caller_of(request)
    begin = since_ns
    last = request.headers.get("last-event-id", "")
    if last.isdigit() and int(last) <= _MOST_NS:
        begin = int(last)
    return EventStream(gateway, _spans(gateway, caller, begin, timeout_sec))


async def _spans(
    gateway: Gateway, caller: Caller, since_ns: int | None, seconds: float
) -> AsyncIterator[bytes]:
    end = time.monotonic() + seconds
    said = 0.0
    follower = await asyncio.to_thread(
        gateway.traces.follower, since_ns=since_ns, tenant=tenant_of(caller)
    )
    try:
        while time.monotonic() < end:
            now = time.time_ns() - _LATE_NS
            grown = await asyncio.to_thread(follower.look)
            if grown:
                body = encode_json({"items": grown, "is_behind": follower.is_behind})
                yield frame("spans", body, event_id=str(now))
            elif time.monotonic() - said > HEARTBEAT:
                yield frame("heartbeat", b'{"ts":%.6f}' % time.time(), event_id=str(now))
            else:
                await asyncio.sleep(_PAUSE)
                continue
            said = time.monotonic()
            if not follower.is_behind:
                await asyncio.sleep(_PAUSE)
    finally:
        await asyncio.to_thread(follower.close)


@router.get(
    "/runs/{run_id}/tail",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def tail_run(
    request: Request,
    run_id: str,
    timeout_sec: Annotated[int, Query(ge=1, le=3600)] = 600,
) -> Response:
    """Hear of one run from its beginning on: its spans as they open, change and end.

    Events: `step` (`{spans: [span], said: [{number, span_id, event}], is_behind, is_over}`) and
    `heartbeat`. A span comes again whenever it has changed; `is_behind` says that more of what
    happened at the same time follows. The stream ends when the run has.
    """
    gateway = gateway_of(request)
    await gateway.find(run_id, caller_of(request))
    demand_room(gateway)
    follower = await asyncio.to_thread(gateway.traces.run_follower, run_id)
    return EventStream(gateway, steps_of(follower, timeout_sec))


@router.get("/traces/{trace_id}", response_model=dict[str, Any])
async def show_trace(
    request: Request,
    trace_id: str,
    *,
    events: bool = True,
    siblings: Annotated[int | None, Query(ge=1, le=100_000)] = None,
) -> Response:
    """Show a trace with its spans and events; a run's trace has the run's id.

    The beginning of an id will do, as will `@last` and `@last-failed`. With `siblings` a large
    trace is read in part, and `folded` says what was left out.
    """
    trace, later = await ask(
        request,
        lambda index, tenant: index.trace(
            trace_id, tenant=tenant, events=events, siblings=siblings
        ),
    )
    return Json(msgspec.structs.asdict(trace) | {"resumed_by": later})


@router.get("/traces/{trace_id}/lineage", response_model=Items)
async def show_lineage(
    request: Request,
    trace_id: str,
    *,
    nodes: bool = False,
    limit: Annotated[int | None, Query(ge=1, le=500, description="The newest ones.")] = None,
) -> Response:
    """List the runs of the chain of resumes and redrives that a run is part of, oldest first.

    With `nodes` each of them says how many of its nodes `ran`, were `reused`, `skipped`, `failed`;
    `total` says how many runs there are in all.
    """
    found = await ask(request, lambda index, tenant: index.lineage(trace_id, tenant=tenant))
    shown = found if limit is None else found[-limit:]
    items = [msgspec.structs.asdict(one) for one in shown]
    if nodes:
        tallies = await ask(request, lambda index, tenant: index.tallies(shown, tenant=tenant))
        for item, tally in zip(items, tallies, strict=True):
            item["nodes"] = tally
    return Json({"items": items, "total": len(found)})


@router.get("/traces/{trace_id}/states", response_model=dict[str, Any])
async def show_states(request: Request, trace_id: str) -> Response:
    """Show a run for comparison with another: its spans, and fingerprints of its nodes' code.

    Spans name their `shape` by its place in `shapes`, which many of them share.
    """
    run, states, fingerprints = await ask(
        request, lambda index, tenant: index.whole(trace_id, tenant=tenant)
    )
    body = await asyncio.to_thread(states_told, states)
    return Json({"run": run, "fingerprints": fingerprints, **body})


@router.get("/search", response_model=dict[str, Any])
async def search(  # noqa: PLR0913 - what a query may say, by name
    request: Request,
    *,
    q: TraceQL,
    since_ns: Instant = None,
    until_ns: Instant = None,
    limit: Limit = 20,
    spans_per_set: Annotated[int, Query(ge=0, le=1000)] = 3,
    flow: Text = "",
    status: Text = "",
    seconds: Seconds = None,
) -> Response:
    """Search traces with TraceQL, newest first."""
    return Json(
        await ask(
            request,
            lambda index, tenant: index.search(
                q,
                tenant=tenant,
                since_ns=since_ns,
                until_ns=until_ns,
                limit=limit,
                spans_per_set=spans_per_set,
                flow=flow or None,
                status=status or None,
                seconds=seconds,
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
    seconds: Seconds = None,
) -> Response:
    """Calculate metrics with TraceQL; the last hour otherwise."""
    until = time.time_ns() if until_ns is None else until_ns
    since = until - _HOUR if since_ns is None else since_ns
    if since >= until:
        raise Problem(
            422,
            "the range is empty",
            code="TR420",
            message="since_ns is not before until_ns",
            hint="Without until_ns the range ends now.",
        )
    return Json(
        await ask(
            request,
            lambda index, tenant: index.metrics(
                q,
                tenant=tenant,
                since_ns=since,
                until_ns=until,
                step_ns=step_ns,
                exemplars=exemplars,
                instant=instant,
                seconds=seconds,
            ),
        )
    )
