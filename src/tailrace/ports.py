"""What the engine needs from outside, as Protocols of five methods or fewer.

Adapters: ``store`` (SQLite), ``testing`` (memory).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from tailrace.model import AnyRecord, Recalled, RunId, RunSummary, Span, Trace
from tailrace.model.event import Event, EventCounts, EventFilter
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.letter import DeadLetter, RecoveryAction, Redrive, RedriveBatch


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

    def note(self, record: AnyRecord) -> None:
        """Take a record whose durability nothing waits for; thread-safe, never raises.

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
