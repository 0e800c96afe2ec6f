"""``GET /api/events``: everything that changes, in one stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tailrace.gateway.caller import Caller
from tailrace.gateway.discretion import for_caller
from tailrace.gateway.events import HEARTBEAT, EventStream, frame
from tailrace.gateway.problems import encode_json
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import PROBLEMS
from tailrace.gateway.shown import summary

router = APIRouter(prefix="/api", tags=["more"], responses=PROBLEMS)
_WORKERS = 2.0
"""Seconds between looks at the workers."""


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def all_events(
    request: Request,
    flow: Annotated[str, Query(max_length=256)] = "",
    timeout_sec: Annotated[int, Query(ge=1, le=3600)] = 600,
) -> Response:
    """Hear of all runs and workers that change.

    Events: `run` (a row of the list), `workers` (all of them, where one changed), `resync` (some
    changes were missed: read the lists anew) and `heartbeat`.
    """
    gateway, caller = gateway_of(request), caller_of(request)
    return EventStream(gateway, _events(gateway, caller, flow, timeout_sec))


async def _events(
    gateway: Gateway, caller: Caller, flow: str, seconds: float
) -> AsyncIterator[bytes]:
    end = time.monotonic() + seconds
    looked, seen = 0.0, b""
    async with gateway.feed.listen(caller, flow=flow) as listener:
        yield frame("heartbeat", b'{"ts":%.6f}' % time.time())
        while (left := end - time.monotonic()) > 0:
            runs = await listener.changed(min(HEARTBEAT, left))
            if listener.missed:
                listener.missed = False
                yield frame("resync", b'{"ts":%.6f}' % time.time())
            for run in runs:
                yield frame("run", encode_json(summary(run)), event_id=str(run.sequence))
            if time.monotonic() - looked > _WORKERS:
                looked = time.monotonic()
                shown = await for_caller(gateway.board.shown(), caller, gateway.index)
                workers = encode_json(shown)
                if workers != seen:
                    seen = workers
                    yield frame("workers", workers)
            if not runs:
                yield frame("heartbeat", b'{"ts":%.6f}' % time.time())
