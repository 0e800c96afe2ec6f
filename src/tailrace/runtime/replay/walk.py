"""Walking a flow with what a run recorded; no task is called and nothing is written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tailrace.engine import NullJournal, PlanFacts, Reuse, Run, RunRequest
from tailrace.engine.attempt import CURRENT, Attempt
from tailrace.engine.binding import Arguments
from tailrace.engine.context import TaskContext
from tailrace.engine.frame import StepScope
from tailrace.engine.reuse import Extra
from tailrace.model import FlowPlan, FromContext, RunId, TaskStep
from tailrace.runtime.fingerprint import static_path
from tailrace.runtime.inputs import RunInputs
from tailrace.runtime.loop import run_to_end
from tailrace.runtime.replay.missing import Missing, why_missing
from tailrace.runtime.replay.node import ReplayedNode, ReplayedRun
from tailrace.runtime.replay.record import NodeRecord, RunRecord
from tailrace.runtime.replay.stand_in import CONTEXT, SCOPE, stand_in_plan
from tailrace.tracing.attributes import attribute
from tailrace.tracing.summary import summarize_inputs

_AGAIN = re.compile(r"#\d+$")
"""Ends the name of a handler that serves its second failure, or a later one."""


class RecordedError(Exception):
    """Raised in place of a task that failed, so that the flow goes the way it went."""


def walk(
    plan: FlowPlan,
    record: RunRecord,
    inputs: RunInputs,
    fingerprints: Mapping[str, str],
    *,
    until: str = "",
) -> ReplayedRun:
    """Walk the flow as the run did.

    Args:
        plan: the flow as it is now, for the params of the run and the inputs it altered.
        record: what the run recorded.
        inputs: what the run was started with.
        fingerprints: what each node does now, by path without indices.
        until: path of the last node to come to; empty: to the end.
    """
    walker = _Walker(plan, record, inputs, fingerprints, until)
    run_to_end(walker.run.execute)
    return walker.result()


class _Seen(NamedTuple):
    """What a task would see of its run."""

    attempt: Attempt
    contexts: Mapping[str, TaskContext]
    """By the parameters that ask for one."""


class _Walker:
    def __init__(
        self,
        plan: FlowPlan,
        record: RunRecord,
        inputs: RunInputs,
        fingerprints: Mapping[str, str],
        until: str,
    ) -> None:
        self._record = record
        self._until = until
        self._nodes: list[ReplayedNode] = []
        self._is_over = False
        self._now = fingerprints
        request = RunRequest(
            plan=stand_in_plan(plan, record, self._visit),
            facts=PlanFacts(),
            params=inputs.params,
            payload=inputs.payload,
            scratch=inputs.scratch,
            run_id=RunId(record.run.run_id),
            source="replay",
            artifact_folder=Path(tempfile.gettempdir()) / "tailrace-replay",
            lineage=record.lineage,
            reuse=Reuse(record.run.run_id, decisions=record.reuse.decisions),
        )
        self.run = Run(request, NullJournal())
        self._quiet = Run(request, NullJournal())
        """What contexts belong to: it is never cancelled, and nothing in it happens."""

    def result(self) -> ReplayedRun:
        """Return what was met on the way."""
        met = {node.path for node in self._nodes}
        known = self._now.keys()
        rest = {path: one for path, one in self._record.nodes.items() if path not in met}
        skipped = {
            path: one.skip_reason or one.why_without_output()
            for path, one in rest.items()
            if one.state in {"SKIPPED", "CANCELLED"}
        }
        return ReplayedRun(
            run=self._record.run,
            nodes=tuple(self._nodes),
            skipped=skipped,
            gone=tuple(path for path in rest if _static(path) not in known),
        )

    def _visit(self, step: TaskStep, *args: Any, **kwargs: Any) -> Any:
        """Stand in for a task: note what went in, give what came out."""
        scope: StepScope = kwargs.pop(SCOPE)
        kwargs.pop(CONTEXT)
        attempt = CURRENT.get()
        assert attempt is not None  # noqa: S101 - the engine calls nothing outside of attempts
        path = attempt.path
        if self._is_over:
            return Missing(f"the replay ended before {path}")
        record = self._record.nodes.get(path)
        seen = self._contexts(step, scope, path, 1 if record is None else record.attempt)
        kept = self._record.output(path)
        node = self._node(step, record, seen, (args, kwargs), kept)
        self._nodes.append(node)
        if path == self._until:
            self._is_over = True
            self.run.cancel.cancel(f"the replay ends at {path}")
        return self._outcome(node, scope, kept)

    def _outcome(self, node: ReplayedNode, scope: StepScope, kept: tuple[Any, Extra] | None) -> Any:
        """Return what the node gave, with all it left, or raise what stands for its failure."""
        failure = node.failure
        if failure is not None and kept is None:
            raise RecordedError(f"{failure.type}: {failure.message}")
        if kept is None:
            return Missing(node.why)
        value, extra = kept
        scope.frame.flow.artifacts.update(extra.artifacts)
        if extra.scratch:
            scope.lookup("scratch").update(extra.scratch)
        return value

    def _contexts(self, step: TaskStep, scope: StepScope, path: str, number: int) -> _Seen:
        """Return what the task would see of its run, as it stands at this moment."""
        attempt = Attempt(self._quiet, path, 0, number)
        names = [b.parameter for b in step.bindings if isinstance(b.source, FromContext)]
        if not names:
            return _Seen(attempt, {})
        scratch = scope.lookup("scratch").fork(step.name)
        context = TaskContext(attempt, scope.frame, scope.lookup("payload"), scratch)
        return _Seen(attempt, dict.fromkeys(names, context))

    def _node(
        self,
        step: TaskStep,
        record: NodeRecord | None,
        seen: _Seen,
        given: Arguments,
        kept: tuple[Any, Extra] | None,
    ) -> ReplayedNode:
        path = seen.attempt.path
        named = _named(step, given, seen)
        inputs = {name: value for name, value in named.items() if name not in seen.contexts}
        missing = {name: why for name, value in inputs.items() if (why := why_missing(value))}
        return ReplayedNode(
            path=path,
            run_id="" if record is None else record.run_id,
            reused_from=self._reused_from(record),
            state="" if record is None else record.state,
            inputs=inputs,
            missing=missing,
            drift=_drift(record, {n: value for n, value in inputs.items() if n not in missing}),
            output=None if kept is None else kept[0],
            why="" if kept is not None else self._why(record, path),
            failure=None if record is None else record.failure,
            has_changed=self._has_changed(record, path),
            task=step.task,
            record=record,
            arguments=_split(step, named),
            attempt=seen.attempt,
        )

    def _reused_from(self, record: NodeRecord | None) -> str:
        if record is None:
            return ""
        is_older = record.run_id != self._record.run.run_id
        return record.run_id if is_older else record.cached_from

    def _why(self, record: NodeRecord | None, path: str) -> str:
        """Return why a node has no output."""
        if record is None:
            return f"{path} did not run"
        if record.failure is not None:
            return f"{path} failed"
        return self._record.why_without_output(path)

    def _has_changed(self, record: NodeRecord | None, path: str) -> bool | None:
        if record is None:
            return None
        name = _static(path)
        before = self._record.fingerprints.get(record.run_id, {}).get(name)
        return None if before is None else before != self._now.get(name)


def _named(step: TaskStep, given: Arguments, seen: _Seen) -> dict[str, Any]:
    """Return the arguments by name, with contexts that outlive the replay."""
    args, kwargs = given
    named = dict(zip([b.parameter for b in step.bindings if b.positional], args, strict=True))
    return {**named, **kwargs, **seen.contexts}


def _split(step: TaskStep, named: Mapping[str, Any]) -> Arguments:
    """Return the arguments as the task's function takes them."""
    first = [b.parameter for b in step.bindings if b.positional]
    rest = {name: value for name, value in named.items() if name not in first}
    return tuple(named[name] for name in first), rest


def _drift(record: NodeRecord | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded summaries of inputs that do not look as they did."""
    if record is None:
        return {}
    before = record.inputs
    now = {name: attribute(value) for name, value in summarize_inputs(inputs).items()}
    return {name: before[name] for name in now if name in before and before[name] != now[name]}


def _static(path: str) -> str:
    return _AGAIN.sub("", static_path(path))
