"""What the engine needs from outside, as Protocols of five methods or fewer.

Adapters: ``store`` (SQLite), ``testing`` (memory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tailrace.model import AnyRecord, Recalled, RunId, RunSummary, Span, Trace
    from tailrace.model.event import Event, EventCounts, EventFilter
    from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
    from tailrace.model.journal import Noted
    from tailrace.model.letter import DeadLetter, RecoveryAction, Redrive, RedriveBatch
    from tailrace.model.remote import CancelRequest, Job, RunState


class Journal(Protocol):
    """The write side of one run. Records are durable in the order they were given."""

    def append(self, records: Sequence[AnyRecord]) -> Awaitable[None] | None:
        """Make the records, and all noted before them, durable.

        Returns None when that is done already, else an awaitable that ends when it is. Called from
        the engine's thread only.

        Raises:
            StoreError: the promise of durability is broken; the run must stop.
        """
        ...

    def note(self, record: Noted) -> None:
        """Take what nothing waits for to be durable; thread-safe, never raises.

        It is written with the next append, and within 200 ms.
        """
        ...

    def close(self) -> None:
        """Write what was noted and release the run."""
        ...


class RunStore(Protocol):
    """Where journals live."""

    def open_journal(self, run_id: RunId) -> Journal:
        """Return the journal of a new run.

        Raises:
            StoreError: the store cannot take it.
        """
        ...

    def close(self) -> None:
        """Release the store; open journals are closed first."""
        ...


class Recall(Protocol):
    """Outputs that cached tasks have recorded, by what they were computed from."""

    def recall(self, key: str, *, since_ns: int) -> Recalled | None:
        """Return the newest output recorded under a key; None: there is none so new.

        Args:
            key: hex digits that stand for a task's code and its inputs.
            since_ns: nanoseconds since the epoch before which outputs have expired.

        Raises:
            StoreError: the store cannot be read.
        """
        ...


class TraceReader(Protocol):
    """The read side. Never blocks a writer."""

    def runs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> list[RunSummary]:
        """Return runs, newest first. Live runs of other processes are RUNNING, dead INTERRUPTED."""
        ...

    def resolve(self, prefix: str) -> RunId:
        """Return the one run id with this prefix; ``@last`` and ``@last-failed`` are known too.

        Raises:
            NotFound: no run, or more than one, matches.
        """
        ...

    def trace(self, run_id: RunId, *, events: bool = True) -> Trace:
        """Return a run with its spans, the newest committed moment included.

        Raises:
            NotFound: there is no such run.
        """
        ...

    def close(self) -> None:
        """Release the reader."""
        ...


class Tracer(Protocol):
    """An observer of spans as they happen; what it raises never reaches the run.

    Called from the engine's thread and from threads of tasks; must not block.
    """

    def on_start(self, span: Span) -> None:
        """A span opened; its attributes so far are set."""
        ...

    def on_end(self, span: Span) -> None:
        """A span ended with its final status, attributes and events."""
        ...

    def close(self) -> None:
        """The run is over; flush."""
        ...


class FailureWatch(Protocol):
    """Told of failures inside a run, after they are durable; on failing paths only."""

    def take(self, records: Sequence[AnyRecord], errors: Mapping[str, BaseException]) -> None:
        """Take the records that carry failures, in order; must not raise, must not block.

        ``errors`` holds the live exception by failure id where there is one in this process.
        """
        ...


class FailureLog(Protocol):
    """Failures and their groups. Those of runs get there through the journal, in its commits."""

    def record(
        self, snapshots: Sequence[FailureSnapshot], letters: Sequence[DeadLetter] = ()
    ) -> None:
        """Make failures from outside of runs durable, and the letters they lead to.

        A failure that is there already takes the newer path, trail and disposition. Groups are
        counted in the same commit.

        Raises:
            StoreError: nothing was written.
        """
        ...

    def failures(self, wanted: FailureFilter, *, limit: int = 50) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        ...

    def failure(self, prefix: str) -> FailureSnapshot:
        """Return the one failure whose id begins so (``F-`` may be left out).

        Raises:
            NotFound: none, or more than one, matches.
        """
        ...

    def groups(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> list[FailureGroup]:
        """Return groups, those with most failures in the filter's time first; counts are exact."""
        ...

    def counts(self, wanted: FailureFilter) -> dict[str, dict[str, int]]:
        """Return exact counts by what is counted.

        ``category``, ``class``, ``disposition`` (of failures), ``letters`` (by state),
        ``letter_reasons``, ``groups`` (by state), and ``total`` (``{"failures": …}``).
        """
        ...


