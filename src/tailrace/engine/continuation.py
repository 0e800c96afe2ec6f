"""A run that goes on where another worker left it, told from its journal alone.

What has finished is not told again: the continuation walks over it silently, under the same run
id, and its span numbers go on where those of the journal end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tailrace.engine.reuse import Pending, Reuse, Stored
from tailrace.failures.supervision.lost import OpenAttempt, lost_record
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    FailureRecord,
    LostAttempt,
    NodeFinished,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    RunContinued,
    RunFinished,
    RunStarted,
    ScopeFinished,
    ScopeStarted,
    ShapeDeclared,
    UserSpanStarted,
)
from tailrace.model.states import NodeState

HANDED_BACK, WORKER_LOST = "handed_back", "worker_lost"
"""Why a worker did not end a run that it had claimed."""
_BRANCH = "executed_branch_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How far a run had come."""

    record: RunContinued
    """What the journal goes on with."""
    span_base: int
    next_span: int
    shapes: int
    """Shapes declared so far."""
    latest: int
    """Newest instant of the journal, in nanoseconds since the epoch; the clock goes on from it."""
    failed: dict[str, FailureRecord]
    """Failures of the nodes that have failed for good, by path."""
    skipped: frozenset[str]
    """Paths of the nodes of which it is known that they do not run."""
    scopes: dict[str, int]
    """Spans of the containers, iterations and branches that have ended, by path."""
    has_failed: bool


@dataclass(slots=True)
class _Node:
    """A node that had started."""

    path: str
    shape: int
    started: int
    span: int
    attempt_span: int
    attempt: int
    max_attempts: int
    waits: Pending | None = None
    """Set while it is between two attempts."""


@dataclass(slots=True)
class _Scope:
    """A container, iteration or branch that was open."""

    path: str
    parent: int
    construct: str
    branch: str = ""


