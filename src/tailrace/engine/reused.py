"""Settling a step with what an earlier run of the lineage left of it."""

from __future__ import annotations

from typing import Any

from tailrace.engine.frame import Frame
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.outputs import write_outputs
from tailrace.engine.reuse import Extra
from tailrace.engine.running import Running
from tailrace.engine.scratch import Scratch
from tailrace.model import FailureRecord, NodeReused, TaskStep


def reuse_step(
    run: Running, step: TaskStep, frame: Frame, payload: Any, scratch: Scratch, around: int
) -> Outcome | None:
    """Record and return the outcome of a step that has finished earlier; None when it has not."""
    reuse = run.request.reuse
    path = frame.prefix + step.name
    found = None if reuse is None else reuse.value(path)
    failure = None if run.continued is None else run.continued.failed.get(path)
    if found is None:
        if failure is not None and step.policy.on_error.action != "continue":
            return _failed_before(run, step, path, scratch, failure)
        return None
    value, extra, run_id = found
    if run_id != run.run_id:
        shape = run.shape_of_reused(step)
        shown = "" if path == step.name else path
        run.outbox.append(
            NodeReused(run.next_span(), around, shape, step.name, shown, run.now(), run_id)
        )
    elif failure is not None:
        run.handled_failures += 1
    return settled(step, frame, payload, scratch, value, extra)


def _failed_before(
    run: Running, step: TaskStep, path: str, scratch: Scratch, failure: FailureRecord
) -> Outcome:
    """Return the outcome of a step that has failed for good on another worker."""
    action = step.policy.on_error.action
    if action == "stop":
        return Outcome(End.BLOCKED, failure=failure, failed_path=path)
    run.handled_failures += 1
    end = End.BLOCKED if action == "isolate" else End.DIVERTED
    return Outcome(end, None, scratch, None, failure, path, action)


def settled(
    step: TaskStep, frame: Frame, payload: Any, scratch: Scratch, value: Any, extra: Extra
) -> Outcome:
    """Put what a step left where its run would have put it, and return its outcome."""
    frame.flow.artifacts.update(extra.artifacts)
    if extra.scratch or step.outputs:
        scratch = scratch.fork(step.name)
        scratch.update(extra.scratch)
        write_outputs(step.outputs, value, scratch, frame)
    frame.put(step.name, value)
    if step.task.routes:
        routes = None if extra.routes is None else frozenset(extra.routes)
        return Outcome(End.OK, payload, scratch, routes)
    return Outcome(End.OK, value, scratch)
