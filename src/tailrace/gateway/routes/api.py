"""Ours beside the older contract: resume, dead letters, flows."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from tailrace.gateway.caller import Caller
from tailrace.gateway.problems import Json, Problem, not_found
from tailrace.gateway.resuming import resume
from tailrace.gateway.routes.asked import caller_of, gateway_of
from tailrace.gateway.routes.failures import Wanted
from tailrace.gateway.routes.traces import Limit, ask
from tailrace.gateway.service import Gateway
from tailrace.gateway.shapes import (
    PROBLEMS,
    ChangeLetter,
    Items,
    RedriveLetter,
    ResumeRun,
    Submitted,
)
from tailrace.gateway.submission import check_policy
from tailrace.jetstream.letter_text import letter_in, redrives_of
from tailrace.jetstream.redrive import redrive_letter
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import Redrive
from tailrace.model.remote import StoredLetter

router = APIRouter(prefix="/api", tags=["more"], responses=PROBLEMS)


@router.post("/runs/{run_id}/resume", response_model=Submitted)
async def resume_run(request: Request, run_id: str, body: ResumeRun | None = None) -> Response:
    """Go on with a run that is over, as a new run; what is finished is reused.

    One that has completed goes on from the nodes that are named, or with other params.
    """
    gateway, caller = gateway_of(request), caller_of(request)
    new_id, status = await resume(gateway, caller, run_id, body or ResumeRun())
    return Json({"run_id": new_id, "status": status})


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
async def list_letters(request: Request, wanted: Wanted, limit: Limit = 50) -> Response:
    """List dead letters, newest first; without `state` those that are open or parked."""
    await gateway_of(request).index.letters_are_here()
    found = await ask(request, lambda index, _: index.letters(wanted, limit=limit))
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
    if caller.sees_all:
        whole = (await gateway.letters.letter(letter_id)).dl_id
    else:
        tenant = caller.tenant_id
        ask_index = gateway.traces.letter
        whole = (await asyncio.to_thread(ask_index, letter_id, tenant=tenant)).dl_id
    found = await gateway.letters.get(whole)
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
    more = {
        "job": job or None,
        "letter": msgspec.to_builtins(letter_in(stored)),
        "redrives": [msgspec.to_builtins(one) for one in redrives_of(letter_in(stored))],
    }
    return Json(shown | more)


@router.post("/dead-letters/{letter_id}/redrive", response_model=Submitted)
async def redrive(request: Request, letter_id: str, body: RedriveLetter | None = None) -> Response:
    """Do the work of an open dead letter again, as a new run."""
    gateway, caller = gateway_of(request), caller_of(request)
    wanted = body or RedriveLetter()
    check_policy(wanted.policy)
    stored = await _letter(gateway, caller, letter_id)
    order = Redrive(
        dl_id=stored.letter_id,
        generation=0,
        batch_id=wanted.batch_id or f"B-{new_sortable()}",
        actor=caller.name or wanted.actor or "http",
        reason=wanted.reason,
        mode=wanted.mode,
    )
    job = await redrive_letter(
        gateway.queue,
        gateway.letters,
        stored.letter_id,
        order,
        params=wanted.params,
        change=lambda job: replace(job, policy=wanted.policy) if wanted.policy else job,
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