@dataclass(slots=True)
class JournalState:
    """What a journal says of how far its run has come; fold the records in with ``apply``."""

    started: RunStarted | None = None
    ended: RunFinished | None = None
    next_span: int = 2
    latest: int = 0
    claims: int = 0
    stored: dict[str, Stored] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, FailureRecord] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    ended_scopes: dict[str, int] = field(default_factory=dict)
    has_failed: bool = False
    _waiting: dict[str, Pending] = field(default_factory=dict)
    _nodes: dict[int, _Node] = field(default_factory=dict)
    _scopes: dict[int, _Scope] = field(default_factory=dict)
    _reused: dict[str, bool] = field(default_factory=dict)
    """Nodes told as reused, and whether their outputs were told with them."""
    _shapes: list[ShapeDeclared] = field(default_factory=list)

    def apply(self, records: Iterable[AnyRecord]) -> None:
        """Fold records in, in their order."""
        folds = self._folds
        for record in records:
            at = getattr(record, "at", 0)
            self.latest = max(self.latest, at)
            fold = folds.get(record.__class__)
            if fold is not None:
                fold(self, record)

    @property
    def run_id(self) -> str:
        """Id of the run; empty while nothing is known."""
        return "" if self.started is None else self.started.run_id

    @property
    def flow(self) -> str:
        """Name of the flow; empty while nothing is known."""
        return "" if self.started is None else self.started.flow

    def under_way(self) -> list[tuple[int, OpenAttempt]]:
        """Return the nodes that had started and not ended, each with its attempt's span or 0."""
        found = []
        for node in sorted(self._nodes.values(), key=lambda node: node.span):
            shape = self._shapes[node.shape - 1] if 0 < node.shape <= len(self._shapes) else None
            attempt = OpenAttempt(
                node=node.path,
                task="" if shape is None else shape.task,
                attempt=node.attempt,
                max_attempts=node.max_attempts,
                span=node.attempt_span,
                started_ns=node.started,
                policy=None if shape is None else shape.attributes.get("policy"),
            )
            found.append((node.span, attempt))
        return found

    def reuse(self) -> Reuse:
        """Return what has finished, for the engine."""
        pending = dict(self._waiting)
        for node in self._nodes.values():
            pending[node.path] = node.waits or Pending(node.attempt - 1, 0)
        return Reuse(self.run_id, self.stored, pending, self.decisions)

    def take_over(self, earlier: Reuse) -> None:
        """Take in what runs of the lineage have finished; what this run has done counts more."""
        reused = {path for path, kept in self._reused.items() if not kept}
        for path, one in earlier.stored.items():
            told = Stored(self.run_id, one.codec, one.body, one.extra) if path in reused else one
            self.stored.setdefault(path, told)
        self.decisions = {**earlier.decisions, **self.decisions}
        self._waiting = {**earlier.pending, **self._waiting}

    def go_on(self, *, worker_id: str, claim: int, reason: str, before: str) -> Continuation:
        """Return how the run goes on.

        Args:
            worker_id: who goes on with it.
            claim: deliveries claimed so far, this one included.
            reason: ``WORKER_LOST`` or ``HANDED_BACK``.
            before: the worker that had it.
        """
        assert self.started is not None  # noqa: S101 - a journal begins with it
        at = max(self.latest, time.time_ns())
        lost: list[LostAttempt] = []
        if reason == WORKER_LOST:
            running = [(span, one) for span, one in self.under_way() if one.span]
            lost = [
                LostAttempt(span, one.span, lost_record(self.flow, one, at, worker=before))
                for span, one in running
            ]
            if not lost:
                lost = [LostAttempt(0, 0, lost_record(self.flow, None, at, worker=before))]
        return Continuation(
            record=RunContinued(at, worker_id, claim, tuple(lost), reason, before),
            span_base=self.started.span_base,
            next_span=self.next_span,
            shapes=len(self._shapes),
            latest=at,
            failed=dict(self.failed),
            skipped=frozenset(self.skipped),
            scopes=dict(self.ended_scopes),
            has_failed=self.has_failed or bool(lost),
        )

    # What each record says.

    def _counts(self, *spans: int) -> None:
        self.next_span = max(self.next_span, max(spans) + 1)

    def _run_started(self, record: RunStarted) -> None:
        self.started = record

    def _run_finished(self, record: RunFinished) -> None:
        self.ended = record

    def _run_continued(self, record: RunContinued) -> None:
        """What was open then is over; it has been started again since, or will be."""
        self.claims = record.claim
        self._waiting = {
            node.path: node.waits or Pending(node.attempt - 1, 0) for node in self._nodes.values()
        }
        self._nodes.clear()
        self._scopes.clear()

    def _shape_declared(self, record: ShapeDeclared) -> None:
        self._shapes.append(record)

    def _node_started(self, record: NodeStarted) -> None:
        self._counts(record.span, record.attempt_span)
        path = record.path or record.name
        waits = Pending(record.attempt - 1, record.waits_until) if record.waits_until else None
        attempt_span = 0 if waits else record.attempt_span
        self._nodes[record.span] = _Node(
            path,
            record.shape,
            record.at,
            record.span,
            attempt_span,
            record.attempt,
            record.max_attempts,
            waits,
        )
        self._waiting.pop(path, None)

    def _attempt_started(self, record: AttemptStarted) -> None:
        self._counts(record.attempt_span)
        node = self._nodes.get(record.node)
        if node is not None:
            node.attempt_span, node.attempt, node.waits = record.attempt_span, record.attempt, None
            node.started = record.at

    def _attempt_failed(self, record: AttemptFailed) -> None:
        self.has_failed = True
        for node in self._nodes.values():
            if node.attempt_span == record.attempt_span:
                # By this worker's clock, never longer than the policy said: clocks differ.
                delay = int(record.delay * 1e9)
                due = min(record.at, time.time_ns()) + delay
                node.attempt_span, node.waits = 0, Pending(record.attempt, due)

    def _node_finished(self, record: NodeFinished) -> None:
        node = self._nodes.pop(record.span, None)
        path = record.path if node is None else node.path
        failure = record.failure
        if failure is not None:
            self.has_failed = True
            if record.state is NodeState.FAILED:
                self.failed[path] = failure
        if record.codec and record.output is not None:
            self._keep(path, record.codec, record.output, record.extra)

    def _node_reused(self, record: NodeReused) -> None:
        self._counts(record.span)
        path = record.path or record.name
        self._reused[path] = bool(record.codec and record.output is not None)
        if record.codec and record.output is not None:
            self._keep(path, record.codec, record.output, record.extra)

    def _keep(self, path: str, codec: str, output: bytes, extra: bytes | None) -> None:
        self.stored[path] = Stored(self.run_id, codec, output, extra)

    def _node_skipped(self, record: NodeSkipped) -> None:
        self._counts(record.span)
        if record.state is NodeState.SKIPPED:
            self.skipped.add(record.path or record.name)

    def _scope_started(self, record: ScopeStarted) -> None:
        self._counts(record.span)
        scope = _Scope(record.path or record.name, record.parent, record.construct)
        if record.type == "branch":
            scope.branch = str(record.attributes.get("branch_key", ""))
            around = self._scopes.get(record.parent)
            if around is not None and around.construct == "switch":
                self.decisions[around.path] = scope.branch
        self._scopes[record.span] = scope

    def _scope_finished(self, record: ScopeFinished) -> None:
        scope = self._scopes.pop(record.span, None)
        if scope is None:
            return
        if record.failure is not None:
            self.has_failed = True
        if _BRANCH in record.attributes:
            self.decisions[scope.path] = str(record.attributes[_BRANCH])
        if record.state is NodeState.SUCCEEDED:
            self.ended_scopes[scope.path] = record.span

    def _user_span_started(self, record: UserSpanStarted) -> None:
        self._counts(record.span)

    _folds: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        RunStarted: _run_started,
        RunFinished: _run_finished,
        RunContinued: _run_continued,
        ShapeDeclared: _shape_declared,
        NodeStarted: _node_started,
        AttemptStarted: _attempt_started,
        AttemptFailed: _attempt_failed,
        NodeFinished: _node_finished,
        NodeReused: _node_reused,
        NodeSkipped: _node_skipped,
        ScopeStarted: _scope_started,
        ScopeFinished: _scope_finished,
        UserSpanStarted: _user_span_started,
    }
