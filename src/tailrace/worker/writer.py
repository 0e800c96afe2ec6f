"""The write side of one run in JetStream: claim, journal, state, each fenced by the one before.

One thing at a time writes, so that the fence never overtakes itself: the claim and the end of most
runs need no more than a message and its answer; for all else, and all trouble, there is a task.
Batches of the journal travel inside the state where that saves a message (the claim, the end, and
what a watcher is to see), and in messages of their own otherwise. Those inside a state are always
the last ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from functools import partial
from itertools import chain
from typing import TypeVar

from tailrace.errors import Conflict, StoreError, TransportError
from tailrace.jetstream.answers import is_final
from tailrace.model.journal import AnyRecord, RunFinished, RunStarted
from tailrace.model.remote import CancelRequest, RunState
from tailrace.model.states import RunStatus
from tailrace.ports import RunStates
from tailrace.tracing.wire import join
from tailrace.worker.journal import Entry
from tailrace.worker.snapshot import SnapshotFold
from tailrace.worker.update import Update
from tailrace.worker.witnesses import NOBODY, Gate, Reachability, Spool, Watcher

T = TypeVar("T")
_log = logging.getLogger("tailrace.worker")
REFRESH = 0.1
"""Seconds between two states for watchers alone."""
_INLINE = 64 * 1024
"""Bytes of a batch that may travel inside a state."""
_SHARE = 16
"""Of a message, for such a batch; all of them together may have twice as much."""
_PATIENCE = 10
"""Times that a state took to be stored, until it is shown anew: one of very many nodes is large."""
_LONGEST_PAUSE = 5.0
_UNFIT = "TR403"
_CANCELLING = RunStatus.CANCELLING.value


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
        room: int = _INLINE * _SHARE,
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
            room: bytes of the largest message.
        """
        self.state = state
        self.run_id = state.job.run_id
        self.sequence = expected
        self.fold = SnapshotFold(state)
        self.gate: Gate | None = None
        self._states = states
        self._watcher = watcher
        self._reachability = reachability
        self._spool = spool
        self._inline = list(inline)
        self._most_inline = min(_INLINE, room // _SHARE)
        self._entries: list[Entry] = []
        self._behind: deque[list[Entry]] = deque()
        """Entries on disk that wait behind a write; each of these lists is a batch."""
        self._reached = 0
        """Number of the last batch before those."""
        self._task: asyncio.Task[None] | None = None
        self._is_sent = False
        """Whether a state is on its way without a task."""
        self._calm: asyncio.Future[None] | None = None
        self._closed: StoreError | None = None
        self._over = self._ending = False
        self._stale = False
        self._shown_at = 0.0
        self._pause = REFRESH
        self._timer: asyncio.TimerHandle | None = None
        self._is_away = self._spooled = self._was_refused = False

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
        if self._is_away:
            self._set_aside()
        self._work_on()

    def close(self, error: StoreError) -> None:
        """Take nothing from the engine any more."""
        self._closed = error
        entries, self._entries = self._entries, []
        for entry in chain(*self._behind, entries):
            entry.settle(error)
        self._behind.clear()

    def leave(self) -> None:
        """Tell nobody any more: the run is settled."""
        if self._over:
            self._watcher = NOBODY

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
        while True:
            if self._is_sent:
                self._calm = asyncio.get_running_loop().create_future()
                await self._calm
            elif self._task is not None and not self._task.done():
                await asyncio.wait({self._task})
            else:
                return

    def _work_on(self) -> None:
        if self._is_sent or (self._task is not None and not self._task.done()):
            return
        if not self._send_soon():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def _send_soon(self) -> bool:
        """Send what claims the run, or ends it, without a task; False: that needs one."""
        entries, inline, room = self._entries, self._inline, self._most_inline
        if not entries or self._over or self._behind or self._spooled:
            return False
        ends = entries[-1].ends_run
        if self.sequence and not ends:
            return False
        if self.gate is not None and not self.gate.is_open():
            return self.gate.tell(self._work_on)
        size = sum([len(entry.body) for entry in entries])
        if ends:
            size, room = size + sum([len(batch) for _, batch in inline]), 2 * room
        if size > room:
            return False
        self._entries, self.gate = [], None
        update = self._update(inline if ends else [], [self._fold(entries)])
        update.entries, update.ends = entries, ends
        self._is_sent = True
        told = partial(self._was_sent, update)
        if not self._states.write_soon(update.shown, expected=self.sequence, told=told):
            told(None)
        return True

    def _was_sent(self, update: Update, sequence: int | None) -> None:
        """Take in under which sequence it is stored; None: that is not known, or it is not."""
        self._is_sent = False
        if self._calm is not None:
            self._calm.set_result(None)
            self._calm = None
        if sequence is None:
            self._task = asyncio.get_running_loop().create_task(self._work(update))
            return
        self._note(update, sequence)
        if update.ends:
            self._close()
            if not self._watcher.ended_soon():
                work = self._end_slowly(update.entries)
                self._task = asyncio.get_running_loop().create_task(work)
                return
        for entry in update.entries:
            entry.settle()
        if not self._over and (self._entries or self._stale):
            self._work_on()

    async def _work(self, update: Update | None = None) -> None:
        if update is not None:
            await self._step(update)
        while not self._over and (self._behind or self._entries or self._is_due()):
            await self._step()
        if self._stale and not self._over and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._refresh)

    async def _step(self, update: Update | None = None) -> None:
        entries: Sequence[Entry]
        if update is not None:
            entries = update.entries
        elif self._behind:
            entries = self._behind.popleft()
        else:
            entries, self._entries = self._entries, []
        try:
            if update is not None:
                await self._store(update)
                if update.ends:
                    await self._end()
            elif entries:
                await self._write(entries)
            else:
                await self._write_state(self._inline, [])
        except Conflict as error:
            self._lose(entries, error)
        except TransportError as error:
            await self._refuse(entries, error)
        for entry in entries:
            entry.settle()
        if self._spooled and not (self._is_away or self._behind):
            self._forget_spool()

    def _is_due(self) -> bool:
        is_ours = self.is_claimed and self._stale
        return is_ours and time.monotonic() - self._shown_at >= self._pause

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
        self._forget_spool()
        self._watcher.lost(self, error)

    async def _refuse(self, entries: Iterable[Entry], error: TransportError) -> None:
        """NATS will never take something: the run ends by that, or without a word."""
        extra = {"run": self.run_id, "error": error.message}
        _log.error("run %s cannot be stored: %s", self.run_id, error.message, extra=extra)
        reason = StoreError(
            f"run {self.run_id} cannot be stored: {error.message}",
            code=error.code,
            hint=error.hint,
        )
        for entry in entries:
            entry.settle(reason)
            self.fold.take_back(entry.records)
        self.close(reason)
        self._forget_spool()
        self._is_away = self._ending = self._stale = False
        if self._was_refused:
            self._over = True
            await self._watcher.given_up(self, error)
        else:
            self._was_refused = True
            self._watcher.refused(self, error)

    def _set_aside(self) -> None:
        """Put on disk what waits behind a write that hangs, as the batch that it will be."""
        entries, self._entries = self._entries, []
        if entries:
            self._behind.append(entries)
            body = join([entry.body for entry in entries])
            self._spool.keep(self.run_id, self._reached + len(self._behind), body, self.sequence)

    def _forget_spool(self) -> None:
        if self._spooled:
            self._spooled = False
            self._spool.drop(self.run_id)

    # Writing.

    async def _write(self, entries: Sequence[Entry]) -> None:
        if self.gate is not None:
            gate, self.gate = self.gate, None
            if not await gate:
                self._refuse_to_begin(entries)
                return
        state = self.state
        number, body = self._fold(entries)
        inside = sum(len(batch) for _, batch in self._inline)
        if entries[-1].ends_run:
            if len(body) + inside > 2 * self._most_inline:
                await self._append_all([*self._inline, (number, body)], number)
                await self._write_state([], [])
            else:
                await self._write_state(self._inline, [(number, body)])
            await self._end()
        elif not self.is_claimed and len(body) > self._most_inline:
            await self._write_state([], [])
            await self._append_all([(number, body)], number)
        elif not self.is_claimed:
            await self._write_state([], [(number, body)])
        elif self._may_show(body):
            await self._append_all(self._inline, state.batches)
            await self._write_state([], [(number, body)])
        else:
            await self._append_all([*self._inline, (number, body)], number)
            self._stale = True

    def _fold(self, entries: Sequence[Entry]) -> tuple[int, bytes]:
        """Take entries into the state, and return the batch that they are."""
        for entry in entries:
            self._watcher.see(entry.records)
            self.fold.apply(entry.records)
        last = entries[-1].records[-1]
        if isinstance(last, RunFinished):
            self._ending = True
            self._watcher.before_end(self.state, last)
        return self.state.batches + 1, join([entry.body for entry in entries])

    def _may_show(self, body: bytes) -> bool:
        """Whether a batch is to travel inside a state; what is on disk goes as it is there."""
        is_late = time.monotonic() - self._shown_at >= self._pause
        return is_late and len(body) <= self._most_inline and not self._spooled

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
        await self._store(self._update(kept, added))

    def _update(
        self, kept: Sequence[tuple[int, bytes]], added: Sequence[tuple[int, bytes]]
    ) -> Update:
        state, inline = self.state, [*kept, *added]
        before = state.batches
        state.journal = tuple([batch for _, batch in inline])
        if inline:
            state.batches = inline[-1][0]
        state.updated_at = state.heartbeat_at = time.time()
        self._stale = False
        return Update(copy(state), inline, added, before, time.monotonic())

    async def _store(self, update: Update) -> None:
        state, shown = self.state, update.shown
        try:
            sequence = await self._insist(
                lambda: self._states.write(shown, expected=self.sequence), update.added
            )
        except TransportError as error:
            state.batches = update.before
            if error.code == _UNFIT:  # without its tasks the run can at least be ended
                state.tasks, state.task_records, state.task_records_truncated = {}, {}, True
            raise
        self._note(update, sequence)

    def _note(self, update: Update, sequence: int) -> None:
        """The state is stored."""
        self.sequence = sequence
        self._inline = update.inline
        self._shown_at = now = time.monotonic()
        self._pause = max(REFRESH, min(_PATIENCE * (now - update.began), _LONGEST_PAUSE))

    async def _insist(
        self, write: Callable[[], Awaitable[T]], batches: Sequence[tuple[int, bytes]]
    ) -> T:
        """Write until it is written, for as long as NATS is away.

        Raises:
            Conflict: the run is somebody else's.
            TransportError: it will never be taken.
        """
        while True:
            try:
                found = await write()
            except TransportError as error:
                if is_final(error):
                    raise
                self._wait_for(batches, error)
                await self._reachability.wait()
            else:
                self._is_away = False
                return found

    def _wait_for(self, batches: Sequence[tuple[int, bytes]], error: TransportError) -> None:
        """A write hangs: keep its batches on disk, and what is behind it."""
        if self._is_away:
            return
        self._is_away = self._spooled = True
        _log.warning(
            "a run waits for NATS: %s", error, extra={"run": self.run_id, "error": str(error)}
        )
        for number, batch in batches:
            self._spool.keep(self.run_id, number, batch, self.sequence)
        self._reached = max(self.state.batches, *(number for number, _ in batches), 0)
        if not self._behind:
            self._set_aside()

    async def _end(self) -> None:
        self._close()
        await self._watcher.ended(self)

    async def _end_slowly(self, entries: Sequence[Entry]) -> None:
        await self._watcher.ended(self)
        for entry in entries:
            entry.settle()

    def _close(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
