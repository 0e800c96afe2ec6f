"""The write side of one run in JetStream: claim, journal, state, each fenced by the one before.

One task per run writes, so that the fence never overtakes itself. Batches of the journal travel
inside the state where that saves a message (the claim, the end, and what a watcher is to see), and
in messages of their own otherwise. Those inside a state are always the last ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from typing import Protocol, TypeVar

from tailrace.errors import Conflict, StoreError, TransportError
from tailrace.model.journal import AnyRecord, RunFinished, RunStarted
from tailrace.model.remote import CancelRequest, RunState
from tailrace.model.states import RunStatus
from tailrace.ports import RunStates
from tailrace.tracing.wire import join
from tailrace.worker.journal import Entry
from tailrace.worker.snapshot import SnapshotFold

T = TypeVar("T")
_log = logging.getLogger("tailrace.worker")
REFRESH = 0.1
"""Seconds between two states for watchers alone."""
_INLINE = 64 * 1024
"""Bytes of a batch that may travel inside a state."""
_MOST_INLINE = 128 * 1024
"""Bytes of all batches inside one state."""
_CANCELLING = RunStatus.CANCELLING.value


class Reachability(Protocol):
    """Whether NATS answers."""

    async def wait(self) -> None:
        """Return when it is worth while to try again."""
        ...


class Spool(Protocol):
    """Keeps on disk what NATS cannot take at the moment."""

    def keep(self, run_id: str, number: int, batch: bytes, claim: int) -> None:
        """Write a batch; one that is there already stays."""
        ...

    def drop(self, run_id: str) -> None:
        """Forget the batches of a run: JetStream has them, or nobody wants them."""
        ...


class Watcher(Protocol):
    """Told what becomes of a run, on the loop that talks to NATS."""

    def see(self, records: Sequence[AnyRecord]) -> None:
        """Records are about to be written."""
        ...

    def before_end(self, state: RunState, end: RunFinished) -> None:
        """The state is about to be written for the last time."""
        ...

    async def ended(self, writer: RunWriter) -> None:
        """The last state is stored."""
        ...

    def lost(self, writer: RunWriter, error: Conflict) -> None:
        """Somebody else has the run."""
        ...


class RunWriter:
    """Writes one delivery of a run. One loop uses it."""

    def __init__(
        self,
        states: RunStates,
        state: RunState,
        watcher: Watcher,
        reachability: Reachability,
        spool: Spool,
        *,
        expected: int = 0,
        inline: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        """Begin to write.

        Args:
            states: where to.
            state: of the run, to be changed here only.
            watcher: told what becomes of it.
            reachability: of NATS.
            spool: for the time in which NATS is away.
            expected: sequence of the stored state; 0: none is stored, and the first batch claims.
            inline: batches with their numbers that only the stored state holds.
        """
        self.state = state
        self.run_id = state.job.run_id
        self.sequence = expected
        self.fold = SnapshotFold(state)
        self.gate: Awaitable[bool] | None = None
        """Says before the claim whether the run may begin."""
        self._states = states
        self._watcher = watcher
        self._reachability = reachability
        self._spool = spool
        self._inline = list(inline)
        self._entries: list[Entry] = []
        self._task: asyncio.Task[None] | None = None
        self._closed: StoreError | None = None
        self._over = self._ending = False
        self._stale = False
        self._shown_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._spooled = False

    @property
    def is_claimed(self) -> bool:
        """Whether the run is ours."""
        return self.sequence > 0

    @property
    def is_closed(self) -> bool:
        """Whether the engine's entries are refused."""
        return self._closed is not None

    @property
    def is_over(self) -> bool:
        """Whether the last state is stored, or somebody else has the run."""
        return self._over

    def take(self, entry: Entry) -> None:
        """Write what the engine hands over."""
        if self._closed is not None:
            entry.settle(self._closed)
            return
        self._entries.append(entry)
        self._work_on()

    def close(self, error: StoreError) -> None:
        """Take nothing from the engine any more."""
        self._closed = error
        entries, self._entries = self._entries, []
        for entry in entries:
            entry.settle(error)

    def end(self, records: Sequence[AnyRecord], *, reason: StoreError) -> None:
        """End the run in the place of its engine, whose entries are refused from now on."""
        self.close(reason)
        self._entries.append(Entry(records))
        self._work_on()

    def wish_cancelled(self, request: CancelRequest) -> None:
        """Show that the run is to be cancelled."""
        state = self.state
        if self._over or self._ending or state.cancel_requested_at is not None:
            return
        state.cancel_requested_at = request.at
        state.cancel_requested_by = request.by
        state.cancel_reason = request.reason
        state.status = _CANCELLING
        self._stale, self._shown_at = True, 0.0
        if self.is_claimed:
            self._work_on()

    async def hand_back(self) -> bool:
        """Let go of the run so that it is no crash; False: it ended meanwhile, or is lost."""
        await self.settled()
        if self._over:
            return False
        if self.is_claimed:
            self.state.worker_id = self.state.instance_id = None
            self._stale, self._shown_at = True, 0.0
            self._work_on()
            await self.settled()
        self._over = True
        return True

    async def settled(self) -> None:
        """Wait until all that was taken is written."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    def _work_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        entries: list[Entry] = []
        try:
            while not self._over and (self._entries or self._is_due()):
                entries, self._entries = self._entries, []
                if entries:
                    await self._write(entries)
                    for entry in entries:
                        entry.settle()
                    entries = []
                else:
                    await self._write_state(self._inline, [])
        except Conflict as error:
            self._lose(entries, error)
        if self._stale and not self._over and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(REFRESH, self._refresh)

    def _is_due(self) -> bool:
        is_ours = self.is_claimed and self._stale
        return is_ours and time.monotonic() - self._shown_at >= REFRESH

    def _refresh(self) -> None:
        self._timer = None
        if self._stale and not self._over:
            self._work_on()

    def lose(self, error: Conflict) -> None:
        """Somebody else has the run."""
        if not self._over:
            self._lose((), error)

    def _lose(self, entries: Iterable[Entry], error: Conflict) -> None:
        self._over = True
        reason = StoreError(f"run {self.run_id} has been taken over by another worker")
        for entry in entries:
            entry.settle(reason)
        self.close(reason)
        if self._spooled:
            self._spool.drop(self.run_id)
        self._watcher.lost(self, error)

    # Writing.

    async def _write(self, entries: Sequence[Entry]) -> None:
        if self.gate is not None:
            gate, self.gate = self.gate, None
            if not await gate:
                self._refuse_to_begin(entries)
                return
        state = self.state
        last: AnyRecord | None = None
        for entry in entries:
            self._watcher.see(entry.records)
            self.fold.apply(entry.records)
            last = entry.records[-1]
        body = join([entry.body for entry in entries])
        number = state.batches + 1
        inside = sum(len(batch) for _, batch in self._inline)
        if isinstance(last, RunFinished):
            self._ending = True
            self._watcher.before_end(state, last)
            if len(body) + inside > _MOST_INLINE:
                await self._append_all([*self._inline, (number, body)], number)
                await self._write_state([], [])
            else:
                await self._write_state(self._inline, [(number, body)])
            await self._end()
        elif not self.is_claimed and len(body) > _INLINE:
            await self._write_state([], [])
            await self._append_all([(number, body)], number)
        elif not self.is_claimed:
            await self._write_state([], [(number, body)])
        elif len(body) <= _INLINE and time.monotonic() - self._shown_at >= REFRESH:
            await self._append_all(self._inline, state.batches)
            await self._write_state([], [(number, body)])
        else:
            await self._append_all([*self._inline, (number, body)], number)
            self._stale = True

    def _refuse_to_begin(self, entries: Sequence[Entry]) -> None:
        """The run was cancelled before it began: tell so in the place of what would have begun."""
        request = self.state
        at = time.time_ns()
        started = [one for entry in entries for one in entry.records if isinstance(one, RunStarted)]
        why = request.cancel_reason or "cancelled before it started"
        reason = StoreError(f"run {self.run_id} was cancelled before it started")
        for entry in entries:
            entry.settle(reason)
        self.end([*started, RunFinished(at, RunStatus.CANCELLED, reason=why)], reason=reason)

    async def _append_all(self, batches: Sequence[tuple[int, bytes]], reached: int) -> None:
        """Store batches in messages of their own; ``reached`` is the number of the last one."""
        if batches:
            await self._insist(lambda: self._append(batches), batches)
        self._inline = []
        self.state.batches = max(self.state.batches, reached)

    async def _append(self, batches: Sequence[tuple[int, bytes]]) -> None:
        states, run_id, claim = self._states, self.run_id, self.sequence
        if len(batches) == 1:
            number, batch = batches[0]
            await states.append(run_id, number, batch, claim=claim)
            return
        await asyncio.gather(
            *(states.append(run_id, number, batch, claim=claim) for number, batch in batches)
        )

    async def _write_state(
        self, kept: Sequence[tuple[int, bytes]], added: Sequence[tuple[int, bytes]]
    ) -> None:
        """Store the state with these batches inside; the claim moves on with it."""
        state = self.state
        inline = [*kept, *added]
        state.journal = tuple(batch for _, batch in inline)
        if inline:
            state.batches = inline[-1][0]
        state.updated_at = state.heartbeat_at = time.time()
        self._stale = False
        shown = copy(state)  # repeated as it is, whatever is wished meanwhile
        self.sequence = await self._insist(
            lambda: self._states.write(shown, expected=self.sequence), added
        )
        self._inline = inline
        self._shown_at = time.monotonic()

    async def _insist(
        self, write: Callable[[], Awaitable[T]], batches: Sequence[tuple[int, bytes]]
    ) -> T:
        """Write until it is written, for as long as NATS is away.

        Raises:
            Conflict: the run is somebody else's.
        """
        while True:
            try:
                found = await write()
            except Conflict:
                raise
            except TransportError as error:
                if not self._spooled:
                    extra = {"run": self.run_id, "error": str(error)}
                    _log.warning("a run waits for NATS: %s", error, extra=extra)
                self._spooled = True
                for number, batch in batches:
                    self._spool.keep(self.run_id, number, batch, self.sequence)
                await self._reachability.wait()
            else:
                if self._spooled:
                    self._spooled = False
                    self._spool.drop(self.run_id)
                return found

    async def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        await self._watcher.ended(self)
