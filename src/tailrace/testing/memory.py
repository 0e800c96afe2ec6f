"""A store in memory: the same records, the same projection, nothing on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tailrace.errors import NotFound
from tailrace.failures.supervision import Escalation
from tailrace.model import (
    AnyRecord,
    Checkpoint,
    NodeFinished,
    Recalled,
    RunId,
    RunStarted,
    RunStatus,
    RunSummary,
    SpanStatus,
    SpanType,
    Trace,
)
from tailrace.model.journal import Noted
from tailrace.testing.letters import MemoryDeadLetters
from tailrace.tracing.projection import Projection
from tailrace.tracing.spans import Spans, fold, to_summary
from tailrace.tracing.state import SpanState


class MemoryJournal:
    """Keeps the records of one run."""

    def __init__(self, records: list[AnyRecord]) -> None:
        self._records = records

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Keep the records; durable as long as the process."""
        self._records.extend(records)

    def note(self, record: Noted) -> None:
        """Keep it; appending to a list is atomic."""
        record.take(self._records)

    def close(self) -> None:
        """Do nothing."""


class MemoryStore(MemoryDeadLetters):
    """Keeps runs for as long as it lives; store, reader, failure log and dead letters in one.

    Records are folded into spans and failures when they are read, so writing costs almost nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[RunId, list[AnyRecord]] = {}
        self._folded: dict[RunId, tuple[Escalation, int]] = {}

    def open_journal(self, run_id: RunId) -> MemoryJournal:
        """Return the journal of a new run."""
        records: list[AnyRecord] = []
        self._runs[run_id] = records
        return MemoryJournal(records)

    def reader(self) -> MemoryStore:
        """Return the read side."""
        return self

    def records(self, run_id: RunId) -> list[AnyRecord]:
        """Return the journal of a run."""
        return list(self._of(run_id))

    def _of(self, run_id: RunId) -> list[AnyRecord]:
        try:
            return self._runs[run_id]
        except KeyError:
            raise NotFound(f"no run {run_id!r} in this store") from None

    def _catch_up(self) -> None:
        for run_id, records in tuple(self._runs.items()):
            escalation, done = self._folded.get(run_id) or (Escalation(), 0)
            new = records[done:]
            if not new:
                continue
            escalation.apply(new)
            self._folded[run_id] = (escalation, done + len(new))
            changes = escalation.drain()
            for failure in changes.moved:
                self._keep(failure)
            if changes.letter is not None:
                self._letters.setdefault(changes.letter.dl_id, changes.letter)
            end = changes.settled
            if end is not None:
                self._settle(end.dl_id, end.generation, end.outcome, end.failure, at_ns=end.at)

    def _fold(self, run_id: RunId) -> Spans:
        return fold(tuple(self._of(run_id)))

    def runs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> list[RunSummary]:
        """Return runs, newest first."""
        found: list[RunSummary] = []
        for run_id in sorted(self._runs, reverse=True):
            state = self._fold(run_id).run
            if state is None:
                continue
            run = to_summary(state)
            if status is not None and run.status != status:
                continue
            if flow is not None and run.flow != flow:
                continue
            if since_ns is not None and run.start_ns < since_ns:
                continue
            if until_ns is not None and run.start_ns >= until_ns:
                continue
            found.append(run)
            if len(found) == limit:
                break
        return found

    def resolve(self, prefix: str) -> RunId:
        """Return the one run id with this prefix; ``@last`` and ``@last-failed`` are known too."""
        if prefix in {"@last", "@last-failed"}:
            status = RunStatus.FAILED if prefix == "@last-failed" else None
            runs = self.runs(limit=1, status=status)
            matches = [run.run_id for run in runs]
        else:
            matches = [run_id for run_id in self._runs if run_id.startswith(prefix)]
        if len(matches) != 1:
            raise NotFound(f"{len(matches)} runs match {prefix!r}")
        return matches[0]

    def trace(self, run_id: RunId | str, *, events: bool = True) -> Trace:
        """Return a run with its spans."""
        try:
            trace = self._fold(RunId(run_id)).trace()
        except LookupError as error:
            raise NotFound(f"run {run_id!r} has not started") from error
        if not events:
            for span in trace.spans:
                span.events.clear()
        return trace

    def run(self, run_id: RunId | str) -> RunSummary:
        """Return a run as it stands."""
        return self.trace(run_id, events=False).run

    def states(self, run_id: RunId | str) -> Iterator[SpanState]:
        """Yield the spans of a run as the projection keeps them, parents first, without events."""
        projection = Projection()
        projection.apply(self._of(RunId(run_id)))
        yield from projection.drain().opened

    def lineage(self, run_id: RunId | str) -> list[RunSummary]:
        """Return the runs of the chain that a run is part of, oldest first."""
        run = self.trace(run_id, events=False).run
        first = run.lineage or run.run_id
        runs = [self.trace(one, events=False).run for one, records in self._runs.items() if records]
        return [one for one in runs if first in {one.run_id, one.lineage}]

    def turning_points(self, run_id: RunId | str) -> Trace:
        """Return a run with its own span, containers, branches, and what failed or was cut off."""
        trace = self.trace(run_id, events=False)
        deciding = {SpanType.RUN, SpanType.CONTAINER, SpanType.BRANCH}
        trace.spans = [
            span for span in trace.spans if span.type in deciding or span.status is SpanStatus.ERROR
        ]
        return trace

    def gone_on_by(self, run_id: RunId | str) -> RunId | None:
        """Return the newest run that went on with this one; None: nobody has."""
        for records in reversed(self._runs.values()):
            started = records[0] if records else None
            if isinstance(started, RunStarted) and started.resumed_from == run_id:
                return RunId(started.run_id)
        return None

    def recall(self, key: str, *, since_ns: int) -> Recalled | None:
        """Return the newest output recorded under a key; None: there is none so new."""
        found = [
            Recalled(
                run_id=run_id,
                codec=record.codec,
                body=record.output,
                time_ns=record.at,
                extra=record.extra,
            )
            for run_id, records in tuple(self._runs.items())
            for record in tuple(records)
            if isinstance(record, NodeFinished) and record.key == key and record.at >= since_ns
            if record.output is not None
        ]
        return max(found, key=lambda one: one.time_ns, default=None)

    def fingerprints(self, run_id: RunId | str) -> dict[str, str]:
        """Return what each node of the flow did, by path without indices; empty: not known."""
        records = self._of(RunId(run_id))
        started = next(record for record in records if isinstance(record, RunStarted))
        return msgspec.json.decode(started.fingerprints or b"{}", type=dict[str, str])

    def inputs(self, run_id: RunId | str) -> Checkpoint | None:
        """Return what a run was started with; None: it was not kept."""
        return next((kept for kept in self.checkpoints(run_id) if not kept.path), None)

    def checkpoints(self, run_id: RunId | str) -> Iterator[Checkpoint]:
        """Return the checkpoints of a run; of one path the last counts."""
        return iter(self._fold(RunId(run_id)).checkpoints())

    def lost_outputs(self, run_id: RunId | str) -> list[str]:  # noqa: ARG002 - the reader's signature
        """Return the paths of nodes whose output is there no more: nothing is ever lost here."""
        return []

    def close(self) -> None:
        """Do nothing; the runs stay readable."""
