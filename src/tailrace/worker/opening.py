"""Runs that somebody had before: claimed, told from their journals, and gone on with."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tailrace.engine.continuation import HANDED_BACK, WORKER_LOST, JournalState
from tailrace.errors import Conflict, StoreError
from tailrace.failures.supervision.lost import poison_record
from tailrace.model.journal import AnyRecord, RunFinished
from tailrace.model.remote import CancelRequest, Job, RunState
from tailrace.model.states import RunStatus
from tailrace.ports import Delivery
from tailrace.worker.execution import Assignment
from tailrace.worker.fallout import start_of
from tailrace.worker.held import HeldRun, Means
from tailrace.worker.lineage import inline_of, read_lineage, records_of
from tailrace.worker.wishes import Asked

_log = logging.getLogger("tailrace.worker")
_TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)


class Hold(Protocol):
    """Takes a run into the worker's hands."""

    def __call__(
        self,
        delivery: Delivery,
        assignment: Assignment,
        *,
        known: RunState | None = None,
        expected: int = 0,
        inline: Sequence[tuple[int, bytes]] = (),
    ) -> HeldRun:
        """Return the run."""
        ...


class Opener:
    """Finds out how far a run has come, and begins it or goes on with it."""

    def __init__(
        self,
        means: Means,
        *,
        hold: Hold,
        ask: Callable[[Sequence[str]], Asked],
        instance_id: str,
        poison_limit: int,
    ) -> None:
        self._means = means
        self._hold = hold
        self._ask = ask
        self._instance_id = instance_id
        self._poison_limit = poison_limit

    async def open(self, delivery: Delivery, job: Job, whole: Job) -> None:
        """Begin a run, go on with it, or settle it where it is over.

        Args:
            delivery: its message.
            job: as the message holds it.
            whole: the same with what is kept beside the message.
        """
        insist = self._means.transport.reachability.insist
        before = _Before()
        while not await insist(lambda: self._try_open(delivery, job, whole, before)):
            continue

    async def _try_open(self, delivery: Delivery, job: Job, whole: Job, before: _Before) -> bool:
        """Do so; False: somebody else was faster, look again."""
        transport = self._means.transport
        found = await transport.states.read(job.run_id)
        lineage = {}
        if job.resumed_from and (found is None or found[0].status not in _TERMINAL):
            lineage = await read_lineage(transport.states, job.resumed_from)
        if found is None:
            assignment = Assignment(
                job=whole,
                kept=job,
                delivery=delivery.number,
                stored_ns=delivery.stored_ns,
                lineage=lineage,
            )
            held = self._hold(delivery, assignment)
            held.begin(Gate(held, self._ask([job.run_id])))
            return True
        state, sequence = found
        if state.status in _TERMINAL:
            await self._settle_again(delivery, state)
            return True
        if state.instance_id != self._instance_id:  # else an answer to our claim was lost
            before.worker, before.was_lost = state.worker_id or "", bool(state.instance_id)
            state.crashes += before.was_lost
            state.claims += 1
        state.job = job
        state.worker_id = self._means.around.worker_id
        state.instance_id = self._instance_id
        state.updated_at = time.time()
        try:
            sequence = await transport.states.write(state, expected=sequence)
        except Conflict:
            return False
        await self._go_on(delivery, whole, state, sequence, before, lineage)
        return True

    async def _go_on(
        self,
        delivery: Delivery,
        whole: Job,
        state: RunState,
        sequence: int,
        before: _Before,
        lineage: dict[str, list[AnyRecord]],
    ) -> None:
        """Go on with a run that is ours now."""
        transport, job = self._means.transport, state.job
        insist = transport.reachability.insist
        stored = dict(await insist(lambda: transport.states.journal(job.run_id)))
        inline = [one for one in inline_of(state) if one[0] not in stored]
        batches = stored | dict(inline)
        earlier = records_of(batches)
        state.batches = max(batches, default=0)
        state.tasks, state.task_records = {}, {}
        assignment = Assignment(
            job=whole,
            kept=job,
            delivery=delivery.number,
            claim=state.claims,
            earlier=earlier,
            reason=WORKER_LOST if before.was_lost else HANDED_BACK,
            before=before.worker,
            lineage=lineage,
        )
        held = self._hold(delivery, assignment, known=state, expected=sequence, inline=inline)
        held.fallout.see(earlier)
        held.writer.fold.apply(earlier)
        ended = earlier and isinstance(earlier[-1], RunFinished)
        if ended:
            held.writer.end([earlier[-1]], reason=StoreError("the run had ended"))
        elif state.crashes >= self._poison_limit:
            self._end_as_poison(held)
        else:
            was = f"{before.worker} had" if before.worker else "was handed back"
            _log.info("goes on with run %s, which %s", job.run_id, was)
            wish = (await self._ask([job.run_id])).get(job.run_id)
            if wish is not None:
                held.cancel(wish)
            held.begin()

    def _end_as_poison(self, held: HeldRun) -> None:
        """The run has taken down as many workers as it may."""
        state, job = held.writer.state, held.job
        records: list[AnyRecord] = []
        journal = JournalState()
        earlier = held.assignment.earlier or [start_of(job)]
        if not held.assignment.earlier:
            records += earlier
        journal.apply(earlier)
        attempts = [one for _, one in journal.under_way() if one.span]
        lost = journal.go_on(
            worker_id=self._means.around.worker_id,
            claim=state.claims,
            reason=WORKER_LOST,
            before=held.assignment.before,
        )
        attempt = attempts[0] if attempts else None
        at = lost.latest
        failure = poison_record(journal.flow, attempt, at, crashes=state.crashes)
        node = "" if attempt is None else attempt.node
        records += [lost.record, RunFinished(at, RunStatus.FAILED, failure, node)]
        held.writer.end(records, reason=StoreError("the run takes its workers down"))

    async def _settle_again(self, delivery: Delivery, state: RunState) -> None:
        """The run is over, and whoever ended it died before it could say so to the queue."""
        job = state.job
        if state.letter or job.letter:
            transport = self._means.transport
            stored = dict(await transport.states.journal(job.run_id))
            assignment = Assignment(job=job, delivery=delivery.number, claim=state.claims)
            held = HeldRun(self._means, delivery, assignment, state, expected=1)
            held.fallout.see(records_of({**stored, **dict(inline_of(state))}))
            await held.ended(held.writer)
        else:
            await delivery.done()


@dataclass(slots=True)
class _Before:
    """Who had a run before."""

    worker: str = ""
    was_lost: bool = False


class Gate:
    """Says before the claim whether a run may begin."""

    def __init__(self, held: HeldRun, wishes: asyncio.Future[dict[str, CancelRequest]]) -> None:
        self._held = held
        self._wishes = wishes
        self._tells = False

    def is_open(self) -> bool:
        """Whether it is known by now that it may."""
        wishes, held = self._wishes, self._held
        if held.wish is not None or not wishes.done() or wishes.cancelled():
            return False
        return wishes.exception() is None and held.run_id not in wishes.result()

    def tell(self, known: Callable[[], None]) -> bool:
        """Have somebody called once that is known; False: it is."""
        if self._wishes.done():
            return False
        if not self._tells:
            self._tells = True
            self._wishes.add_done_callback(lambda _: known())
        return True

    def __await__(self) -> Any:
        wishes = self._wishes
        if not wishes.done():
            yield from wishes.__await__()
        wish = wishes.result().get(self._held.run_id)
        if wish is not None:
            self._held.cancel(wish)
        return self._held.wish is None
