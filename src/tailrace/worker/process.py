"""The worker: takes runs, keeps them, lets go of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tailrace.engine.capture import OUTPUT
from tailrace.errors import Conflict, NotFound, TransportError
from tailrace.failures.judgement import Judgement
from tailrace.jetstream.answers import is_final
from tailrace.jetstream.letter_text import letter_id_of
from tailrace.model.remote import CancelRequest, Job, RunState
from tailrace.model.states import RunStatus
from tailrace.ports import Delivery
from tailrace.settings import Settings
from tailrace.worker.beginnings import Beginnings
from tailrace.worker.catalogue import Catalogue
from tailrace.worker.engines import EnginePool, Work
from tailrace.worker.execution import Assignment, Surroundings
from tailrace.worker.fallout import invalid_letter
from tailrace.worker.held import HeldRun, Means
from tailrace.worker.incoming import InvalidJob, read_job
from tailrace.worker.intake import Intake, Taken
from tailrace.worker.machine import spool_of
from tailrace.worker.mailbox import Mailbox
from tailrace.worker.opening import Gate, Opener
from tailrace.worker.outcome import OutcomeKeeper
from tailrace.worker.presence import Presence
from tailrace.worker.spool import DiskSpool
from tailrace.worker.transport import Transport
from tailrace.worker.wishes import Wishes

_log = logging.getLogger("tailrace.worker")
_LONG_POLL = 5.0
_LOOK = 0.5
"""Seconds between two looks at runs that wait."""
_JOIN = 0.01
"""Seconds that work waits for an engine that is awake until another one helps."""
_EXTENSIONS = 3
"""Times that a delivery is extended within one ack wait."""
_AHEAD = 16
"""Runs per engine that may have begun where each needs one for a moment only: most of the time
they wait for NATS, and what is written together costs less."""
_REFUSED = 10.0
"""Seconds for which NATS may refuse to hand runs out before the worker ends by that."""
_MOST_DELIVERIES = 20
"""Of a run that no worker can open."""
_HAND_BACK = 2.0
"""Seconds that handing a run back may take."""
_RUNNING, _CANCELLING = RunStatus.RUNNING.value, RunStatus.CANCELLING.value
_TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker is told besides the settings."""

    worker_id: str
    folder: Path
    """Where artifacts and the spool go."""
    on_end: Callable[[RunState], None]
    """Told of each run that has ended here."""