class DeadLetters(Protocol):
    """Work that gave up. Every change is in the audit trail, in the same commit."""

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first; without ``state`` those that are open or parked."""
        ...

    def letter(self, prefix: str) -> DeadLetter:
        """Return the one letter whose id begins so (``DL-`` may be left out).

        Raises:
            NotFound: none, or more than one, matches.
        """
        ...

    def claim(self, wanted: FailureFilter, redrive: Redrive, *, limit: int) -> list[DeadLetter]:
        """Take open letters for a redrive, oldest first: each is taken by one claimer only.

        They become ``redriving`` with a generation one higher; ``redrive`` says batch, actor,
        mode and patch (its ``dl_id`` and ``generation`` are filled in for each). A letter whose
        claimer died before its run started is open again.
        """
        ...

    def settle(self, letter: DeadLetter, outcome: str, *, failure: FailureSnapshot | None) -> None:
        """End a redrive of a letter that is no run: ``resolved`` or ``failed``.

        Redrives of runs are settled by their journal, in the commit that ends the run.
        """
        ...

    def change(
        self, wanted: FailureFilter, action: str, *, actor: str, reason: str
    ) -> list[DeadLetter]:
        """``park``, ``discard`` or ``reopen`` letters and return them as they are now."""
        ...


class RedriveLog(Protocol):
    """Batches of redrives, and the audit trail."""

    def put_batch(self, batch: RedriveBatch) -> None:
        """Write a batch, new or changed."""
        ...

    def batches(self, *, limit: int = 50) -> list[RedriveBatch]:
        """Return batches, newest first, with exact counts."""
        ...

    def redrives(self, *, batch_id: str = "", dl_id: str = "") -> list[Redrive]:
        """Return the redrives of a batch or of a letter, oldest first."""
        ...

    def actions(self, subject: str = "", *, limit: int = 500) -> list[RecoveryAction]:
        """Return the audit trail of a subject, or all of it, oldest first."""
        ...

    def verify(self) -> int | None:
        """Return the number of the first action that was tampered with, or None."""
        ...


class EventLog(Protocol):
    """The resilient event stream, append only."""

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Make the events durable and return them with their ``seq``.

        Raises:
            StoreError: nothing was written.
        """
        ...

    def events(
        self, wanted: EventFilter, *, limit: int = 50, oldest_first: bool = False
    ) -> list[Event]:
        """Return events in the order of ``seq``."""
        ...

    def event(self, prefix: str) -> Event:
        """Return the one event whose id begins so (``EVT-`` may be left out).

        Raises:
            NotFound: none, or more than one, matches.
        """
        ...

    def counts(self, wanted: EventFilter) -> EventCounts:
        """Return exact counts."""
        ...

    def purge(self, *, until_ns: int, statuses: Sequence[str] = ()) -> int:
        """Delete events older than that, in one commit; never those of open dead letters."""
        ...


class Delivery(Protocol):
    """One hand-over of a run to a worker. It is settled once, by any method but ``extend``."""

    @property
    def body(self) -> bytes:
        """The message; a ``Job`` unless somebody sent rubbish."""
        ...

    @property
    def number(self) -> int:
        """How often the message has been handed over, this time included."""
        ...

    @property
    def sequence(self) -> int:
        """Number of the message in the queue: the same each time that it is handed over."""
        ...

    @property
    def stored_ns(self) -> int:
        """When the queue had the message, nanoseconds since the epoch; 0: that is not known."""
        ...

    async def extend(self) -> None:
        """Keep it from being handed over again for another ack wait."""
        ...

    async def done(self) -> None:
        """Remove the message: the state of its run is terminal, or a dead letter is stored."""
        ...

    def done_soon(self) -> bool:
        """Do so without waiting; False: that is not possible at the moment."""
        ...

    async def give_back(self, delay: float = 0.0) -> None:
        """Have it handed over again, to anybody, after ``delay`` seconds."""
        ...

    async def drop(self, reason: str) -> None:
        """Remove a message that nobody can execute; its dead letter is stored."""
        ...


