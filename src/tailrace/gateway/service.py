"""A gateway: its connection, what it asks over it, and what it keeps running beside requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from msgspec import DecodeError
from msgspec.structs import replace

from tailrace.errors import Conflict, TailraceError, TransportError
from tailrace.gateway.board import WorkerBoard
from tailrace.gateway.caller import Caller
from tailrace.gateway.counters import Counters
from tailrace.gateway.feed import Feed
from tailrace.gateway.index import SqliteRunIndex
from tailrace.gateway.keys import KeyRing
from tailrace.gateway.known import KnownRun, RunLookup
from tailrace.gateway.problems import Problem, not_found
from tailrace.gateway.stored_traces import StoredTraces
from tailrace.gateway.submission import same_work
from tailrace.gateway.watching import Shows
from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.jetstream.letters import JetStreamLetters
from tailrace.jetstream.link import Link
from tailrace.jetstream.live import LiveStates
from tailrace.jetstream.names import Names, is_token
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.reconcile import Reconciler
from tailrace.jetstream.redrive import mend_redrives
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import ensure
from tailrace.jetstream.states import JetStreamStates
from tailrace.jetstream.submitting import Submitter
from tailrace.model.ids import new_sortable
from tailrace.model.remote import CancelRequest, Job, KeyRecord, RunState, decode_key
from tailrace.settings import Settings

_TRY_AGAIN = 1.0
_MEND = 60.0
"""Seconds between looks for redrives that nobody has ended."""
_log = logging.getLogger(__name__)

IndexMaker = Callable[[Link, Names], SqliteRunIndex]


class _Keys:
    """API keys of the registry."""

    def __init__(self, registry: JetStreamRegistry) -> None:
        self._registry = registry

    async def key(self, key_id: str) -> KeyRecord | None:
        """Return a key; one that cannot be read counts as none."""
        found = await self._registry.key(key_id)
        if found is None:
            return None
        try:
            return decode_key(found[0])
        except DecodeError:
            return None


class Gateway:
    """Everything that requests need. One event loop uses it.

    It answers from the first moment: while NATS is away it says so, and goes on looking for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        make_index: IndexMaker,
        traces: StoredTraces,
        insecure: bool = False,
    ) -> None:
        self.settings = settings.gateway
        self.name = new_sortable().lower()
        """Tells this process from other gateways."""
        self.insecure = insecure
        self.names = names_of(settings.nats)
        self.limits = limits_of(settings.nats)
        address = address_of(settings.nats, name="tailrace gateway")
        self.link = Link(address, timeout=settings.nats.timeout)
        self.queue = JetStreamQueue(self.link, self.names, self.limits)
        self.submitter = Submitter(self.link, self.names)
        self.states = JetStreamStates(self.link, self.names, self.limits)
        self.live = LiveStates(self.link, self.names, self.states)
        self.letters = JetStreamLetters(self.link, self.names)
        self.registry = JetStreamRegistry(self.link, self.names)
        self.board = WorkerBoard(self.registry, timeout=self.settings.worker_timeout)
        self.keys = KeyRing(_Keys(self.registry), pepper=self.settings.key_pepper)
        self.lookup = RunLookup(self.link, self.names)
        self.feed = Feed(self.link, self.names)
        self.shows = Shows(self.live, self.lookup)
        self.index = make_index(self.link, self.names)
        self.traces = traces
        self.counters = Counters()
        self.differences: list[str] = []
        self.problem = "NATS has not answered yet"
        """Why it is not ready; empty: it is."""
        self.streams: set[asyncio.Task[None]] = set()
        """Event streams that are open; they end with the gateway."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to connect; returns at once."""
        self._start(self._connect())

    async def close(self) -> None:
        """End all event streams and the connection."""
        self.end_streams()
        for task in self._tasks:
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        await self.index.close()
        await asyncio.to_thread(self.traces.close)
        await self.link.close()

    def end_streams(self) -> None:
        """End the event streams: they would keep a server that stops waiting."""
        for task in list(self.streams):
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        """Connect and make what is missing; trouble is waited out."""
        while True:
            try:
                if not self.link.is_up:
                    await self.link.open(wait=5)
                found = await ensure(self.link, self.names, self.limits)
            except TailraceError as error:
                if error.message != self.problem:
                    _log.warning("not ready", extra={"error": error.message, "hint": error.hint})
                self.problem = error.message
                await asyncio.sleep(_TRY_AGAIN)
                continue
            break
        self.differences = [str(one) for one in found]
        for difference in self.differences:
            _log.warning("%s; `tailrace server migrate` changes it", difference)
        await self.index.open()
        self.problem = ""
        self._start(self._tidy())
        self._start(self._look_at_workers())

    async def _look_at_workers(self) -> None:
        """Know which tags have workers, so that a submission need not ask."""
        while True:
            with suppress(TransportError):
                await self.board.workers()
            await asyncio.sleep(2)

    async def _tidy(self) -> None:
        """Settle what processes that died have left; any gateway does, several do no harm."""
        reconciler = Reconciler(self.link, self.names, self.letters)
        while True:
            try:
                await mend_redrives(self.queue, self.states, self.letters)
                await reconciler.run_once()
            except TailraceError as error:
                _log.info("nothing was tidied", extra={"error": error.message})
            await asyncio.sleep(_MEND)

    @property
    def is_ready(self) -> bool:
        """Whether runs can be taken."""
        return not self.problem and self.link.is_up

    async def submit(self, job: Job) -> KnownRun | None:
        """Queue a run; None: it is new, else what is known of the one that was there.

        Raises:
            Problem: 409, the idempotency key belongs to other work.
            TransportError: it may be queued all the same.
        """
        started = time.perf_counter()
        if await self.queue.submit(job):
            self.counters.submit_seconds.observe(time.perf_counter() - started)
            self.index.accepted(job)
            return None
        self.counters.duplicates.inc()
        known = await self.lookup.find(job.run_id)
        if known is not None and not same_work(known.job, job):
            raise Problem(
                409,
                "idempotency key was used for another run",
                code="TR426",
                message=f"the idempotency key belongs to run {job.run_id}, which does other work",
                hint="Use a new key for each piece of work.",
                more={"run_id": job.run_id},
            )
        known = known or KnownRun(job=job)
        if known.state is None:
            self.index.accepted(known.job)
        return known

    async def find(self, run_id: str, caller: Caller) -> KnownRun:
        """Return a run that the caller may see.

        Raises:
            Problem: 404.
        """
        run = await self.lookup.find(run_id)
        if run is None or not caller.sees(run.job):
            raise not_found("run")
        return run

    async def find_to_watch(self, run_id: str, caller: Caller) -> KnownRun:
        """Return a run that the caller may see and will watch: its changes are heard from now on.

        Raises:
            Problem: 404.
        """
        if not is_token(run_id):
            raise not_found("run")
        async with self.live.ahead(run_id):
            run = await self.find(run_id, caller)
            self.live.tell(
                run_id, run.state, run.sequence, stored_at=run.stored_at, cancel=run.cancel
            )
        return run

    async def cancel(self, run: KnownRun, request: CancelRequest) -> KnownRun:
        """Have a run cancelled, and return how it stands then.

        What waits is over at once, as is what no worker can end any more; what runs is stopped by
        its worker.
        """
        run_id = run.job.run_id
        if run.is_terminal:
            return run
        kept = await self.states.request_cancel(run_id, request)
        if run.state is None or not run.is_queued:
            before = run.state or RunState(job=run.job)
            ended = replace(
                before,
                status="CANCELLED",
                updated_at=time.time(),
                end_time=time.time(),
                cancel_requested_at=kept.at,
                cancel_requested_by=kept.by,
                cancel_reason=kept.reason,
                error=before.error,
            )
            with suppress(Conflict):
                sequence = await self.states.write(ended, expected=run.sequence)
                await self.queue.withdraw(run_id)
                return replace(run, state=ended, sequence=sequence, cancel=kept, stored_at=0.0)
        again = await self.lookup.find(run_id)
        return again or replace(run, cancel=kept)
