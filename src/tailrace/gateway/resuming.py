"""Going on with a run that is over, as a new run in the queue."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from tailrace.gateway.caller import Caller
from tailrace.gateway.known import KnownRun
from tailrace.gateway.problems import Problem
from tailrace.gateway.submission import check_policy
from tailrace.jetstream.letter_text import letter_in, redrives_of
from tailrace.jetstream.redrive import redrive_letter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import LetterState, Redrive
from tailrace.model.remote import Job

if TYPE_CHECKING:
    from tailrace.gateway.service import Gateway
    from tailrace.gateway.shapes import ResumeRun

_ENDED_EARLY = frozenset({"FAILED", "CANCELLED"})


async def resume(gateway: Gateway, caller: Caller, run_id: str, wish: ResumeRun) -> tuple[str, str]:
    """Queue what a run has not finished; return the new run's id, and its status.

    The same wish for the same run is the same new run, however often it is asked for. An open
    dead letter of the run is redriven by this: the new run settles it.

    Raises:
        Problem: 404; 409, it is under way or has finished everything; 422, the policy is wrong.
    """
    check_policy(wish.policy)
    run = await gateway.find(run_id, caller)
    is_new = bool(wish.start_from or wish.params)
    if run.status not in _ENDED_EARLY and not (run.status == "COMPLETED" and is_new):
        raise Problem(
            409,
            f"run is {run.status}",
            code="TR432",
            message=f"run {run_id} is {run.status}; only one that failed or was cancelled goes on",
            hint="Name nodes to start from, or submit it anew."
            if run.status == "COMPLETED"
            else "Cancel it first, or submit it anew.",
        )
    return await _with_letter(gateway, caller, run, wish) or await _anew(gateway, caller, run, wish)


def _changed(job: Job, wish: ResumeRun) -> Job:
    """Return a job with all that is to be different; its params have been loaded."""
    return replace(
        job,
        source="resume",
        params={**job.params, **wish.params} if wish.params else job.params,
        policy=wish.policy if wish.policy is not None else job.policy,
        start_from=tuple(wish.start_from),
        on_change=wish.on_change,
    )


async def _with_letter(
    gateway: Gateway, caller: Caller, run: KnownRun, wish: ResumeRun
) -> tuple[str, str] | None:
    """Go on with a run that has left a dead letter which is open; None: it has not."""
    letter_id = "" if run.state is None else run.state.letter or run.job.letter
    found = await gateway.letters.get(letter_id) if letter_id else None
    if found is None:
        return None
    letter = letter_in(found[0])
    if letter.state == LetterState.REDRIVING:
        for one in redrives_of(letter):
            if one.generation == letter.generation and one.run_id:
                known = await gateway.lookup.find(one.run_id)
                return one.run_id, "PENDING" if known is None else known.status
    order = Redrive(
        dl_id=letter_id,
        generation=0,
        batch_id=f"B-{new_sortable()}",
        actor=caller.name or "http",
        reason="resumed",
        mode="resume",
    )
    job = await redrive_letter(
        gateway.queue,
        gateway.letters,
        letter_id,
        order,
        change=lambda job: replace(
            _changed(job, wish), resumed_from=run.job.run_id, api_key_id=caller.key_id
        ),
        whole=bool(wish.params),
    )
    if job is None:
        return None
    gateway.index.accepted(job)
    return job.run_id, "PENDING"


async def _anew(
    gateway: Gateway, caller: Caller, run: KnownRun, wish: ResumeRun
) -> tuple[str, str]:
    before = await gateway.queue.load(run.job) if wish.params else run.job
    job = replace(
        _changed(before, wish),
        run_id=_run_id_of(run, wish),
        submitted_at=time.time(),
        run_at=None,
        idempotency_key="",
        resumed_from=run.job.run_id,
        lineage=run.job.lineage or run.job.run_id,
        letter="",
        generation=0,
        api_key_id=caller.key_id,
        traceparent="",
        tracestate="",
    )
    known = await gateway.submit(job)
    return job.run_id, "PENDING" if known is None else known.status


def _run_id_of(run: KnownRun, wish: ResumeRun) -> str:
    mark = f"resume:{run.job.run_id}:{run.sequence}:{','.join(wish.start_from)}"
    rest: dict[str, Any] = wish.model_dump(exclude={"start_from"}, exclude_defaults=True)
    if rest:
        mark += ":" + msgspec.json.encode(rest, order="deterministic").decode()
    return hashlib.sha256(mark.encode()).hexdigest()[:32]
