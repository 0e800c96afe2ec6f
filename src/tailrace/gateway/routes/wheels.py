"""Wheels: reserved. The lists are empty, because there are none."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from tailrace.gateway.problems import Json, Problem, not_found
from tailrace.gateway.shapes import PROBLEMS

router = APIRouter(
    prefix="/wheels",
    tags=["wheels"],
    responses={**PROBLEMS, 501: {"description": "Not in this version."}},
)


@router.get("", response_model=list[dict[str, Any]])
async def list_wheels() -> Response:
    """List wheels."""
    return Json([])


@router.post("", response_model=dict[str, Any])
async def upload_wheel() -> Response:
    """Upload a wheel: refused, this version has no wheels."""
    raise Problem(
        501,
        "wheels are not supported by this version",
        code="TR430",
        hint="Install packages where the workers run, and start them again.",
    )


@router.get("/history", response_model=list[dict[str, Any]])
async def history(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,  # noqa: ARG001 - part of the contract
    wheel_name: str | None = None,  # noqa: ARG001 - likewise
    action: Literal["upload", "delete"] | None = None,  # noqa: ARG001 - likewise
) -> Response:
    """List what became of wheels."""
    return Json([])


@router.get("/{name}", response_class=Response)
async def download_wheel(name: str) -> Response:  # noqa: ARG001 - there are none
    """Download a wheel."""
    raise not_found("wheel")


@router.delete("/{name}", response_model=dict[str, Any])
async def delete_wheel(name: str) -> Response:  # noqa: ARG001 - there are none
    """Delete a wheel."""
    raise not_found("wheel")
