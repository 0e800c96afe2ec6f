"""A run in the hands of this worker, from its delivery to its settlement."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from tailrace.engine import Run
from tailrace.errors import Conflict, StoreError, TransportError
from tailrace.model.journal import AnyRecord, RunFinished
from tailrace.model.letter import DeadLetter
from tailrace.model.remote import CancelRequest, Job, RunState
from tailrace.model.states import RunStatus
from tailrace.ports import Delivery
from tailrace.worker.beginnings import Beginnings
from tailrace.worker.engines import EnginePool, EngineThread, Work
from tailrace.worker.execution import Assignment, Surroundings, plan_of, prepare, task_names
from tailrace.worker.fallout import Fallout, end_by, findings_of, start_of, stored_letter
from tailrace.worker.journal import Claim, Entry, RemoteJournal
from tailrace.worker.mailbox import Mailbox
from tailrace.worker.outcome import Outcome, OutcomeKeeper
from tailrace.worker.transport import Transport
from tailrace.worker.witnesses import Gate, Spool
from tailrace.worker.writer import RunWriter

_log = logging.getLogger("tailrace.worker")
_FORCE = 1.0
"""Seconds beyond the grace time after which a task on the engine's own thread is broken off."""
_ABANDON = 1.0
"""Seconds after that until the thread is left behind."""

