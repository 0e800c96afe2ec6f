"""Whether the gateway lives, whether it can work, and what it has counted."""

from __future__ import annotations

import time
from datetime import datetime
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import TransportError
from tailrace.gateway.metrics import exposition
from tailrace.gateway.problems import RETRY_AFTER, Json
from tailrace.gateway.routes.asked import caller_of, gateway_of, tenant_of
from tailrace.gateway.shapes import PROBLEMS, Status

router = APIRouter(tags=["health"])
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health", response_model=Status)
@router.get("/livez", response_model=Status)
async def live() -> Response:
    """Whether the process answers. Asks nobody else."""
    return Json({"status": "ok"})


async def live_at_once(_: Request) -> Response:
    """Whether the process answers."""
    return await live()


@router.get("/readyz", response_model=Status, responses={503: {"model": Status}})
async def ready(request: Request) -> Response:
    """Whether runs can be taken: NATS, the streams and the index, each with what is wrong."""
    gateway = gateway_of(request)
    started = time.perf_counter()
    nats: dict[str, Any] = {"ok": False, "error": gateway.problem or "the connection is lost"}
    if gateway.is_ready:
        try:
            await gateway.link.flush()
            took = time.perf_counter() - started
            nats = {"ok": True, "seconds": round(took, 6)}
        except TransportError as error:
            nats = {"ok": False, "error": error.message}
    position = gateway.index.position()
    checks = {
        "nats": nats,
        "streams": {"ok": not gateway.problem, "differences": gateway.differences},
        "index": {"ok": True, "sequence": position.sequence, "complete": position.is_complete},
    }
    is_ok = all(check["ok"] for check in checks.values())
    return Json(
        {
            "status": "ok" if is_ok else "unavailable",
            "version": version("tailrace"),
            "prefix": gateway.names.prefix,
            "now": datetime.now().astimezone().isoformat(),
            "checks": checks,
        },
        status_code=200 if is_ok else 503,
        headers=None if is_ok else {"Retry-After": RETRY_AFTER},
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}, **PROBLEMS},
)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus; with the key of a tenant, those of its runs alone."""
    tenant = tenant_of(caller_of(request))
    return Response(await exposition(gateway_of(request), tenant), media_type=_TEXT)