class Worker:
    """One worker. ``run`` returns when it has stopped."""

    def __init__(
        self,
        transport: Transport,
        catalogue: Catalogue,
        settings: Settings,
        options: WorkerOptions,
    ) -> None:
        given = settings.worker
        self._transport = transport
        self._options = options
        self._tags = given.tags
        self._drain = given.drain
        self._pool = EnginePool(given.concurrency)
        self._held: dict[str, HeldRun] = {}
        self._opening: set[str] = set()
        """Runs of which it is being found out whether somebody has begun them."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._intake = Intake(given.concurrency)
        self._is_joining = False
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stop_reason = ""
        self._quiet = asyncio.Event()
        self._spool = DiskSpool(spool_of(options.folder, options.worker_id), most=given.spool_size)
        judgement = Judgement.of(settings)
        judgement.install()
        self.presence = Presence(
            transport.registry,
            worker_id=options.worker_id,
            tags=given.tags,
            flows=catalogue.names,
            concurrency=given.concurrency,
            version=version("tailrace"),
        )
        around = Surroundings(
            catalogue=catalogue,
            settings=settings,
            worker_id=options.worker_id,
            artifacts=options.folder / "artifacts",
            grace=given.grace,
            judgement=judgement,
        )
        self._beginnings = Beginnings(around)
        self._means = Means(
            around=around,
            transport=transport,
            mailbox=Mailbox(asyncio.get_running_loop()),
            pool=self._pool,
            beginnings=self._beginnings,
            give=self._give,
            spool=self._spool,
            outcomes=OutcomeKeeper(transport.objects, transport.reachability.insist),
            leaves_letters=given.dlq_execution_error,
            freed=self._begin_some,
            finished=self._finished,
            taken_over=self._known_after_all,
        )
        self._wishes = Wishes(transport, self._cancel, self._keep)
        self._opener = Opener(
            self._means,
            hold=self._hold,
            ask=self._wishes.ask,
            instance_id=self.presence.instance_id,
            poison_limit=settings.failures.poison_limit,
        )

    def stop(self, reason: str) -> None:
        """Take no more runs; end those at hand, or hand them back, and return from ``run``."""
        self._stop_reason = self._stop_reason or reason
        self._stopping.set()

    async def run(self) -> None:
        """Work until told to stop.

        Raises:
            TransportError: NATS refuses what a worker needs.
        """
        transport = self._transport
        await self._ship_spool()
        before = await self.presence.appear()
        own, folder = self.presence.record, self._options.folder
        await transport.take_over(self._tags, own, before, folder)
        await self._wishes.listen()
        loops = [
            asyncio.create_task(loop())
            for loop in (
                self._pull,
                self._give_back,
                self._extend,
                self.presence.keep,
                partial(self._wishes.look_again, self._uncancelled),
            )
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            with OUTPUT:
                await asyncio.wait({stopping, *loops}, return_when=asyncio.FIRST_COMPLETED)
                for loop in loops:
                    if loop.done():
                        loop.result()
                loops[0].cancel()
                await asyncio.wait({loops[0]})
                await self._return_all(self._intake.all())
                await transport.stop_taking()
                await self._drained()
            await self.presence.leave(self._stop_reason or "graceful_shutdown")
        finally:
            stopping.cancel()
            for loop in loops:
                loop.cancel()
            await asyncio.wait({stopping, *loops})
            self._pool.close()
            self._beginnings.close()
            await transport.close()

    async def _ship_spool(self) -> None:
        """Store what an earlier process of this worker could not."""
        insist = self._transport.reachability.insist
        shipped = await insist(lambda: self._spool.ship(self._transport.states))
        if shipped:
            _log.info("stored %d batches that were written while NATS was away", shipped)

    # Taking.

    async def _pull(self) -> None:
        has_said, refused_since = False, 0.0
        while True:
            self._room.clear()
            most = self._intake.wanted(self._free)
            if most <= 0:
                await self._room.wait()
                continue
            try:
                taken = await self._transport.queue.take(self._tags, most=most, wait=_LONG_POLL)
                has_said, refused_since = False, 0.0
            except TransportError as error:
                if is_final(error):
                    refused_since = refused_since or time.monotonic()
                    if time.monotonic() - refused_since > _REFUSED:
                        raise
                if not has_said:
                    _log.warning("no runs can be taken: %s; trying again", error)
                    has_said = True
                await self._transport.reachability.wait()
                continue
            if taken:
                self._accept(taken)

    def _accept(self, deliveries: Sequence[Delivery]) -> None:
        fresh: list[tuple[Delivery, Job]] = []
        for delivery in deliveries:
            try:
                job = read_job(delivery.body)
            except InvalidJob as error:
                self._spawn(self._refuse(delivery, str(error)))
                continue
            held = self._held.get(job.run_id)
            if held is not None:
                held.delivery = delivery  # it is ours still: the server has only lost patience
            elif job.run_id in self._opening:
                continue
            elif (waiting := self._intake.find(job.run_id)) is not None:
                waiting.delivery = delivery
            elif delivery.number > 1 or job.params_object or job.resumed_from:
                self._opening.add(job.run_id)
                self._spawn(self._open(delivery, job))
            else:
                fresh.append((delivery, job))
        if fresh:
            self._put_in(fresh)
            self._begin_some()

    def _put_in(self, fresh: Sequence[tuple[Delivery, Job]]) -> None:
        """Have runs wait for engines, and ask whether they are to be cancelled where need be."""
        known, now = self._wishes.rules_out, time.monotonic()
        unsure = [job.run_id for delivery, job in fresh if not known(delivery, job)]
        asked = self._wishes.ask(unsure) if unsure else None
        for delivery, job in fresh:
            wishes = asked if job.run_id in unsure else None
            self._intake.put(Taken(delivery, job, wishes, now))

    @property
    def _free(self) -> int:
        ahead = 1
        if self._intake.are_short:
            ahead = _AHEAD if self._pool.is_brisk else 2
        return self._pool.size * ahead - self._pool.active - len(self._opening)

    def _give(self, work: Work) -> None:
        """Have an engine do a part of a run."""
        if self._pool.give(work) and not self._is_joining:
            self._is_joining = True
            self._join_later()

    def _join_later(self) -> None:
        asyncio.get_running_loop().call_later(_JOIN, self._join)

    def _join(self) -> None:
        """Have more engines work where those that do so do not get on."""
        self._is_joining = self._pool.join()
        if self._is_joining:
            self._join_later()

    def _begin_some(self) -> None:
        """Give runs that wait to engines that are free."""
        while self._free > 0 and (taken := self._intake.next()) is not None:
            delivery = taken.delivery
            assignment = Assignment(
                job=taken.job, delivery=delivery.number, stored_ns=delivery.stored_ns
            )
            held, wishes = self._hold(delivery, assignment), taken.wishes
            if taken.wish is not None:
                held.cancel(taken.wish)
                wishes = wishes or self._wishes.ask([taken.job.run_id])
            held.begin(None if wishes is None else Gate(held, wishes))
        self._show_runs()

    async def _give_back(self) -> None:
        """Hand runs that have waited for too long to others."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._pool.hasten():
                self._intake.expect_long()
                self._let_others(list(self._held.values()))
            await self._return_all(self._intake.overdue())

    def _let_others(self, runs: Sequence[HeldRun]) -> None:
        """Hand runs back that have begun and wait behind tasks which take longer than thought."""
        for held in [one for one in runs if one.withdraw()]:
            self._spawn(self._let_go(held))

    async def _let_go(self, held: HeldRun) -> None:
        await self._hand_back(held)
        self._finished(held)

    async def _return_all(self, waiting: Sequence[Taken]) -> None:
        for taken in waiting:
            with contextlib.suppress(TransportError):
                await taken.delivery.give_back()

    def _hold(
        self,
        delivery: Delivery,
        assignment: Assignment,
        *,
        known: RunState | None = None,
        expected: int = 0,
        inline: Sequence[tuple[int, bytes]] = (),
    ) -> HeldRun:
        state = known or RunState(job=assignment.told)
        state.status = _CANCELLING if state.cancel_requested_at is not None else _RUNNING
        state.worker_id = self._options.worker_id
        state.instance_id = self.presence.instance_id
        state.claims = assignment.claim
        held = HeldRun(self._means, delivery, assignment, state, expected=expected, inline=inline)
        self._held[assignment.job.run_id] = held
        return held

    # Runs that somebody had before.

    async def _open(self, delivery: Delivery, job: Job) -> None:
        """Begin a run, or go on with it, once it is known how far it has come."""
        insist = self._transport.reachability.insist
        try:
            try:
                whole = await insist(lambda: self._transport.queue.load(job))
            except NotFound as error:
                await self._refuse(delivery, f"its params are gone: {error.message}")
                return
            await self._opener.open(delivery, job, whole)
        except TransportError as error:
            _log.error("run %s cannot be opened: %s", job.run_id, error)
            if delivery.number >= _MOST_DELIVERIES:
                await self._refuse(delivery, f"it cannot be opened: {error.message}")
        finally:
            self._opening.discard(job.run_id)
            self._room.set()
            self._show_runs()

    def _known_after_all(self, held: HeldRun) -> None:
        """A run that looked new has a state already."""
        self._held.pop(held.run_id, None)
        if held.run_id not in self._opening:
            self._opening.add(held.run_id)
            self._spawn(self._open(held.delivery, held.assignment.told))

    async def _refuse(self, delivery: Delivery, error: str) -> None:
        """Park a message that is no job."""
        transport = self._transport
        subject = getattr(delivery, "subject", "")
        letter = invalid_letter(
            letter_id_of(delivery.sequence),
            delivery.body,
            error,
            subject=subject,
            worker_id=self._options.worker_id,
            deliveries=delivery.number,
        )
        _log.warning("a message is no job: %s; dead letter %s", error, letter.letter_id)
        await transport.reachability.insist(lambda: transport.letters.put(letter))
        await transport.reachability.insist(lambda: delivery.drop(f"invalid_job: {error}"))

    # Keeping.

    async def _extend(self) -> None:
        """Keep the deliveries from being made to others, for as long as their engines live."""
        last = time.monotonic()
        while True:
            pause = self._transport.ack_wait() / _EXTENSIONS  # known once runs were asked for
            await asyncio.sleep(min(pause, _LOOK))
            now = time.monotonic()
            if now - last < pause:
                continue
            is_late, last = now - last > pause * _EXTENSIONS * 0.9, now
            for held in list(self._held.values()):
                if held.engine is not None and not held.engine.is_alive:
                    continue
                if is_late:
                    self._spawn(self._check(held))
                else:
                    await self._extend_one(held)

    async def _extend_one(self, held: HeldRun) -> None:
        try:
            await held.delivery.extend()
        except TransportError:
            return  # the next one may get through, and a claim that is lost is noticed

    async def _check(self, held: HeldRun) -> None:
        """This process stood still for long: see whether a run is ours before saying so."""
        states = self._transport.states
        try:
            found = await states.read(held.run_id)
        except TransportError:
            return
        if found is not None and held.writer.is_claimed and not held.writer.is_over:
            state, _ = found
            ours = held.writer.state
            if (state.instance_id, state.claims) != (ours.instance_id, ours.claims):
                held.writer.lose(Conflict(f"run {held.run_id} is claimed by {state.worker_id}"))
                return
        await self._extend_one(held)

    def _cancel(self, run_id: str, request: CancelRequest) -> bool:
        """Cancel a run; False: it is not here."""
        held, waiting = self._held.get(run_id), self._intake.find(run_id)
        if held is not None:
            held.cancel(request)
        elif waiting is not None:
            waiting.wish = request
        return held is not None or waiting is not None

    def _uncancelled(self) -> list[str]:
        return [one for one, held in self._held.items() if held.wish is None]

    def _finished(self, held: HeldRun) -> None:
        if self._held.get(held.run_id) is held:
            del self._held[held.run_id]
        if held.writer.state.status in _TERMINAL:
            self.presence.ended(held.writer.state)
            self._options.on_end(held.writer.state)
        self._intake.saw(time.monotonic() - held.begun_at)
        held.part()
        self._begin_some()

    def _show_runs(self) -> None:
        self.presence.runs(self._held)
        self._room.set()
        if self._held or self._opening:
            self._quiet.clear()
        else:
            self._quiet.set()

    # Letting go.

    async def _drained(self) -> None:
        """Let runs end for a while, and hand the others back."""
        self._show_runs()
        if not self._quiet.is_set():
            _log.info("finishes runs (%d), for at most %g s", len(self._held), self._drain)
        try:
            async with asyncio.timeout(self._drain):
                await self._quiet.wait()
        except TimeoutError:
            await asyncio.gather(*(self._hand_back(held) for held in list(self._held.values())))
        for task in list(self._tasks):
            task.cancel()

    async def _hand_back(self, held: HeldRun) -> None:
        try:
            async with asyncio.timeout(_HAND_BACK):
                if await held.hand_back():
                    _log.info("hands run %s back", held.run_id)
        except (TimeoutError, TransportError, Conflict):
            _log.warning("run %s could not be handed back; it comes back by itself", held.run_id)

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stopping.is_set()

    @property
    def has_leftovers(self) -> bool:
        """Whether code of users still runs in threads that nobody waits for."""
        return bool(self._held) or self._pool.has_abandoned

    # Tasks.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a step of the worker failed: %r", task.exception())
