"""The journal of a run as its engine sees it: records go to the loop that talks to NATS."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from _thread import allocate_lock
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any

from tailrace.errors import StoreError
from tailrace.model.journal import AnyRecord, EventsDropped, Noted, RunFinished
from tailrace.tracing.wire import encode
from tailrace.worker.mailbox import Mailbox

_MOST_NOTES = 10_000
"""Notes kept while NATS is away; as many again may be on their way. More are counted and lost."""
_PATIENCE = 1.0
"""Seconds for which a thread that notes more than fits waits for room, once in an outage."""
_LOOK = 0.002
_log = logging.getLogger("tailrace.worker")


class Claim:
    """What a run waits for when its first records are on their way; no thread waits with it."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def __await__(self) -> Generator[Claim, None, None]:
        yield self
        if self.entry.error is not None:
            raise self.entry.error


class Entry:
    """Records that are to be made durable together.

    The engine waits in one of three ways: a coroutine of its loop waits; its thread stands still,
    at the end of a run; or the run is laid aside, and ``resume`` is called, at its beginning.
    """

    __slots__ = ("_future", "_is_settled", "_lock", "_loop", "body", "error", "records", "resume")

    def __init__(self, records: Sequence[AnyRecord]) -> None:
        self.records = records
        self.body = encode(records)
        self.error: BaseException | None = None
        self.resume: Callable[[], None] | None = None
        self._is_settled = False
        self._lock: Any = None
        self._future: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it is known what became of them."""
        return self._is_settled

    @property
    def ends_run(self) -> bool:
        """Whether the last of them ends the run."""
        return bool(self.records) and self.records[-1].__class__ is RunFinished

    def prepare_to_stand(self) -> None:
        """Have ``stand`` wait; to be called before the entry is handed over."""
        self._lock = allocate_lock()
        self._lock.acquire()

    def stand(self) -> None:
        """Keep this thread waiting until the records are durable.

        Raises:
            StoreError: they never will be.
        """
        self._lock.acquire()
        if self.error is not None:
            raise self.error

    def prepare_to_await(self) -> asyncio.Future[None]:
        """Return what a coroutine of this thread's loop waits for."""
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        return self._future

    def settle(self, error: StoreError | None = None) -> None:
        """Say that the records are durable, or never will be; the first word counts."""
        if self._is_settled:
            return
        self._is_settled = True
        self.error = error
        if self.resume is not None:
            self.resume()
        elif self._lock is not None:
            self._lock.release()
        elif self._future is not None and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # its loop is closed: nobody waits
                return

    def _wake(self) -> None:
        future = self._future
        if future is None or future.done():
            return
        if self.error is None:
            future.set_result(None)
        else:
            future.set_exception(self.error)


