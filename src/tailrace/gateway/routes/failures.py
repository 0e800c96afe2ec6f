"""Failures and groups of them over the index, each caller's own."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import NotFound
from tailrace.gateway.problems import Json
from tailrace.gateway.routes.asked import caller_of, gateway_of, tenant_of
from tailrace.gateway.routes.traces import Instant, Limit, Text, ask
from tailrace.gateway.shapes import PROBLEMS, ChangeGroup, Items
from tailrace.model.decision import GroupDecision
from tailrace.model.failure import FailureFilter, FailureGroup

router = APIRouter(prefix="/api/failures", tags=["failures"], responses=PROBLEMS)
_STATES = {"resolve": "resolved", "ignore": "ignored", "reopen": "open"}
_SHOWN = 5
_EDGES = 1_000
States = Literal["open", "regressed", "resolved", "ignored", "any"]


def wanted_of(  # noqa: PLR0913 - every field of the filter, by name
    request: Request,
    *,
    category: Text = "",
    class_: Annotated[str, Query(max_length=100, alias="class")] = "",
    fingerprint: Text = "",
    type_: Annotated[str, Query(max_length=1000, alias="type")] = "",
    flow: Text = "",
    node: Text = "",
    run: Text = "",
    tag: Text = "",
    code_version: Text = "",
    reason: Text = "",
    state: Annotated[str, Query(max_length=20)] = "",
    since_ns: Instant = None,
    until_ns: Instant = None,
) -> FailureFilter:
    """Return which failures or letters are meant, of those that the caller may see."""
    return FailureFilter(
        category=category,
        class_=class_,
        fingerprint=fingerprint,
        type=type_,
        flow=flow,
        node=node,
        run=run,
        tag=tag,
        code_version=code_version,
        reason=reason,
        state=state,
        since_ns=since_ns,
        until_ns=until_ns,
        tenant=tenant_of(caller_of(request)),
    )


Wanted = Annotated[FailureFilter, Depends(wanted_of)]


@router.get("", response_model=Items)
async def list_failures(request: Request, wanted: Wanted, limit: Limit = 50) -> Response:
    """List failures, newest first; `state` says how they ended."""
    found = await ask(request, lambda index, _: index.failures(wanted, limit=limit))
    return Json({"items": found})


@router.get("/counts", response_model=dict[str, dict[str, int]])
async def count_failures(request: Request, wanted: Wanted) -> Response:
    """Count failures, groups and dead letters, exactly."""
    return Json(await ask(request, lambda index, _: index.failure_counts(wanted)))


@router.get("/groups", response_model=Items)
async def list_failure_groups(
    request: Request,
    wanted: Wanted,
    group_state: Annotated[list[States] | None, Query()] = None,
    limit: Limit = 50,
) -> Response:
    """List groups of failures, the most frequent first; `matching` and `failures` count all."""
    states = tuple(one for one in group_state or () if one != "any")
    if "any" in (group_state or ()):
        states = ()
    found = await ask(
        request, lambda index, _: index.failure_groups(wanted, states=states, limit=limit)
    )
    return Json({"items": found.groups, "matching": found.matching, "failures": found.failures})


@router.get("/trends", response_model=dict[str, list[int]])
async def count_over_time(
    request: Request,
    wanted: Wanted,
    of: Annotated[list[str], Query(max_length=500, description="Fingerprints of groups.")],
    edge: Annotated[list[int], Query(min_length=2, max_length=_EDGES, description="Rising.")],
) -> Response:
    """Count the failures of groups between each edge (nanoseconds since 1970) and the next."""
    edges = sorted(min(max(one, 0), 2**62) for one in edge)
    return Json(await ask(request, lambda index, _: index.trends(wanted, of, edges)))


@router.post("/groups/{fingerprint}", response_model=dict[str, Any])
async def change_group(request: Request, fingerprint: str, body: ChangeGroup) -> Response:
    """Mark a group as resolved, hide it, or open it again; every gateway knows of it.

    A key of a tenant decides for that tenant alone.
    """
    gateway, caller = gateway_of(request), caller_of(request)
    tenant = tenant_of(caller)
    group = await _group(request, fingerprint, tenant)
    decision = GroupDecision(
        fp_site=group.fp_site,
        tenant=tenant or "",
        state=_STATES[body.action],
        at_ns=time.time_ns(),
        until_ns=body.until_ns if body.action == "ignore" else 0,
        resolved_version=group.last_version if body.action == "resolve" else "",
        actor=caller.name or body.actor or "http",
        reason=body.reason,
    )
    await gateway.index.decide(decision)
    return Json(msgspec.to_builtins(await _group(request, group.fp_site, tenant)))


async def _group(request: Request, prefix: str, tenant: str | None) -> FailureGroup:
    """Return the one group whose fingerprint begins so.

    Raises:
        NotFound: none, or more than one, does.
    """
    wanted = FailureFilter(fingerprint=prefix, tenant=tenant)
    found = await ask(
        request, lambda index, _: index.failure_groups(wanted, states=(), limit=_SHOWN + 1)
    )
    if len(found.groups) == 1:
        return found.groups[0]
    if not found.groups:
        raise NotFound(f"no group of failures has a fingerprint that begins with {prefix!r}")
    names = ", ".join(group.fp_site for group in found.groups[:_SHOWN])
    raise NotFound(f"{prefix!r} begins more than one fingerprint: {names}", hint="Write more.")


@router.get("/{failure_id}", response_model=dict[str, Any])
async def show_failure(request: Request, failure_id: str) -> Response:
    """Show a failure."""
    return Json(await ask(request, lambda index, tenant: index.failure(failure_id, tenant=tenant)))
