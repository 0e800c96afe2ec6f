"""The one projection: journal records in, changes of spans, events, checkpoints and the run out.

The store's writer, the reader's merge of a live run's tail, the memory store and the live views
all fold records here, so none of them can disagree. The fold is pure and may be cut anywhere: a
projection that is resumed from what an earlier one handed out goes on exactly like it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    EventsDropped,
    FailureRecord,
    Logged,
    NodeFinished,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    Progress,
    RunContinued,
    RunFinished,
    RunStarted,
    ScopeFinished,
    ScopeStarted,
    ShapeDeclared,
    UserSpanFinished,
    UserSpanStarted,
)
from tailrace.model.states import NodeState, RunStatus, SpanStatus, SpanType
from tailrace.tracing.attributes import RENAMED_SPAN, attribute, engine, failed, own, text
from tailrace.tracing.links import TRACESTATE
from tailrace.tracing.shape_pool import ShapePool, node_shape
from tailrace.tracing.state import (
    Changes,
    CheckpointStored,
    EventAdded,
    RunState,
    Shape,
    SpanState,
)

INTERRUPTED = "interrupted"
"""Status message of spans whose process died."""
_UNFINISHED = "still open when the run ended"
_SHARED_CHECKPOINTS = frozenset({"stored", "none"})
_SHARED_ATTEMPTS = 32


class Projection:
    """Folds the records of one run."""

    def __init__(self, pool: ShapePool | None = None) -> None:
        """Begin with nothing; projections of one ``pool`` share their shapes."""
        self.run: RunState | None = None
        self.open: dict[int, SpanState] = {}
        self.latest = 0
        """The last instant at which anything happened."""
        self._shapes: list[Shape] = []
        self._pool = pool
        self._common: dict[tuple[SpanType, str], Shape] = {} if pool is None else pool.common
        self._attempts: dict[tuple[int, int], Shape] = {} if pool is None else pool.attempts
        self._forget()

    @classmethod
    def resumed(
        cls, run: RunState, shapes: Sequence[Shape], spans: Iterable[SpanState], latest: int
    ) -> Projection:
        """Return a projection that goes on where another one stood.

        Args:
            run: the run as last handed out.
            shapes: all shapes declared so far.
            spans: the spans that are open.
            latest: the last instant at which anything happened.
        """
        projection = cls()
        projection.run = run
        projection.latest = latest
        projection._shapes = list(shapes)
        for span in spans:
            span.known = True
            projection.open[span.number] = span
        return projection

    def drain(self) -> Changes:
        """Return the changes since the last call."""
        changes = Changes(
            self._declared,
            self._opened,
            list(self._changed.values()),
            self._events,
            self._checkpoints,
            self._dropped,
        )
        fewer = changes.opened if len(changes.opened) < len(self.open) else self.open.values()
        for span in fewer:
            span.known = True
        if self.run is not None:
            self.run.spans += len(changes.opened)
        self._forget()
        return changes

    def _forget(self) -> None:
        self._declared: list[Shape] = []
        self._opened: list[SpanState] = []
        self._changed: dict[int, SpanState] = {}
        self._events: list[EventAdded] = []
        self._checkpoints: list[CheckpointStored] = []
        self._dropped: list[tuple[int, int]] = []

    def apply(self, records: Iterable[AnyRecord]) -> None:
        """Fold the records in. Records about spans that nobody opened change nothing."""
        folds = self._folds
        for record in records:
            folds[record.__class__](self, record)

    # Opening and closing.

    @property
    def highest(self) -> int:
        """The highest number of the spans that have opened since the last ``drain``; or 0."""
        return max((span.number for span in self._opened), default=0)

    def _opens(self, span: SpanState) -> None:
        self.open[span.number] = span
        self._opened.append(span)
        self._at(span.start)

    def _closes(self, number: int, at: int, state: str, checkpoint: str = "") -> SpanState | None:
        span = self.open.pop(number, None)
        if span is not None:
            span.end = at
            span.shape = span.shape.ended(state, checkpoint)
            if span.known:
                self._changed[number] = span
            if at > self.latest:  # noqa: PLR1730 - as in _at, without its call
                self.latest = at
        return span

    def _at(self, instant: int) -> None:
        if instant > self.latest:  # noqa: PLR1730 - max() takes three times as long
            self.latest = instant

    def _shared(self, kind: SpanType, construct: str = "") -> Shape:
        known = self._common.get((kind, construct))
        if known is None:
            attributes = {"tailrace.node.kind": construct} if kind is SpanType.CONTAINER else {}
            known = self._common[kind, construct] = Shape(kind, construct, attributes=attributes)
        return known

    # The run.

    def _run_started(self, record: RunStarted) -> None:
        flow, source = text(record.flow), text(record.source)
        self.run = RunState(
            record.run_id,
            flow,
            record.flow_hash,
            text(record.flow_source),
            source,
            record.at,
            record.span_base,
            record.parent_span_id,
            lineage=record.lineage,
            resumed_from=record.resumed_from,
            letter=record.letter,
            generation=record.generation,
            code_version=record.code_version,
        )
        shared = {
            "tailrace.flow.name": flow,
            "tailrace.flow.hash": record.flow_hash,
            "tailrace.source": source,
        }
        if record.code_version:
            shared["tailrace.code.version"] = record.code_version
        attributes: dict[str, Any] = {"tailrace.run.id": record.run_id}
        if record.resumed_from:
            attributes["tailrace.resumed_from"] = record.resumed_from
        if record.resumed_span:
            attributes["tailrace.resumed_from_span"] = record.resumed_span
        if record.lineage:
            attributes["tailrace.lineage"] = record.lineage
        if record.letter:
            attributes["tailrace.dead_letter"] = record.letter
            attributes["tailrace.generation"] = record.generation
        for name, value in record.params.items():
            attributes["tailrace.param." + text(name)] = attribute(value)
        attributes.update(engine(record.attributes))
        self.run.trace_state = attributes.get(TRACESTATE, "")
        pool = self._pool
        shape = Shape(SpanType.RUN, attributes=shared) if pool is None else pool.run(shared)
        span = SpanState(1, 0, shape, flow, "", record.at, attributes)
        self._opens(span)
        if record.inputs is not None:
            self._checkpoints.append(CheckpointStored(span, record.inputs_codec, record.inputs))

    def _run_finished(self, record: RunFinished) -> None:
        run = self.run
        if run is None or run.end is not None:
            return
        run.status, run.end = record.status, record.at
        run.failed_node = text(record.failed_node)
        run.handled_failures = record.handled_failures
        cancelled = record.status is RunStatus.CANCELLED
        run.reason, failure = text(record.reason), record.failure
        if failure is not None and not (cancelled and run.reason):
            run.reason = text(f"{failure.type}: {failure.message}")
        self._cut_off(record.at, died=record.status is RunStatus.INTERRUPTED)
        span = self._closes(1, record.at, record.status)
        if span is None:
            return
        if failure is not None:
            state = NodeState.CANCELLED if cancelled else NodeState.FAILED
            _mark(span, failure, stack=False, state=state)
        if record.status in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
            span.status = SpanStatus.ERROR
        if failure is None or (cancelled and record.reason):
            span.message = text(record.reason)
        if record.failed_node:
            span.attributes["tailrace.failed_node"] = run.failed_node
        if record.handled_failures:
            span.attributes["tailrace.handled_failures"] = record.handled_failures
        if record.status is RunStatus.COMPLETED:
            span.attributes["tailrace.output"] = attribute(record.output)

    def _cut_off(self, at: int, *, died: bool) -> None:
        """Close every span but the run's own, whose ends nobody has recorded."""
        state = "INTERRUPTED" if died else "UNFINISHED"
        for number in [number for number in self.open if number != 1]:
            span = self._closes(number, at, state)
            if span is not None:
                span.message = INTERRUPTED if died else _UNFINISHED
                span.status = SpanStatus.ERROR if died else SpanStatus.UNSET

    def _run_continued(self, record: RunContinued) -> None:
        run = self.run
        if run is None or run.end is not None:
            return
        for lost in record.lost:
            for number, stack in ((lost.span, True), (lost.node, False)):
                span = self.open.get(number)
                if span is not None:
                    span.attributes.update(failed(lost.failure, stack=stack))
        self._cut_off(record.at, died=True)
        first = self.open.get(1)
        if first is None:
            return
        first.attributes["tailrace.delivery"] = record.claim
        first.attributes["tailrace.worker.id"] = text(record.worker_id)
        if first.known:
            self._changed[1] = first
        said = {
            "message": f"worker {record.worker_id} goes on with the run: {record.reason}",
            "tailrace.worker.id": record.worker_id,
            "tailrace.worker.before": record.lost_worker,
            "tailrace.delivery": record.claim,
        }
        self._logged(Logged(1, record.at, "continued", said))

    # Nodes and attempts.

    def _shape_declared(self, record: ShapeDeclared) -> None:
        make = node_shape if self._pool is None else self._pool.node
        shape = make(record.task, record.attributes)
        self._shapes.append(shape)
        self._declared.append(shape)

    def _node_shape(self, number: int) -> Shape:
        if 0 < number <= len(self._shapes):
            return self._shapes[number - 1]
        return self._shared(SpanType.NODE)

    def _attempt_shape(self, attempt: int, of: int) -> Shape:
        shape = self._attempts.get((attempt, of))
        if shape is None:
            attributes = {"tailrace.attempt": attempt, "tailrace.max_attempts": of}
            shape = Shape(SpanType.ATTEMPT, attributes=attributes)
            if attempt <= _SHARED_ATTEMPTS:
                self._attempts[attempt, of] = shape
        return shape

    def _node_started(self, record: NodeStarted) -> None:
        at, number, attempt, path = record.at, record.span, record.attempt_span, record.path
        of = record.max_attempts
        name = text(record.name)
        inputs: dict[str, Any] = {}
        for key, value in record.inputs.items():
            inputs["tailrace.input." + text(key)] = attribute(value)
        if of > 1 or record.attempt > 1:
            inputs["tailrace.max_attempts"] = of
        if record.not_reused:
            inputs["tailrace.not_reused"] = text(record.not_reused)
        shape = self._node_shape(record.shape)
        path = text(path) if path else ""
        node = SpanState(number, record.parent, shape, name, path, at, inputs)
        if record.waits_until:
            inputs["tailrace.retry_at_ns"] = record.waits_until
            inputs["tailrace.waits_for_attempt"] = record.attempt
            self._opens(node)
            return
        first_shape = self._attempt_shape(record.attempt, of)
        first = SpanState(attempt, number, first_shape, name, "", at, {})
        self.open[number] = node
        self.open[attempt] = first
        self._opened += (node, first)
        if at > self.latest:  # noqa: PLR1730 - as in _at, without its call
            self.latest = at

    def _attempt_started(self, record: AttemptStarted) -> None:
        node = self.open.get(record.node)
        name = "" if node is None else node.name
        shape = self._attempt_shape(record.attempt, record.max_attempts)
        attributes = {"tailrace.delay_s": record.delay}
        self._opens(
            SpanState(record.attempt_span, record.node, shape, name, "", record.at, attributes)
        )

    def _attempt_failed(self, record: AttemptFailed) -> None:
        span = self._closes(record.attempt_span, record.at, NodeState.FAILED)
        if span is not None:
            _mark(span, record.failure, stack=True)
            span.attributes["tailrace.retry_at_ns"] = record.at + int(record.delay * 1e9)

    def _node_finished(self, record: NodeFinished) -> None:
        at, state, failure = record.at, record.state, record.failure
        checkpoint = record.checkpoint
        attempt = self._closes(record.attempt_span, at, state)
        shared = checkpoint if checkpoint in _SHARED_CHECKPOINTS else ""
        node = self._closes(record.span, at, state, shared)
        if node is None:
            return
        attributes = node.attributes
        if failure is None:
            attributes["tailrace.output"] = attribute(record.summary)
        else:
            if attempt is not None:
                _mark(attempt, failure, stack=True, state=state)
            _mark(node, failure, stack=False, state=state)
            self._handled(node, record)
        if "tailrace.max_attempts" in attributes:
            attributes["tailrace.attempt"] = record.attempt
        if checkpoint and not shared:
            attributes["tailrace.checkpoint"] = text(checkpoint)
        if record.attributes:
            attributes.update(own(record.attributes))
        if record.codec and record.output is not None:
            stored = CheckpointStored(node, record.codec, record.output, record.extra, record.key)
            self._checkpoints.append(stored)

    def _handled(self, node: SpanState, record: NodeFinished) -> None:
        if record.handled:
            node.attributes["tailrace.handled"] = True
            node.attributes["tailrace.handled_by"] = record.handled
        if record.handled == "continue":
            node.attributes["tailrace.output"] = attribute(record.summary)

    def _node_skipped(self, record: NodeSkipped) -> None:
        shape = self._node_shape(record.shape)
        name, path, at = text(record.name), text(record.path), record.at
        attributes = {"tailrace.skip.reason": text(record.reason)}
        self._opens(SpanState(record.span, record.parent, shape, name, path, at, attributes))
        self._closes(record.span, record.at, record.state)

    def _node_reused(self, record: NodeReused) -> None:
        shape = self._node_shape(record.shape)
        path, at = text(record.path), record.at
        attributes: dict[str, Any] = {"tailrace.reused_from": record.run_id}
        if record.cached_at:
            attributes = {
                "tailrace.cached_from": record.run_id,
                "tailrace.cached_at_ns": record.cached_at,
            }
        name = text(record.name)
        span = SpanState(record.span, record.parent, shape, name, path, at, attributes)
        self._opens(span)
        self._closes(record.span, at, NodeState.SUCCEEDED)
        if record.codec and record.output is not None:
            stored = CheckpointStored(span, record.codec, record.output, record.extra)
            self._checkpoints.append(stored)

    # Containers, iterations, branches.

    def _scope_started(self, record: ScopeStarted) -> None:
        shape = self._shared(SpanType(record.type), text(record.construct))
        name, path, at = text(record.name), text(record.path), record.at
        attributes = engine(record.attributes)
        self._opens(SpanState(record.span, record.parent, shape, name, path, at, attributes))

    def _scope_finished(self, record: ScopeFinished) -> None:
        span = self._closes(record.span, record.at, record.state)
        if span is None:
            return
        span.attributes.update(engine(record.attributes))
        if record.failure is not None:
            _mark(span, record.failure, stack=False, state=record.state)
        if record.codec and record.output is not None:
            self._checkpoints.append(CheckpointStored(span, record.codec, record.output))

    # What users add.

    def _user_span_started(self, record: UserSpanStarted) -> None:
        shape = self._shared(SpanType.USER)
        attributes = own(record.attributes)
        name, at = text(record.name), record.at
        self._opens(SpanState(record.span, record.parent, shape, name, "", at, attributes))

    def _user_span_finished(self, record: UserSpanFinished) -> None:
        state = NodeState.SUCCEEDED if record.failure is None else NodeState.FAILED
        span = self._closes(record.span, record.at, state)
        if span is None:
            return
        attributes = own(record.attributes)
        if RENAMED_SPAN in attributes:
            span.name = str(attributes.pop(RENAMED_SPAN))
        span.attributes.update(attributes)
        if record.failure is not None:
            _mark(span, record.failure, stack=True)
            # The task may catch it, and then no failure of this id is kept; that of an attempt is.
            span.attributes.pop("tailrace.failure_id", None)

    def _logged(self, record: Logged) -> None:
        if self.run is None:
            return
        number = self.run.events
        self.run.events = number + 1
        attributes = own(record.attributes)
        self._events.append(
            EventAdded(number, record.span, record.at, text(record.name), attributes)
        )
        self._at(record.at)

    def _events_dropped(self, record: EventsDropped) -> None:
        span = self.open.get(record.span)
        if span is None:
            self._dropped.append((record.span, record.count))
            return
        span.dropped += record.count
        if span.known:
            self._changed[span.number] = span

    def _progress(self, record: Progress) -> None:
        span = self.open.get(record.span)
        if span is None:
            return
        span.attributes["tailrace.progress.done"] = attribute(record.done)
        if record.total is not None:
            span.attributes["tailrace.progress.total"] = attribute(record.total)
        if span.known:
            self._changed[span.number] = span

    _folds: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        RunStarted: _run_started,
        ShapeDeclared: _shape_declared,
        NodeStarted: _node_started,
        AttemptFailed: _attempt_failed,
        AttemptStarted: _attempt_started,
        NodeFinished: _node_finished,
        NodeReused: _node_reused,
        NodeSkipped: _node_skipped,
        ScopeStarted: _scope_started,
        ScopeFinished: _scope_finished,
        UserSpanStarted: _user_span_started,
        UserSpanFinished: _user_span_finished,
        Logged: _logged,
        EventsDropped: _events_dropped,
        Progress: _progress,
        RunContinued: _run_continued,
        RunFinished: _run_finished,
    }
    """One per record. A table, because ``isinstance`` of msgspec structs costs 0.1 µs per miss."""


def _mark(
    span: SpanState,
    failure: FailureRecord,
    *,
    stack: bool,
    state: NodeState = NodeState.FAILED,
) -> None:
    """Write the failure on the span; what was only cancelled is not an error."""
    span.attributes.update(failed(failure, stack=stack))
    span.message = text(failure.message)
    if state is not NodeState.CANCELLED:
        span.status = SpanStatus.ERROR