class RemoteJournal:
    """See ``ports.Journal``. ``take`` gets the entries, on the loop behind the mailbox.

    Guarantee: what was appended is in JetStream before anything that depends on it starts. The
    end of a run that succeeded is handed over without waiting for it: nothing depends on it here.
    """

    def __init__(
        self, mailbox: Mailbox, take: Callable[[Entry], None], *, run_id: str = ""
    ) -> None:
        self._mailbox = mailbox
        self._take = take
        self._run_id = run_id
        self._notes: list[Noted] = []
        self._lock = threading.Lock()
        self._begun = False
        self._noted = False
        self._flushed: deque[Entry] = deque()
        """Notes on their way."""
        self._lost: dict[int, int] = {}
        """Spans, and how much of each was lost since that was told last."""
        self._is_stuck = False
        """Whether somebody has waited for room in vain."""
        self.lays_aside = False
        """Whether who appends first is on no loop yet, and can be laid aside."""
        self.closed: StoreError | None = None
        """Why nothing is taken any more."""

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:
        """Make the records, and all noted before them, durable."""
        if self.closed is not None:
            raise self.closed
        if not records:
            return None
        last = records[-1]
        if not self._begun:
            self._begun = True
            if self.lays_aside:
                return Claim(Entry(records))
        if last.__class__ is RunFinished:
            if last.failure is None:
                self._post(records)
            else:
                self._stand(records)
            self.closed = StoreError("the run is over")
            return None
        return self._post(records, awaited=True)

    def claim(self, claim: Claim, resume: Callable[[], None], *, is_here: bool) -> None:
        """Hand the first records over; ``resume`` is called when they are durable, or never are.

        Args:
            claim: what the run waits for.
            resume: called on the loop behind the mailbox.
            is_here: whether this is that loop.
        """
        claim.entry.resume = resume
        if is_here:
            self._take(claim.entry)
        else:
            self._mailbox.post(partial(self._take, claim.entry))

    def _stand(self, records: Sequence[AnyRecord]) -> None:
        with self._lock:
            entry = Entry(self._taken(records))
            entry.prepare_to_stand()
            self._mailbox.post(partial(self._take, entry))
        entry.stand()

    def _post(
        self, records: Sequence[AnyRecord], *, awaited: bool = False
    ) -> asyncio.Future[None] | None:
        """Hand records over with all that was noted before; the lock keeps them in order."""
        with self._lock:
            records = self._taken(records)
            if not records:
                return None
            entry = Entry(records)
            waiting = entry.prepare_to_await() if awaited else None
            self._mailbox.post(partial(self._take, entry))
        return waiting

    def _taken(self, records: Sequence[AnyRecord]) -> Sequence[AnyRecord]:
        if not self._notes and not self._lost:
            return records
        notes, self._notes = self._notes, []
        taken: list[AnyRecord] = []
        for note in notes:
            note.take(taken)
        lost, self._lost = self._lost, {}
        if lost:
            taken += [EventsDropped(span, count) for span, count in lost.items()]
            text = "run %s has lost %d events and spans: NATS was away for too long"
            _log.warning(text, self._run_id, sum(lost.values()), extra={"run": self._run_id})
        return [*taken, *records]

    def note(self, record: Noted) -> None:
        """Take what nothing waits for to be durable; from any thread."""
        if self.closed is not None:
            return
        if len(self._notes) >= _MOST_NOTES and not self._makes_room():
            self._lose(record)
            return
        with self._lock:
            self._notes.append(record)
        if not self._noted:
            self._noted = True
            self._mailbox.post(self._arm)

    def _makes_room(self) -> bool:
        """Hand over what waits on the thread that notes more than fits; False: NATS is away."""
        end = time.monotonic() + _PATIENCE
        while self._begun and not self._hand_over():
            if self._is_stuck or self.closed is not None or self._mailbox.is_here:
                return False
            if time.monotonic() > end:
                self._is_stuck = True
                return False
            time.sleep(_LOOK)
        return self._begun

    def _lose(self, record: Noted) -> None:
        """Count what does not fit where it belonged: at its span, or what that hangs under."""
        span = getattr(record, "span", 0) or getattr(record, "parent", 0)
        with self._lock:
            self._lost[span] = self._lost.get(span, 0) + 1

    def _arm(self) -> None:
        asyncio.get_running_loop().call_later(0.1, self._flush)

    def _flush(self) -> None:
        """Hand over what was noted and no append has taken along."""
        self._noted = False
        if self._begun and self.closed is None and not self._hand_over():
            self._noted = True
            self._arm()  # NATS is away for long

    def _hand_over(self) -> bool:
        """Hand over what was noted; False: too much is on its way."""
        with self._lock:
            while self._flushed and self._flushed[0].is_settled:
                self._flushed.popleft()
            if sum(len(entry.records) for entry in self._flushed) >= _MOST_NOTES:
                return False
            self._is_stuck = False
            notes = self._taken(())
            if notes:
                entry = Entry(notes)
                self._flushed.append(entry)
                self._mailbox.post(partial(self._take, entry))
        return True

    def take_notes(self) -> Sequence[AnyRecord]:
        """Return what was noted and has not been handed over; for the last word of a run."""
        with self._lock:
            return self._taken(())

    @property
    def has_begun(self) -> bool:
        """Whether anything was handed over."""
        return self._begun

    def refuse(self, error: StoreError) -> None:
        """Take nothing any more: the run is not ours, or ends without its engine."""
        self.closed = error

    def leave(self) -> None:
        """Know nobody any more to hand anything to: the run is settled."""
        self.closed = self.closed or StoreError("the run is over")
        self._take = _drop

    def close(self) -> None:
        """Nothing is left to do: what was noted went with the end of the run."""


def _drop(entry: Entry) -> None:
    entry.settle(StoreError("the run is over"))