_OWN_REASONS = frozenset({"flow_not_found", "poison", "version_mismatch"})
"""Of letters; all others are ``execution_error`` to older clients."""
_LAID_ASIDE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all held runs of a worker share."""

    around: Surroundings
    transport: Transport
    mailbox: Mailbox
    pool: EnginePool
    beginnings: Beginnings
    give: Callable[[Work], None]
    """Has an engine do a part of a run."""
    spool: Spool
    outcomes: OutcomeKeeper
    leaves_letters: bool
    freed: Callable[[], None]
    """Told when an engine is free."""
    finished: Callable[[HeldRun], None]
    """Told when a run is settled, or given up."""
    taken_over: Callable[[HeldRun], None]
    """Told when a run that we thought new turns out to be known."""


class HeldRun:
    """See the module. All methods but ``work`` run on the loop that talks to NATS."""

    def __init__(
        self,
        means: Means,
        delivery: Delivery,
        assignment: Assignment,
        state: RunState,
        *,
        expected: int = 0,
        inline: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        self.means = means
        self.delivery = delivery
        self.assignment = assignment
        transport = means.transport
        self.writer = RunWriter(
            transport.states,
            state,
            self,
            transport.reachability,
            means.spool,
            expected=expected,
            inline=inline,
            room=transport.room(),
        )
        self.run_id = state.job.run_id
        self.fallout = Fallout(means.around.worker_id)
        self.journal = RemoteJournal(means.mailbox, self._take, run_id=self.run_id)
        self.engine: EngineThread | None = None
        self.run: Run | None = None
        self.wish: CancelRequest | None = None
        self.error: BaseException | None = None
        """Why the run ended before, or beside, what its flow did."""
        self.begun_at = time.monotonic()
        self.outcome: Outcome | None = None
        self._is_known = expected > 0
        self._is_active = False
        self._tasks: tuple[str, ...] = ()
        self._work: Coroutine[Any, Any, Any] | None = None
        self._context = Context()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def job(self) -> Job:
        """The job, with its params and its workflow."""
        return self.assignment.job

    # On the loop that talks to NATS: the beginning.

    def begin(self, gate: Gate | None = None) -> None:
        """Give the run to an engine."""
        self.writer.gate = gate
        self._is_active = True
        self.means.pool.active += 1
        if not self.means.beginnings.fits(self.assignment, len(self.delivery.body)):
            self.means.give(self._start)
        elif (waits_for := self._started(self.means.beginnings.start)) is not _LAID_ASIDE:
            self.means.give(partial(self._go_on, waits_for))

    def _take(self, entry: Entry) -> None:
        self._expect()
        if entry.ends_run:
            self._release()
        self.writer.take(entry)

    def _expect(self) -> None:
        """Show the tasks that have not started, once they are known."""
        tasks, self._tasks = self._tasks, ()
        if tasks:
            self.writer.fold.expect(tasks)

    def _release(self) -> None:
        """The engine is done with the run."""
        self.engine = None
        if self._is_active:
            self._is_active = False
            self.means.pool.active -= 1
            self.means.freed()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # On an engine's thread, or in place.

    def _started(self, start: Callable[[Coroutine[Any, Any, Any], Context], object]) -> object:
        """Begin to execute the run; what goes wrong is told to the loop that talks to NATS.

        Returns:
            What it waits for; ``_LAID_ASIDE``: for its claim, or for nothing any more.
        """
        means = self.means
        post, around = means.mailbox.post, means.around
        try:
            ready, policy = plan_of(self.assignment, around)
            means.beginnings.learn(self.job, ready.plan)
            self._tasks = task_names(ready.plan)
            run = prepare(self.assignment, around, self.journal, ready, policy, self._deliver)
        except Exception as error:  # noqa: BLE001 - becomes the failure of the run
            post(partial(self._cannot_begin, error))
            return _LAID_ASIDE
        self.run = run
        if self.wish is not None:
            run.request_cancel(_reason(self.wish))
        self._work, self._context = run.execute(), copy_context()
        self.journal.lays_aside = True
        try:
            waits_for = start(self._work, self._context)
        except BaseException as error:  # noqa: BLE001 - likewise
            post(partial(self._engine_stopped, error))
            return _LAID_ASIDE
        self.journal.lays_aside = False
        if not isinstance(waits_for, Claim):
            return waits_for
        run.pause()
        is_here, self.engine = self.engine is None, None
        self.journal.claim(waits_for, self._resume, is_here=is_here)
        return _LAID_ASIDE

    # On an engine's thread.

    def _start(self, engine: EngineThread) -> None:
        self.engine = engine
        waits_for = self._started(engine.start)
        if waits_for is not _LAID_ASIDE:
            self._go_on(waits_for, engine)

    def _go_on(self, waits_for: object, engine: EngineThread) -> None:
        """Execute a run to its end that waits for something else than its claim."""
        self.engine = engine
        assert self._work is not None  # noqa: S101 - it has begun
        try:
            engine.finish(self._work, self._context, waits_for)
        except BaseException as error:  # noqa: BLE001 - becomes the failure of the run
            self.means.mailbox.post(partial(self._engine_stopped, error))

    def _deliver(self, output: Any) -> None:
        self.outcome = self.means.outcomes.outcome(self.run_id, output)

    def _resume(self) -> None:
        self.means.give(self._finish)

    def _finish(self, engine: EngineThread) -> None:
        """Execute the run to its end; its first records are durable, or never will be."""
        self.engine = engine
        run, work = self.run, self._work
        assert run is not None  # noqa: S101 - it has begun
        assert work is not None  # noqa: S101 - likewise
        run.go_on_in(engine.loop)
        try:
            engine.finish(work, self._context)
        except BaseException as error:  # noqa: BLE001 - becomes the failure of the run
            self.means.mailbox.post(partial(self._engine_stopped, error))

    # Back on the loop that talks to NATS.

    def _cannot_begin(self, error: BaseException) -> None:
        """The flow is unknown, or cannot be used: the run fails with that."""
        self._release()
        self._expect()
        self.error = error
        started = [] if self.assignment.earlier else [start_of(self.job)]
        records: list[AnyRecord] = [*started, end_by(error, self.job)]
        self.writer.end(records, reason=StoreError("the run could not begin"))

    def _engine_stopped(self, error: BaseException) -> None:
        """The engine gave up before the end of the run."""
        self._release()
        if self.journal.closed is not None or self.writer.is_over or self.writer.is_closed:
            return
        _log.error("the engine of run %s broke off: %r", self.run_id, error, exc_info=error)
        self.error = error
        records = [*self.journal.take_notes(), end_by(error, self.job)]
        if self.journal.has_begun:
            self.writer.end(records, reason=StoreError("the engine broke off"))
        else:
            self._cannot_begin(error)

    def cancel(self, request: CancelRequest) -> None:
        """Have the run stop: cooperatively at first, then with force."""
        if self.wish is not None:
            return
        self.wish = request
        self.writer.wish_cancelled(request)
        self._stop(_reason(request), self._abandon_cancelled)

    def _stop(self, reason: str, abandon: Callable[[], None]) -> None:
        if self.run is not None:
            self.run.request_cancel(reason)
        loop = asyncio.get_running_loop()
        wait = self.means.around.grace + _FORCE
        self._timers.append(loop.call_later(wait, self._force))
        self._timers.append(loop.call_later(wait + _ABANDON, abandon))

    def _force(self) -> None:
        """Break a task off that holds the engine's own thread and does not look at the cancel."""
        if self.engine is not None and self.run is not None and self.run.inline is not None:
            self.engine.interrupt()

    def _abandon_cancelled(self) -> None:
        """The engine does not react: end the run without it, and leave its thread behind."""
        if not self._leave_engine():
            return
        notes = self.journal.take_notes()
        why = "" if self.wish is None else _reason(self.wish)
        why = f"{why}; what still ran was abandoned".lstrip("; ")
        reason = StoreError(f"run {self.run_id} was cancelled and abandoned")
        self.journal.refuse(reason)
        end = RunFinished(time.time_ns(), RunStatus.CANCELLED, reason=why)
        self.writer.end([*notes, end], reason=reason)

    def _leave_engine(self) -> bool:
        """Leave the thread behind on which the run is; False: the run is over."""
        engine = self.engine
        if not self._is_active:
            return False
        if engine is not None:
            self.means.pool.abandon(engine)
        self._release()
        return True

    def let_go(self, reason: StoreError) -> None:
        """Stop what runs; nothing of it counts any more."""
        self.journal.refuse(reason)
        self.writer.close(reason)
        if self._is_active:
            self._stop(reason.message, self._abandon_lost)

    def _abandon_lost(self) -> None:
        self._leave_engine()

    def withdraw(self) -> bool:
        """Take the run back from the engines if it waits for one; False: it does not."""
        pool = self.means.pool
        if not self._is_active or self.engine is not None:
            return False
        if not (pool.withdraw(self._start) or pool.withdraw(self._finish)):
            return False
        if self._work is not None:
            with suppress(RuntimeError):
                self._context.run(self._work.close)
        self._release()
        return True

    async def hand_back(self) -> bool:
        """Give the run to whoever takes it next, with all it has finished; False: it had ended."""
        notes = self.journal.take_notes()
        if notes and self.writer.is_claimed:
            self.writer.take(Entry(notes))
        reason = StoreError(f"run {self.run_id} was handed back")
        self.journal.refuse(reason)
        self.writer.close(reason)
        if not await self.writer.hand_back():
            return False
        self._leave_engine()
        await self.delivery.give_back()
        return True

    # What the writer tells.

    def see(self, records: Sequence[AnyRecord]) -> None:
        """Follow the failures."""
        self.fallout.see(records)

    def before_end(self, state: RunState, end: RunFinished) -> None:
        """Say in the state what the run has returned, or which letter it leaves."""
        if self.outcome is not None and end.status is RunStatus.COMPLETED:
            self.outcome.show(state)
        if self.error is not None:
            state.findings = findings_of(self.error)
        if end.failure is None or not self.means.leaves_letters:
            return
        if self.fallout.letter is not None:
            state.letter = self.fallout.letter.dl_id

    def ended_soon(self) -> bool:
        """Settle the delivery at once; False: there is more to do, or it cannot be done now."""
        if self.writer.state.letter or self.fallout.settled is not None:
            return False
        if not self.delivery.done_soon():
            return False
        self._timers_off()
        self.means.finished(self)
        return True

    async def ended(self, writer: RunWriter) -> None:
        """Store the letter, and settle the delivery: the last state is stored."""
        if writer.state.letter:
            await self._leave_letter()
        await self._settle_letter()
        await self.means.transport.reachability.insist(self.delivery.done)
        self._timers_off()
        self.means.finished(self)

    async def _leave_letter(self) -> bool:
        """Store the letter of the run; False: there is none, or it will not be taken."""
        letter, state = self.fallout.letter, self.writer.state
        if letter is None:
            return False
        body = stored_letter(
            self._counted(letter, state),
            self.assignment.told,
            reason=self._reason(letter),
            error=state.error or "",
            worker_id=self.means.around.worker_id,
            deliveries=self.assignment.delivery,
        )
        return await self._put(partial(self.means.transport.letters.put, body))

    async def _settle_letter(self) -> None:
        """End the redrive that the run was."""
        settled = self.fallout.settled
        if settled is None:
            return
        known = DeadLetter(dl_id=settled.dl_id, task_key="", generation=settled.generation)
        letters = self.means.transport.letters
        await self._put(
            partial(
                letters.settle,
                known,
                settled.outcome,
                failure=settled.failure,
                run_id=self.run_id,
            )
        )

    async def _put(self, write: Callable[[], Awaitable[Any]]) -> bool:
        """Write a letter; False: it will never be taken, and that must not keep the run."""
        try:
            await self.means.transport.reachability.insist(write)
        except TransportError as error:
            extra = {"run": self.run_id, "error": error.message}
            _log.error("the dead letter of run %s is lost: %s", self.run_id, error, extra=extra)
            return False
        return True

    def refused(self, writer: RunWriter, error: TransportError) -> None:
        """Something of the run will never be stored: it fails by that."""
        self.error = error
        self.let_go(StoreError(error.message, code=error.code))
        writer.end([end_by(error, self.job)], reason=StoreError(error.message, code=error.code))

    async def given_up(self, _: RunWriter, error: TransportError) -> None:
        """Nor will the end of the run: leave a letter in its place, or leave it to others."""
        if await self._leave_letter():
            await self.means.transport.reachability.insist(partial(self.delivery.drop, str(error)))
        self._timers_off()
        self.means.finished(self)

    def part(self) -> None:
        """Let go of its parts, which know each other: the run is settled.

        What is dropped now need not be looked for as garbage.
        """
        if self._is_active:
            return
        self.run = self._work = None
        self.journal.leave()
        self.writer.leave()

    def _timers_off(self) -> None:
        if not self._is_active:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()

    def _counted(self, letter: DeadLetter, state: RunState) -> DeadLetter:
        return replace(letter, crash_attempts=max(letter.crash_attempts, state.crashes))

    def _reason(self, letter: DeadLetter) -> str:
        return letter.reason if letter.reason in _OWN_REASONS else "execution_error"

    def lost(self, writer: RunWriter, error: Conflict) -> None:
        """Somebody else has the run: stop, and change nothing."""
        if not self._is_known and not writer.is_claimed:
            self.let_go(StoreError(f"run {self.run_id} is known already"))
            self.means.taken_over(self)
            return
        _log.warning(
            "run %s has been taken over by another worker; what it does here counts no more",
            self.run_id,
            extra={"run": self.run_id, "error": error.message},
        )
        self.let_go(StoreError(f"run {self.run_id} has been taken over by another worker"))
        self.means.finished(self)


def _reason(request: CancelRequest) -> str:
    by = f" by {request.by}" if request.by else ""
    return request.reason or f"cancelled{by}"
