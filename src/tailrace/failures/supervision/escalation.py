"""The way of each failure of a run, folded from the records of its journal.

The store folds inside the commit of the records, the telemetry after it; both see the same ids,
trails and letters. The fold is pure and may be drained at any point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from tailrace.failures.supervision.changes import FailureChanges, LetterChange
from tailrace.failures.supervision.context import RunContext
from tailrace.failures.supervision.decide import beyond_run
from tailrace.failures.supervision.first import first_snapshot
from tailrace.failures.supervision.letters import FAILED, LOST, RESOLVED, attempts_of, letter_of
from tailrace.failures.supervision.levels import advance
from tailrace.failures.supervision.lost import OpenAttempt, lost_failures
from tailrace.failures.supervision.scopes import containers_around
from tailrace.failures.supervision.siblings import strategy_of
from tailrace.model.failure import (
    Directive,
    Disposition,
    FailureClass,
    FailureSnapshot,
    ScopeLevel,
)
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    FailureOrigin,
    FailureRecord,
    NodeFinished,
    RunContinued,
    RunFinished,
    RunStarted,
    ScopeFinished,
)
from tailrace.model.states import ErrorCategory, NodeState, RunStatus

__all__ = ["MOST_OPEN", "Escalation", "FailureChanges", "LetterChange", "OpenAttempt", "RunContext"]

MOST_OPEN = 256
"""Failures of one run that may wait for the scope around them to end; more are settled early."""

_ESCALATE, _RESUME = Directive.ESCALATE.value, Directive.RESUME.value
_RETRY, _STOP = Directive.RETRY.value, Directive.STOP.value
_OPEN, _HANDLED = Disposition.OPEN.value, Disposition.HANDLED.value
_RETRIED, _TERMINAL = Disposition.RETRIED.value, Disposition.TERMINAL.value
_CANCELLED = Disposition.CANCELLED.value
_OUTCOMES = {RunStatus.COMPLETED: RESOLVED, RunStatus.INTERRUPTED: LOST}


class Escalation:
    """Folds the records of one run into the ways of its failures.

    A failure is remembered only until it has reached its final disposition, and at most
    ``MOST_OPEN`` of them are. Not thread-safe.
    """

    def __init__(
        self,
        context: RunContext | None = None,
        failures: Iterable[FailureSnapshot] = (),
        *,
        worker_id: str = "",
        host: str = "",
    ) -> None:
        """Begin a fold, or go on with one.

        Args:
            context: the run; None: its ``RunStarted`` will come.
            failures: those of the run that are on their way, oldest first.
            worker_id: of this process; for a context that is still to come.
            host: likewise.
        """
        self._context = context
        self._start: RunStarted | None = None
        self._worker_id = worker_id
        self._host = host
        self._around: tuple[str, ...] = ()
        self._open: dict[str, FailureSnapshot] = {one.failure_id: one for one in failures}
        self._policies: dict[str, Mapping[str, Any]] = {}
        self._containers: dict[str, dict[str, int]] = {}
        self._moved: dict[str, FailureSnapshot] = {}
        self._changes = FailureChanges()

    @property
    def context(self) -> RunContext:
        """The run; an empty one while nothing is known of it."""
        if self._context is None:
            if self._start is None:
                return RunContext(worker_id=self._worker_id, host=self._host)
            self._context = RunContext.of(self._start, worker_id=self._worker_id, host=self._host)
            self._start = None
        return self._context

    def apply(self, records: Iterable[AnyRecord]) -> None:
        """Fold the records in; those that tell of no failure change nothing."""
        for record in records:
            fold = _FOLDS.get(record.__class__)
            if fold is not None:
                fold(self, record)

    def lose(self, attempts: Sequence[OpenAttempt], at: int) -> None:
        """Take in that the run's process died, with these attempts under way.

        To be followed by the ``RunFinished`` that says INTERRUPTED.
        """
        for index, snapshot in enumerate(lost_failures(self.context, attempts, at)):
            self._keep(snapshot)
            policy = attempts[index].policy if attempts else None
            if policy is not None:
                self._policies[snapshot.failure_id] = policy

    def drain(self) -> FailureChanges:
        """Return what has changed since the last call."""
        changes, self._changes = self._changes, FailureChanges()
        changes.moved = list(self._moved.values())
        self._moved = {}
        return changes

    # What each record says.

    def _run_started(self, record: RunStarted) -> None:
        if self._context is None:
            self._start = record

    def _attempt_failed(self, record: AttemptFailed) -> None:
        failure = record.failure
        if not failure.failure_id:
            return
        snapshot = self._first(failure, _origin(failure, "", record.attempt))
        reason = f"attempt {record.attempt} of {snapshot.max_attempts}; next in {record.delay:g} s"
        self._end(self._hop(snapshot, _RETRY, record.at, reason, "retry", _RETRIED))

    def _run_continued(self, record: RunContinued) -> None:
        reason = f"worker {record.worker_id} goes on with the run"
        for lost in record.lost:
            snapshot = self._first(lost.failure, _origin(lost.failure, "", 0))
            self._end(self._hop(snapshot, _RETRY, record.at, reason, "", _RETRIED))

    def _node_finished(self, record: NodeFinished) -> None:
        failure = record.failure
        if failure is None or not failure.failure_id:
            return
        snapshot = self._open.get(failure.failure_id)
        if snapshot is None:
            snapshot = self._first(failure, _origin(failure, record.path, record.attempt))
        if record.handled:
            reason = f"on_error: {record.handled}"
            self._end(self._hop(snapshot, _RESUME, record.at, reason, "on_error", _HANDLED))
        elif record.state is NodeState.CANCELLED:
            reason = failure.message or "cancelled"
            self._end(self._hop(snapshot, _STOP, record.at, reason, "", _CANCELLED))
        else:
            reason = _given_up(snapshot)
            if record.policy is not None:
                self._policies[failure.failure_id] = record.policy
            self._keep(self._hop(snapshot, _ESCALATE, record.at, reason, "on_error"))

    def _scope_finished(self, record: ScopeFinished) -> None:
        failure = record.failure
        if failure is None:
            if self._open and record.path and record.state is NodeState.SUCCEEDED:
                self._absorb(record.path, record.at)
            return
        if not failure.failure_id or not record.path:
            return
        snapshot = self._open.get(failure.failure_id)
        if snapshot is None:
            origin = _origin(failure, record.path, 0)
            if origin.node == record.path:
                self._keep(self._first(failure, origin))
            return
        length = self._length_at(snapshot, record.path)
        if length:
            self._keep(self._out(snapshot, length, record.at))

    def _run_finished(self, record: RunFinished) -> None:
        policies = dict(self._policies)
        if record.status is RunStatus.INTERRUPTED:
            final: FailureSnapshot | None = self._ended_by_loss(record.at)
        else:
            final = self._ended_by(record)
        for snapshot in list(self._open.values()):
            self._leave(snapshot, record, final)
        context = self.context
        if context.letter:
            self._changes.settled = LetterChange(
                dl_id=context.letter,
                outcome=_OUTCOMES.get(record.status, FAILED),
                failure=final,
                attempts=attempts_of(final),
                at=record.at,
                run_id=context.run_id,
                generation=context.generation,
            )
        elif final is not None and record.status in _LEAVES_LETTER:
            policy = policies.get(final.failure_id)
            self._changes.letter = letter_of(final, context, policy)

    # The end of a run.

    def _ended_by(self, record: RunFinished) -> FailureSnapshot | None:
        """Take the failure that ended the run to where it ends; None when nothing did."""
        failure = record.failure
        if failure is None or not failure.failure_id:
            return None
        snapshot = self._open.pop(failure.failure_id, None)
        if snapshot is None:
            if record.status is not RunStatus.FAILED:
                return None
            snapshot = self._first(failure, _origin(failure, record.failed_node, 0))
        return self._end(self._to_the_end(snapshot, record.at))

    def _ended_by_loss(self, at: int) -> FailureSnapshot:
        """Take all failures of the death to the run; return the one that stands for it."""
        lost = [one for one in self._open.values() if one.class_ == FailureClass.WORKER_LOST]
        if not lost:
            lost = lost_failures(self.context, (), at)
        ended = [self._end(self._to_the_end(snapshot, at)) for snapshot in lost]
        return ended[0]

    def _to_the_end(self, snapshot: FailureSnapshot, at: int) -> FailureSnapshot:
        disposition = _CANCELLED if snapshot.category == ErrorCategory.CANCELLED else _TERMINAL
        home = len(self.context.path)
        snapshot = self._out(snapshot, home + 1, at)
        directive, reason = beyond_run(snapshot, ScopeLevel.RUN)
        if directive is not Directive.ESCALATE:
            return self._hop(snapshot, directive.value, at, reason, "", disposition)
        snapshot = self._hop(snapshot, _ESCALATE, at, reason)
        while len(snapshot.path) > 2:
            snapshot = self._hop(snapshot, _ESCALATE, at, reason)
        return self._hop(snapshot, _STOP, at, "infrastructure", "", disposition)

    def _leave(
        self, snapshot: FailureSnapshot, record: RunFinished, final: FailureSnapshot | None
    ) -> None:
        """Settle a failure whose node gave it up and which no end of a scope has named."""
        if record.status is RunStatus.COMPLETED:
            reason, directive, disposition = "the run completed", _RESUME, _HANDLED
        else:
            other = "" if final is None else f" by {final.failure_id}"
            reason, directive, disposition = f"the run was ended{other}", _STOP, _TERMINAL
        if snapshot.category == ErrorCategory.CANCELLED:
            disposition = _CANCELLED
        self._end(self._hop(snapshot, directive, record.at, reason, "", disposition))

    # Ways.

    def _first(self, failure: FailureRecord, origin: FailureOrigin) -> FailureSnapshot:
        """Return a failure that is met for the first time, at its origin."""
        if not self._around:
            self._around = self.context.path
        return first_snapshot(failure, origin, self.context, self._around)

    def _out(self, snapshot: FailureSnapshot, length: int, at: int) -> FailureSnapshot:
        """Take a failure outwards until its path is that short."""
        while len(snapshot.path) > length:
            if snapshot.path[-1].startswith("task:"):
                reason = _given_up(snapshot)
            elif snapshot.path[-2].startswith("flow:"):
                fail_fast = self.context.policies.get("fail_fast", True)
                reason = str(strategy_of(fail_fast=bool(fail_fast)))
            else:
                reason = "its body failed"
            snapshot = self._hop(snapshot, _ESCALATE, at, reason)
        return snapshot

    def _hop(
        self,
        snapshot: FailureSnapshot,
        directive: str,
        at: int,
        reason: str,
        policy: str = "",
        disposition: str = _OPEN,
    ) -> FailureSnapshot:
        reference = f"{policy}@{snapshot.policy_ref}" if policy and snapshot.policy_ref else ""
        moved = advance(snapshot, directive, at, reason, reference, disposition=disposition)
        if moved.trail is not snapshot.trail:
            self._changes.hops.append((moved, moved.trail[-1]))
        return moved

    def _absorb(self, scope: str, at: int) -> None:
        """A container succeeded over failures inside it, as a race does over its losers."""
        for snapshot in list(self._open.values()):
            length = self._length_at(snapshot, scope)
            if length:
                inside = self._out(snapshot, length + 1, at)
                reason = "the scope succeeded without it"
                self._end(self._hop(inside, _RESUME, at, reason, "", _HANDLED))

    def _length_at(self, snapshot: FailureSnapshot, scope: str) -> int:
        """Return the length of a failure's path at a container around it; 0: it is not inside."""
        known = self._containers.get(snapshot.failure_id)
        if known is None:
            known = containers_around(snapshot.origin.path, snapshot.node_id)
            self._containers[snapshot.failure_id] = known
        length = known.get(scope, 0)
        return length if length < len(snapshot.path) else 0

    def _keep(self, snapshot: FailureSnapshot) -> None:
        """Remember a failure that is on its way."""
        self._open[snapshot.failure_id] = snapshot
        self._moved[snapshot.failure_id] = snapshot
        if len(self._open) > MOST_OPEN:
            # The oldest stands for its scope; of the others none will be named again.
            second = next(islice(self._open.values(), 1, None))
            reason = "the scope fails with an earlier failure"
            at = snapshot.trail[-1].at_ns if snapshot.trail else snapshot.captured_ns
            self._end(self._hop(second, _STOP, at, reason, "", _TERMINAL))

    def _end(self, snapshot: FailureSnapshot) -> FailureSnapshot:
        """Forget a failure that has reached its final disposition."""
        self._open.pop(snapshot.failure_id, None)
        self._policies.pop(snapshot.failure_id, None)
        self._containers.pop(snapshot.failure_id, None)
        self._moved[snapshot.failure_id] = snapshot
        self._changes.ended.append(snapshot)
        return snapshot


