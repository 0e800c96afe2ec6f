"""Doing the work of a dead letter again, as a new run in the queue."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tailrace.jetstream.letter_text import letter_in, redrives_of
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.model.ids import RunId
from tailrace.model.letter import DeadLetter, LetterState, Redrive
from tailrace.model.remote import Job
from tailrace.model.states import RunStatus
from tailrace.ports import RunStates, WorkQueue

_PATIENCE = 60.0
"""Seconds after which a claimed letter without a run is taken for forgotten."""


async def redrive_letter(
    queue: WorkQueue,
    letters: JetStreamLetters,
    letter_id: str,
    redrive: Redrive,
    *,
    params: dict[str, Any] | None = None,
    change: Callable[[Job], Job] | None = None,
    whole: bool = False,
) -> Job | None:
    """Queue the work of an open letter again; None: it is not open, or its message was no job.

    The run's id follows from letter and generation: who dies between claim and submission leaves
    a letter that ``mend_redrives`` opens again.

    Args:
        queue: where the run goes.
        letters: where the letter is.
        letter_id: which one, whole.
        redrive: who, why and how: ``resume`` (go on where it failed), ``node`` (the failed node
            again, and what follows), ``new-run`` (from the beginning).
        params: other params; None: those that it had.
        change: makes the job what is wanted, once its params are those that are wanted.
        whole: whether ``change`` looks at the params, which may be kept apart.
    """
    found = await letters.get(letter_id)
    if found is None or found[0].job is None:
        return None
    at_ns = redrive.at_ns or time.time_ns()
    generation = letter_in(found[0]).generation + 1
    run_id = run_id_of(letter_id, generation, at_ns)
    claimed = await letters.claim_one(letter_id, replace(redrive, run_id=run_id, at_ns=at_ns))
    if claimed is None or claimed.generation != generation:
        return None
    job = job_of(found[0].job, claimed, redrive.mode, run_id=run_id, at_ns=at_ns)
    if params is not None:
        job = replace(await queue.load(job), params=params)
    if change is not None:
        job = change(await queue.load(job) if whole else job)
    await queue.submit(job)
    return job


def job_of(before: Job, letter: DeadLetter, mode: str, *, run_id: RunId, at_ns: int) -> Job:
    """Return the job that does a letter's work again."""
    failed = letter.run_id or before.run_id
    return replace(
        before,
        run_id=run_id,
        submitted_at=at_ns / 1e9,
        run_at=None,
        idempotency_key="",
        source="redrive",
        resumed_from="" if mode == "new-run" else failed,
        lineage=before.lineage or before.run_id,
        letter=letter.dl_id,
        generation=letter.generation,
        start_from=(letter.node_id,) if mode == "node" and letter.node_id else (),
        on_change="",
    )


def run_id_of(letter_id: str, generation: int, at_ns: int) -> RunId:
    """Return the id of a redrive's run: a UUIDv7 whose random bits are not random."""
    digest = hashlib.sha256(f"{letter_id}:{generation}".encode()).digest()
    noise = int.from_bytes(digest[:10], "big")
    value = (
        (at_ns // 1_000_000) << 80
        | 0x7 << 76
        | (noise >> 68) << 64
        | 0b10 << 62
        | (noise & ((1 << 62) - 1))
    )
    return RunId(f"{value:032x}")


async def mend_redrives(queue: WorkQueue, states: RunStates, letters: JetStreamLetters) -> int:
    """Settle redrives whose run is over, or never came to be; return how many there were.

    That happens when a process dies between claim and submission, or between the end of the run
    and the letter.
    """
    mended = 0
    for stored in await letters.stored():
        letter = letter_in(stored)
        current = [one for one in redrives_of(letter) if one.generation == letter.generation]
        fresh = time.time_ns() - letter.updated_ns < _PATIENCE * 1e9
        if letter.state != LetterState.REDRIVING or fresh or not current:
            continue
        run_id = current[0].run_id
        found = await states.read(run_id)
        if found is None:
            outcome = "" if await queue.find(run_id) is not None else "failed"
        else:
            status = RunStatus(found[0].status)
            outcome = "resolved" if status is RunStatus.COMPLETED else "failed"
            outcome = outcome if status.is_terminal else ""
        if outcome and await letters.settle(letter, outcome, failure=None, run_id=run_id):
            mended += 1
    return mended
