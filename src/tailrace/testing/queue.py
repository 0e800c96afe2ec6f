"""Runs that wait for workers, and states of runs, in memory."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence

from tailrace.errors import Conflict, NotFound
from tailrace.model.remote import CancelRequest, Job, RunState, decode_job, decode_state, encode
from tailrace.model.states import RunStatus
from tailrace.ports import Delivery

_PRIORITIES = ("high", "normal", "low")
_TERMINAL = frozenset(status.value for status in RunStatus if status.is_terminal)


class MemoryDelivery:
    """One hand-over of a message; see ``ports.Delivery``."""

    def __init__(self, queue: MemoryQueue, entry: _Entry) -> None:
        self._queue = queue
        self._entry = entry
        self.body = entry.body
        self.number = entry.deliveries
        self.sequence = entry.sequence
        self.stored_ns = entry.stored_ns

    async def extend(self) -> None:
        """Keep it from being handed over again for another ack wait."""
        self._queue.lend(self._entry)

    async def done(self) -> None:
        """Remove the message."""
        self._queue.remove(self._entry)

    def done_soon(self) -> bool:
        """Remove the message."""
        self._queue.remove(self._entry)
        return True

    async def give_back(self, delay: float = 0.0) -> None:
        """Have it handed over again after ``delay`` seconds."""
        self._queue.lend(self._entry, delay)

    async def drop(self, reason: str) -> None:
        """Remove a message that nobody can execute."""
        del reason
        self._queue.remove(self._entry)


class _Entry:
    """A message; it may be handed over when ``free_at`` has passed."""

    def __init__(
        self, body: bytes, tag: str, priority: str, *, free_at: float, sequence: int
    ) -> None:
        self.body = body
        self.sequence = sequence
        self.stored_ns = time.time_ns()
        self.tag = tag
        self.priority = priority
        self.free_at = free_at
        self.deliveries = 0


class MemoryQueue:
    """See ``ports.WorkQueue``. One event loop uses it."""

    def __init__(self, states: MemoryStates, *, ack_wait: float = 30.0) -> None:
        self.ack_wait = ack_wait
        self._states = states
        self._entries: dict[str, _Entry] = {}
        self._seen: set[str] = set()
        self._news = asyncio.Event()
        self._turn = 0
        self._count = 0

    async def submit(self, job: Job) -> bool:
        """Queue a run; False: it was there already, waiting, running or over."""
        if job.run_id in self._seen or await self._states.read(job.run_id) is not None:
            return False
        delay = 0.0 if job.run_at is None else max(0.0, job.run_at - time.time())
        self._seen.add(job.run_id)
        self.put(job.run_id, encode(job), job.tag, job.priority, delay=delay)
        return True

    def put(
        self, run_id: str, body: bytes, tag: str, priority: str = "normal", *, delay: float = 0.0
    ) -> None:
        """Put any bytes into the queue, as others could."""
        self._count += 1
        free_at = time.monotonic() + delay
        entry = _Entry(body, tag, priority, free_at=free_at, sequence=self._count)
        self._entries[run_id] = entry
        self._news.set()

    async def load(self, job: Job) -> Job:
        """Return the job: nothing is too large here."""
        return job

    async def find(self, run_id: str) -> Job | None:
        """Return a run that waits, or is to wait later; None: it does not."""
        entry = self._entries.get(run_id)
        return None if entry is None else decode_job(entry.body)

    async def withdraw(self, run_id: str) -> bool:
        """Remove a run that waits; False: it does not wait (any more)."""
        return self._entries.pop(run_id, None) is not None

    async def take(self, tags: Sequence[str], *, most: int, wait: float) -> list[Delivery]:
        """Return up to ``most`` deliveries, high priorities first, tags in turn."""
        end = time.monotonic() + wait
        while True:
            found = self._free(tags)[:most]
            left = end - time.monotonic()
            if found or left <= 0:
                return [self._hand_over(entry) for entry in found]
            self._news.clear()
            try:
                async with asyncio.timeout(min(left, self._until_free(tags))):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _free(self, tags: Sequence[str]) -> list[_Entry]:
        self._turn += 1
        start = self._turn % len(tags)
        turned = [*tags[start:], *tags[:start]]
        now = time.monotonic()
        return [
            entry
            for priority in _PRIORITIES
            for tag in turned
            for entry in self._entries.values()
            if (entry.tag, entry.priority) == (tag, priority) and entry.free_at <= now
        ]

    def _until_free(self, tags: Sequence[str]) -> float:
        times = [entry.free_at for entry in self._entries.values() if entry.tag in tags]
        return max(0.0, min(times, default=time.monotonic() + 60) - time.monotonic())

    def _hand_over(self, entry: _Entry) -> MemoryDelivery:
        entry.deliveries += 1
        self.lend(entry)
        return MemoryDelivery(self, entry)

    def lend(self, entry: _Entry, seconds: float | None = None) -> None:
        """Keep a message from being handed over for a time; None: the ack wait."""
        entry.free_at = time.monotonic() + (self.ack_wait if seconds is None else seconds)
        self._news.set()

    def remove(self, entry: _Entry) -> None:
        """Remove a message."""
        for run_id in [key for key, one in self._entries.items() if one is entry]:
            del self._entries[run_id]


class MemoryStates:
    """See ``ports.RunStates`` and ``ports.CancelRequests``."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[bytes, int]] = {}
        self._batches: dict[str, dict[int, bytes]] = {}
        self._cancels: dict[str, CancelRequest] = {}
        self._handlers: list[Callable[[str, CancelRequest], None]] = []
        self._sequence = 0

    async def read(self, run_id: str) -> tuple[RunState, int] | None:
        """Return a run's state and the sequence it was stored under; None: none is stored."""
        stored = self._states.get(run_id)
        return None if stored is None else (decode_state(stored[0]), stored[1])

    async def write(self, state: RunState, *, expected: int) -> int:
        """Store a state over the one of sequence ``expected`` (0: over none)."""
        run_id = state.job.run_id
        body = encode(state)
        before, sequence = self._states.get(run_id, (b"", 0))
        if sequence != expected:
            if before == body:
                return sequence
            raise Conflict(f"run {run_id} is at {sequence}, not at {expected}")
        if before and decode_state(before).status in _TERMINAL:
            raise Conflict(f"run {run_id} is over; its state is final")
        self._sequence += 1
        self._states[run_id] = (body, self._sequence)
        return self._sequence

    def write_soon(
        self, state: RunState, *, expected: int, told: Callable[[int | None], None]
    ) -> bool:
        """Leave it to ``write``."""
        del state, expected, told
        return False

    async def append(self, run_id: str, number: int, batch: bytes, *, claim: int) -> None:
        """Store a batch of a run's journal while its state still has sequence ``claim``."""
        if self._states.get(run_id, (b"", 0))[1] != claim:
            raise Conflict(f"run {run_id} is claimed by somebody else")
        self._sequence += 1
        self._batches.setdefault(run_id, {})[number] = batch

    async def journal(self, run_id: str) -> list[tuple[int, bytes]]:
        """Return the stored batches of a run in order, with their numbers."""
        return sorted(self._batches.get(run_id, {}).items())

    async def request_cancel(self, run_id: str, request: CancelRequest) -> CancelRequest:
        """Keep the wish to cancel a run, and call its worker; the first wish of several stays."""
        kept = self._cancels.setdefault(run_id, request)
        for handler in self._handlers:
            handler(run_id, kept)
        return kept

    async def cancel_request(self, run_id: str) -> CancelRequest | None:
        """Return the wish to cancel a run; None: nobody has uttered it."""
        return self._cancels.get(run_id)

    async def on_cancel(self, handler: Callable[[str, CancelRequest], None]) -> None:
        """Have somebody told at once of every wish to cancel a run."""
        self._handlers.append(handler)


class MemoryObjects:
    """See ``ports.Objects``."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    async def put(self, data: bytes, *, keep: float | None = None) -> str:
        """Store an object and return its name."""
        del keep
        name = hashlib.sha256(data).hexdigest()
        self._objects[name] = data
        return name

    async def get(self, name: str) -> bytes:
        """Return what an object holds."""
        if name not in self._objects:
            raise NotFound(f"object {name[:12]}… is not there (any more)")
        return self._objects[name]
