"""The container spans of parallel groups, opened by the first member and closed by the last."""

from __future__ import annotations

from tailrace.engine.outcome import End, Outcome
from tailrace.engine.running import Running
from tailrace.model import FailureRecord, NodeState, ScopeFinished, ScopePlan, ScopeStarted


class Groups:
    """The groups of one scope while it runs."""

    __slots__ = ("_failures", "_left", "_plan", "_prefix", "_run", "_span", "_spans")

    def __init__(self, run: Running, plan: ScopePlan, span: int, prefix: str) -> None:
        self._run = run
        self._plan = plan
        self._span = span
        self._prefix = prefix
        self._left = [len(group.members) for group in plan.groups]
        self._spans = [0] * len(plan.groups)
        self._failures: dict[int, FailureRecord] = {}

    def enter(self, index: int) -> int:
        """Return the span of a group, opening it and the groups around it."""
        if self._spans[index]:
            return self._spans[index]
        group = self._plan.groups[index]
        around = self._span if group.parent is None else self.enter(group.parent)
        run = self._run
        path = self._prefix + group.name
        told = run.ended_before(path)
        if told:
            self._spans[index] = told
            return told
        span = self._spans[index] = run.next_span()
        attributes = {"branches": len(group.members)}
        run.outbox.append(
            ScopeStarted(span, around, "container", "all", group.name, path, run.now(), attributes)
        )
        return span

    def around(self, index: int | None) -> int:
        """Return the innermost span that is open around a group's members; opens none."""
        while index is not None:
            if self._spans[index]:
                return self._spans[index]
            index = self._plan.groups[index].parent
        return self._span

    def leave(self, index: int | None, outcome: Outcome) -> None:
        """A member has settled; the last one closes the group."""
        while index is not None:
            if outcome.failure is not None and not outcome.handled and outcome.end is End.BLOCKED:
                self._failures.setdefault(index, outcome.failure)
            self._left[index] -= 1
            if self._left[index] == 0:
                self._close(index, NodeState.SUCCEEDED)
            index = self._plan.groups[index].parent

    def close(self) -> None:
        """Close what is still open because the scope was cancelled; innermost first."""
        for index in range(len(self._spans) - 1, -1, -1):
            if self._spans[index]:
                self._close(index, NodeState.CANCELLED)

    def _close(self, index: int, state: NodeState) -> None:
        span, self._spans[index] = self._spans[index], 0
        run = self._run
        if not span or (run.continued is not None and span < run.continued.next_span):
            return
        failure = self._failures.get(index)
        path = self._prefix + self._plan.groups[index].name
        if failure is not None:
            state = NodeState.FAILED
        record = ScopeFinished(span, state, run.now(), path, {}, failure)
        run.outbox.append(record)
        if failure is not None:
            run.tell(record)