class WorkQueue(Protocol):
    """Runs that wait for workers.

    All methods raise ``TransportError`` where the queue cannot be reached: whether what was asked
    for has happened is then not known, and asking again does no harm.
    """

    async def submit(self, job: Job) -> bool:
        """Queue a run, at once or for ``job.run_at``; False: it was there already.

        When this returns, the run will be executed; when it raises for any other reason than
        ``TransportError``, it never will.
        """
        ...

    async def take(self, tags: Sequence[str], *, most: int, wait: float) -> list[Delivery]:
        """Return up to ``most`` deliveries, high priorities first, tags in turn.

        Waits up to ``wait`` seconds for the first one; returns what there is as soon as there is
        any.
        """
        ...

    async def find(self, run_id: str) -> Job | None:
        """Return a run that waits, or is to wait later; None: it does not."""
        ...

    async def withdraw(self, run_id: str) -> bool:
        """Remove a run that waits; False: it does not wait (any more)."""
        ...

    async def load(self, job: Job) -> Job:
        """Return a job with params and workflow, which may be kept beside its message.

        States carry the job as it came (``Delivery.body``): it is small.

        Raises:
            NotFound: they are not there any more.
        """
        ...


class RunStates(Protocol):
    """States of runs, and their journals, written by whoever holds the claim."""

    async def read(self, run_id: str) -> tuple[RunState, int] | None:
        """Return a run's state and the sequence it was stored under; None: none is stored."""
        ...

    async def write(self, state: RunState, *, expected: int) -> int:
        """Store a state over the one of sequence ``expected`` (0: over none); return the new one.

        Raises:
            Conflict: another one is stored by now; nothing was written.
        """
        ...

    def write_soon(
        self, state: RunState, *, expected: int, told: Callable[[int | None], None]
    ) -> bool:
        """Begin to store a state, and return True; False: that is not possible at the moment.

        Somebody is told the new sequence once it is stored. They are told None where it is not, or
        where that is not known: ``write`` with the same state finds out, and does what is missing.
        """
        ...

    async def append(self, run_id: str, number: int, batch: bytes, *, claim: int) -> None:
        """Store a batch of a run's journal while its state still has sequence ``claim``.

        Raises:
            Conflict: somebody else has claimed the run.
        """
        ...

    async def journal(self, run_id: str) -> list[tuple[int, bytes]]:
        """Return the stored batches of a run in order, with their numbers."""
        ...


class CancelRequests(Protocol):
    """Wishes to cancel runs; they outlive everybody, and reach the worker at once."""

    async def request_cancel(self, run_id: str, request: CancelRequest) -> CancelRequest:
        """Keep the wish to cancel a run, and call its worker; the first wish of several stays."""
        ...

    async def cancel_request(self, run_id: str) -> CancelRequest | None:
        """Return the wish to cancel a run; None: nobody has uttered it."""
        ...

    async def on_cancel(self, handler: Callable[[str, CancelRequest], None]) -> None:
        """Have somebody told at once (run id, wish), as long as the connection stands.

        Wishes uttered while it does not are not told of: look at ``cancel_request`` when a run is
        claimed, and when the connection is back.
        """
        ...


class Objects(Protocol):
    """Payloads too large for a message, under a name made from what they hold."""

    async def put(self, data: bytes, *, keep: float | None = None) -> str:
        """Store an object for ``keep`` seconds (None: as long as runs) and return its name.

        Raises:
            TransportError: TR403, it is too large even so.
        """
        ...

    async def get(self, name: str) -> bytes:
        """Return what an object holds.

        Raises:
            NotFound: it has expired, or was never there.
        """
        ...
