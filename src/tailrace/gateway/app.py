"""The application: routes, their documentation, and the gate before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import TailraceError
from tailrace.gateway.gate import App, Gate, Handler
from tailrace.gateway.problems import Problem, answer_to, invalid_list
from tailrace.gateway.routes import (
    api,
    failures,
    health,
    runs,
    stream,
    submit,
    telemetry,
    traces,
    wheels,
    workers,
)
from tailrace.gateway.service import Gateway

_ABOUT = """Takes runs, tells how they stand, and keeps their traces.

Every refusal has `detail` (as older clients read it) and beside it `code`, `message` and `hint`.
Instants are Unix seconds. Answers may have more fields than are described here.
"""
_CODES = {404: "TR503", 405: "TR435"}


def create_app(gateway: Gateway) -> App:
    """Return the application of a gateway, which is opened and closed with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await gateway.open()
        yield
        await gateway.close()

    documented = documentation(lifespan=lifespan)
    documented.state.gateway = gateway
    return Gate(documented, gateway, _fast)


def _fast(method: str, path: str, has_query: bool) -> tuple[str, Handler] | None:  # noqa: FBT001 - as FastRoutes has it
    """Return the routes that are asked so often that they go past the documentation's machinery."""
    if method == "POST":
        return (path, submit.submit_run) if path == "/runs" else None
    if method == "GET" and path.startswith("/runs/"):
        run_id, slash, rest = path[6:].partition("/")
        if run_id and not slash:
            return "/runs/{run_id}", runs.show_run_at_once
        if run_id and rest == "watch" and not has_query:
            return "/runs/{run_id}/watch", runs.watch_run_at_once
        return None
    return (path, health.live_at_once) if method == "GET" and path in _ALIVE else None


_ALIVE = frozenset({"/health", "/livez"})


def documentation(**settings: object) -> FastAPI:
    """Return all routes; without a gateway only their OpenAPI is of use."""
    app = FastAPI(
        title="Tailrace",
        version=version("tailrace"),
        description=_ABOUT,
        redirect_slashes=False,
        redoc_url=None,
        **settings,  # type: ignore[arg-type]
    )
    for part in (submit, runs, workers, health, wheels, api, traces, failures, stream, telemetry):
        app.include_router(part.router)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _refused)
    for kind in (Problem, TailraceError, Exception):
        app.add_exception_handler(kind, _failed)
    return app


async def _not_valid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these
    return invalid_list(
        [
            {key: value for key, value in one.items() if key not in {"ctx", "url"}}
            for one in error.errors()
        ]
    ).answer()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these
    return Problem(
        error.status_code,
        error.detail,
        code=_CODES.get(error.status_code, "TR420"),
        hint="GET /openapi.json lists all calls.",
        headers=error.headers,
    ).answer()


async def _failed(_: Request, error: Exception) -> Response:
    return answer_to(error)