def _origin(failure: FailureRecord, node: str, attempt: int) -> FailureOrigin:
    """Return where a failure was raised; without its own word for it, what its record tells."""
    if failure.origin is not None:
        return failure.origin
    path = [f"node:{node}"] if node else []
    if attempt:
        path.append(f"task:{attempt}")
    return FailureOrigin(("flow:", *path), node, attempt=attempt)


def _given_up(snapshot: FailureSnapshot) -> str:
    reason = snapshot.given_up or snapshot.category
    if not snapshot.attempt:
        return reason
    return f"{reason}: attempt {snapshot.attempt} of {snapshot.max_attempts}"


_LEAVES_LETTER = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})
_FOLDS: Final[dict[type, Callable[[Escalation, Any], None]]] = {
    RunStarted: Escalation._run_started,  # noqa: SLF001 - the class's own table
    AttemptFailed: Escalation._attempt_failed,  # noqa: SLF001 - likewise
    RunContinued: Escalation._run_continued,  # noqa: SLF001 - likewise
    NodeFinished: Escalation._node_finished,  # noqa: SLF001 - likewise
    ScopeFinished: Escalation._scope_finished,  # noqa: SLF001 - likewise
    RunFinished: Escalation._run_finished,  # noqa: SLF001 - likewise
}
"""What tells of failures; all other records are passed over."""
