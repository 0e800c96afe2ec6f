"""A container step while it runs: its span, its names, and the scopes inside it."""

from __future__ import annotations

from typing import Any

from tailrace.engine.binding import Inputs
from tailrace.engine.cancel import CancelScope
from tailrace.engine.frame import Frame, StepScope
from tailrace.engine.giving_up import failure_of_step
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.running import Running, ScopeEnd
from tailrace.engine.scratch import Scratch
from tailrace.model import (
    AnyKindOfStep,
    Expression,
    FailureRecord,
    NodeState,
    ScopeFinished,
    ScopePlan,
    ScopeStarted,
)


class Container:
    """A container step while it runs: its span, its names, and how it ends."""

    __slots__ = (
        "_told", "attributes", "cancel", "construct", "frame", "inputs", "name", "path", "run",
        "segments", "span",
    )  # fmt: skip

    def __init__(
        self,
        run: Running,
        step: AnyKindOfStep,
        frame: Frame,
        inputs: Inputs,
        cancel: CancelScope,
        construct: str,
    ) -> None:
        self.run = run
        self.name = step.name
        self.frame = frame
        self.inputs = inputs
        self.cancel = cancel
        self.construct = construct
        self.path = frame.prefix + step.name if frame.prefix else step.name
        self.segments = (*frame.segments, f"node:{step.name}")
        self._told = run.ended_before(self.path)
        self.span = self._told or run.next_span()
        self.attributes: dict[str, Any] = {}

    @property
    def scratch(self) -> Scratch:
        """The scratch the container started with."""
        return self.inputs.scratch

    def open(self, parent: int) -> None:
        """Record the start."""
        run = self.run
        if self._told:
            return
        run.outbox.append(
            ScopeStarted(
                self.span,
                parent,
                "container",
                self.construct,
                self.name,
                "" if self.path == self.name else self.path,
                run.now(),
                {},
            )
        )

    def evaluate(self, expression: Expression, frame: Frame | None = None) -> Any:
        """Return the value of an expression as the container sees it."""
        inputs = self.inputs
        scope = StepScope(frame or self.frame, inputs.payload, inputs.scratch, inputs.joins)
        return expression.evaluate(scope)

    def child_frame(self) -> Frame:
        """Return a frame for the inside, under the same prefix."""
        frame = self.frame
        return Frame(frame.flow, parent=frame, prefix=frame.prefix, segments=self.segments)

    def close(self, outcome: Outcome) -> Outcome:
        """Record the end and return the outcome."""
        if not self._told:
            self._record_end(outcome)
        if outcome.end is End.OK:
            self.frame.put(self.name, outcome.value)
        return outcome

    def _record_end(self, outcome: Outcome) -> None:
        run = self.run
        state = _STATES[outcome.end]
        record = ScopeFinished(
            self.span, state, run.now(), self.path, self.attributes, outcome.failure
        )
        run.outbox.append(record)
        if outcome.failure is not None or run.has_failed:
            run.tell(record)

    def failed(self, error: BaseException) -> Outcome:
        """Return the outcome for an error of the container itself."""
        failure = failure_of_step(error, self.frame, self.name, self.span)
        return Outcome(End.BLOCKED, failure=failure, failed_path=self.path)


_STATES = {
    End.OK: NodeState.SUCCEEDED,
    End.BLOCKED: NodeState.FAILED,
    End.CANCELLED: NodeState.CANCELLED,
    End.INACTIVE: NodeState.SKIPPED,
    End.DIVERTED: NodeState.FAILED,
}


def outcome_of(end: ScopeEnd) -> Outcome:
    """Return the outcome that the end of a scope means for the step that ran it."""
    match end.state:
        case NodeState.SUCCEEDED:
            return Outcome(End.OK, end.value, end.scratch)
        case NodeState.CANCELLED:
            return Outcome(End.CANCELLED)
        case _:
            return Outcome(End.BLOCKED, failure=end.failure, failed_path=end.failed_path)


async def run_scope(
    container: Container,
    plan: ScopePlan,
    frame: Frame,
    *,
    span: int,
    payload: Any,
    scratch: Scratch,
    cancel: CancelScope | None = None,
) -> ScopeEnd:
    """Run an inner scope under its own cancel scope."""
    inner = cancel or CancelScope(container.cancel)
    try:
        return await container.run.run_scope(
            plan, frame, span=span, payload=payload, scratch=scratch, cancel=inner
        )
    finally:
        inner.close()


def open_scope(
    container: Container, kind: str, name: str, attributes: dict[str, Any], parent: int = 0
) -> int:
    """Record the start of an iteration or a branch and return its span."""
    run, prefix = container.run, container.frame.prefix
    told = run.ended_before(prefix + name)
    if told:
        return told
    span = run.next_span()
    run.outbox.append(
        ScopeStarted(
            span,
            parent or container.span,
            kind,
            container.construct,
            name,
            prefix + name if prefix else "",
            run.now(),
            attributes,
        )
    )
    return span


def close_scope(
    container: Container, span: int, state: NodeState, failure: FailureRecord | None = None
) -> None:
    """Record the end of an iteration or a branch."""
    run = container.run
    if run.continued is None or span >= run.continued.next_span:
        run.outbox.append(ScopeFinished(span, state, run.now(), "", {}, failure))
