"""The state of a scope: how each step stands, and what the end of one means for the others."""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec.structs import replace

from tailrace.engine.cancel import CancelScope
from tailrace.engine.frame import Frame
from tailrace.engine.giving_up import failure_of_step
from tailrace.engine.groups import Groups
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.running import Running, ScopeEnd
from tailrace.engine.scratch import Scratch, ScratchConflict, merge
from tailrace.model import (
    AnyKindOfStep,
    FailureRecord,
    NodeSkipped,
    NodeState,
    ScopePlan,
    TaskStep,
)

_OK = End.OK  # reading a member of an enum is a Python call


class Board:
    """Which steps of a scope wait, are ready, have started, and how they ended.

    ``ready`` holds the steps to start next, in definition order among those that became ready
    together. Nothing here waits or runs; the scope does.
    """

    __slots__ = (
        "_cancel",
        "_diverted",
        "_ends",
        "_failure",
        "_failure_path",
        "_forced",
        "_frame",
        "_groups",
        "_outcomes",
        "_parent_span",
        "_payload",
        "_run",
        "_scratch",
        "_settling",
        "_started",
        "_waiting",
        "joins",
        "ready",
        "steps",
    )

    def __init__(
        self,
        run: Running,
        plan: ScopePlan,
        frame: Frame,
        *,
        span: int,
        payload: Any,
        scratch: Scratch,
        cancel: CancelScope,
    ) -> None:
        self._run = run
        self._frame = frame
        self._parent_span = span
        self._payload = payload
        self._scratch = scratch
        self._cancel = cancel
        self.steps: list[AnyKindOfStep] = list(plan.steps)
        self.ready: deque[AnyKindOfStep] = deque([self.steps[index] for index in plan.entries])
        self.joins: dict[str, Any] = {}
        self._outcomes: list[Outcome | None] = [None] * len(self.steps)
        self._started = bytearray(len(self.steps))
        self._waiting = [len(step.predecessors) for step in self.steps]
        self._settling: deque[tuple[AnyKindOfStep, Outcome]] = deque()
        self._forced: dict[int, tuple[Any, Scratch]] = {}
        self._diverted: dict[int, tuple[TaskStep, Outcome]] = {}
        self._ends: set[int] = set()
        self._failure: FailureRecord | None = None
        self._failure_path = ""
        self._groups = Groups(run, plan, span, frame.prefix) if plan.groups else None

    @property
    def ends_run(self) -> bool:
        """Whether the run is over with this scope: its last record follows at once."""
        return self._parent_span == 1 and not self._run.background

    def take(self) -> AnyKindOfStep:
        """Return the next ready step and count it as started."""
        step = self.ready.popleft()
        self._started[step.index] = 1
        return step

    # What a step starts with.

    def inputs_of(self, step: AnyKindOfStep) -> tuple[Any, Scratch]:
        """Return (payload, scratch).

        Raises:
            ScratchConflict: the branches it joins wrote different values to one key.
        """
        predecessors = step.predecessors
        if self._forced and step.index in self._forced:
            return self._forced[step.index]
        if not predecessors:
            return self._payload, self._scratch
        if len(predecessors) == 1:
            outcome = self._outcomes[predecessors[0]]
            if outcome is None:
                return None, self._scratch
            return outcome.value, outcome.scratch or self._scratch
        return self._joined_inputs(step)

    def _joined_inputs(self, step: AnyKindOfStep) -> tuple[Any, Scratch]:
        payload: dict[str, Any] = {}
        branches: list[Scratch] = []
        for index in step.predecessors:
            outcome = self._outcomes[index]
            if outcome is not None and _activates(outcome, step.name):
                payload[self.steps[index].name] = outcome.value
                branches.append(outcome.scratch or self._scratch)
        self.joins[step.name] = payload
        return payload, merge(branches, self._run.plan.scratch_merge)

    def span_around(self, step: AnyKindOfStep) -> int:
        """Return the span that the step's own opens under."""
        if self._groups is None or step.group is None:
            return self._parent_span
        return self._groups.enter(step.group)

    def fail_join(self, step: AnyKindOfStep, error: ScratchConflict) -> None:
        """Settle a step whose branches cannot be joined: it fails without running."""
        failure = failure_of_step(error, self._frame, step.name)
        self._record_skip(step, NodeState.SKIPPED, failure.message)
        path = self._frame.prefix + step.name
        self.settle(step, Outcome(End.BLOCKED, failure=failure, failed_path=path))

    # What its end means for the others.

    def settle(self, step: AnyKindOfStep, outcome: Outcome) -> None:
        """Pass an outcome on to the dependants, and theirs to theirs, without recursion."""
        newly: list[AnyKindOfStep] = []
        if (
            outcome.end is _OK
            and outcome.routes is None
            and self._groups is None
            and not step.dormant
        ):
            self._settle_plainly(step, outcome, newly)
        else:
            self._settling.append((step, outcome))
        while self._settling:
            self._settle_one(*self._settling.popleft(), newly)
        if len(newly) > 1:
            newly.sort(key=lambda candidate: candidate.index)
        self.ready.extend(newly)

    def _settle_plainly(
        self, step: AnyKindOfStep, outcome: Outcome, newly: list[AnyKindOfStep]
    ) -> None:
        """Settle the common case: a success that activates all its dependants."""
        self._outcomes[step.index] = outcome
        waiting = self._waiting
        for index in step.successors:
            left = waiting[index] = waiting[index] - 1
            if left == 0 and not self._started[index] and index not in self._forced:
                successor = self.steps[index]
                if len(successor.predecessors) == 1:
                    newly.append(successor)
                else:
                    self._decide(successor, newly)

    def _settle_one(
        self, step: AnyKindOfStep, outcome: Outcome, newly: list[AnyKindOfStep]
    ) -> None:
        if outcome.end is End.DIVERTED and isinstance(step, TaskStep):
            outcome = self._divert(step, outcome, newly)
            if outcome.end is End.DIVERTED:
                return
        self._outcomes[step.index] = outcome
        if outcome.failure is not None and not outcome.handled and outcome.end is End.BLOCKED:
            self._fail(outcome)
        if self._groups is not None and step.group is not None:
            self._groups.leave(step.group, outcome)
        waiting = self._waiting
        for index in step.successors:
            waiting[index] -= 1
            if waiting[index] == 0 and not self._started[index] and index not in self._forced:
                self._decide(self.steps[index], newly)
        diverted = self._diverted.pop(step.index, None)
        if diverted is not None:
            self._return(step, outcome, *diverted, newly)

    def _decide(self, step: AnyKindOfStep, newly: list[AnyKindOfStep]) -> None:
        """All predecessors have settled: run, or skip and pass that on."""
        active = False
        for index in step.predecessors:
            outcome = self._outcomes[index]
            if outcome is None or outcome.end is End.CANCELLED:
                return  # the scope is being cancelled, and this step with the rest
            if outcome.end is End.BLOCKED:
                self._skip(step, End.BLOCKED, f"needs {self.steps[index].name}")
                return
            active = active or _activates(outcome, step.name)
        if active:
            newly.append(step)
        else:
            self._skip(step, End.INACTIVE, "not activated")

    def note_skip(self, step: AnyKindOfStep) -> None:
        """Record a step that was not asked for."""
        self._record_skip(step, NodeState.SKIPPED, f"only {self._run.request.only} was asked for")

    def leave_out(self, step: AnyKindOfStep) -> None:
        """Settle a step that was not asked for."""
        self.note_skip(step)
        self.settle(step, Outcome(End.INACTIVE))

    def _skip(self, step: AnyKindOfStep, end: End, reason: str) -> None:
        self._started[step.index] = 1
        self._record_skip(step, NodeState.SKIPPED, reason)
        self._settling.append((step, Outcome(end)))

    def _record_skip(self, step: AnyKindOfStep, state: NodeState, reason: str) -> None:
        run = self._run
        prefix = self._frame.prefix
        if run.continued is not None and prefix + step.name in run.continued.skipped:
            return
        shape = run.shape(run.facts(step)) if isinstance(step, TaskStep) else 0
        around = self._parent_span
        if self._groups is not None:
            around = self._groups.around(step.group)
        run.outbox.append(
            NodeSkipped(
                run.next_span(),
                around,
                shape,
                step.name,
                prefix + step.name if prefix else "",
                run.now(),
                state,
                reason,
            )
        )

    def _fail(self, outcome: Outcome) -> None:
        if self._failure is None:
            self._failure, self._failure_path = outcome.failure, outcome.failed_path
        if self._run.plan.policy.fail_fast:
            self._cancel.cancel(f"fail-fast: {outcome.failed_path} failed")

    # Targets of on_error.

    def _divert(self, step: TaskStep, outcome: Outcome, newly: list[AnyKindOfStep]) -> Outcome:
        """Start the target. The failed step settles now (goto), or with it (fallback)."""
        handler = None if step.handler is None else self._handler(step.handler)
        if handler is None:
            self._run.handled_failures -= 1
            return Outcome(End.BLOCKED, failure=outcome.failure, failed_path=outcome.failed_path)
        payload, _ = self.inputs_of(step)
        self._forced[handler.index] = (payload, outcome.scratch or self._scratch)
        newly.append(handler)
        if outcome.handled == "fallback":
            self._diverted[handler.index] = (step, outcome)
            return outcome
        if step.rejoin is not None and not self._started[step.rejoin]:
            self._forced[step.rejoin] = (None, self._scratch)
            self._diverted[handler.index] = (step, outcome)
        elif handler.dormant:
            self._ends.add(handler.index)
        return Outcome(End.INACTIVE, failure=outcome.failure, handled=outcome.handled)

    def _handler(self, index: int) -> AnyKindOfStep | None:
        """Return the step to start; a target outside the graph serves any number of failures."""
        handler = self.steps[index]
        if not self._started[index] and index not in self._forced:
            return handler
        if not handler.dormant or not isinstance(handler, TaskStep):
            return None
        number = 2 + sum(1 for step in self.steps if step.name.startswith(f"{handler.name}#"))
        again = replace(handler, index=len(self.steps), name=f"{handler.name}#{number}")
        self.steps.append(again)
        self._outcomes.append(None)
        self._started.append(0)
        self._waiting.append(0)
        return again

    def _return(
        self,
        handler: AnyKindOfStep,
        outcome: Outcome,
        step: TaskStep,
        failed: Outcome,
        newly: list[AnyKindOfStep],
    ) -> None:
        """A target has ended: go on with its result where the failed step says."""
        if failed.handled == "fallback":
            replaced = Outcome(End.BLOCKED)
            if outcome.end is End.OK:
                self._frame.put(step.name, outcome.value)
                replaced = Outcome(
                    End.OK, outcome.value, outcome.scratch, None, failed.failure, "", "fallback"
                )
            self._settling.append((step, replaced))
            return
        if step.rejoin is None or self._started[step.rejoin]:
            return
        target = self.steps[step.rejoin]
        if outcome.end is End.OK:
            self._forced[target.index] = (outcome.value, outcome.scratch or self._scratch)
            newly.append(target)
        else:
            self._skip(target, End.BLOCKED, f"needs {handler.name}")

    # The end.

    def cancel_rest(self) -> None:
        """Record every step that has not started as cancelled, once."""
        self.ready.clear()
        for step in self.steps:
            if not self._started[step.index]:
                self._started[step.index] = 1
                if not step.dormant:
                    self._record_skip(step, NodeState.CANCELLED, self._cancel.reason)
                self._outcomes[step.index] = Outcome(End.CANCELLED)

    def end(self) -> ScopeEnd:
        """Return how the scope ended; nothing runs any more."""
        if self._groups is not None:
            self._groups.close()
        if self._failure is not None:
            return ScopeEnd(NodeState.FAILED, failure=self._failure, failed_path=self._failure_path)
        if self._cancel.requested:
            return ScopeEnd(NodeState.CANCELLED)
        return self._completed()

    def _completed(self) -> ScopeEnd:
        ended: list[tuple[str, Outcome]] = []
        for step in self.steps:
            if step.successors or (step.dormant and step.index not in self._ends):
                continue
            outcome = self._outcomes[step.index]
            if outcome is not None and outcome.end is End.OK:
                ended.append((step.name, outcome))
        if not ended:
            return ScopeEnd(NodeState.SUCCEEDED, None, self._scratch)
        if len(ended) == 1:
            outcome = ended[0][1]
            return ScopeEnd(NodeState.SUCCEEDED, outcome.value, outcome.scratch or self._scratch)
        value = {name: outcome.value for name, outcome in ended}
        branches = [outcome.scratch or self._scratch for _, outcome in ended]
        try:
            merged = merge(branches, self._run.plan.scratch_merge)
        except ScratchConflict as error:
            failure = failure_of_step(error, self._frame, "join")
            return ScopeEnd(NodeState.FAILED, failure=failure)
        return ScopeEnd(NodeState.SUCCEEDED, value, merged)


def _activates(outcome: Outcome, name: str) -> bool:
    return outcome.end is End.OK and (outcome.routes is None or name in outcome.routes)
