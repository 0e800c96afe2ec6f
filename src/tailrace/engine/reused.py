"""Settling a step with what an earlier run of the lineage left of it."""

from __future__ import annotations

from typing import Any

from tailrace.engine.frame import Frame
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.outputs import write_outputs
from tailrace.engine.reuse import Extra
from tailrace.engine.running import Running
from tailrace.engine.scratch import Scratch
from tailrace.model import NodeReused, TaskStep


def reuse_step(
    run: Running, step: TaskStep, frame: Frame, payload: Any, scratch: Scratch, around: int
) -> Outcome | None:
    """Record and return the outcome of a step that has finished earlier; None when it has not."""
    reuse = run.request.reuse
    path = frame.prefix + step.name
    found = None if reuse is None else reuse.value(path)
    if found is None:
        return None
    value, extra, run_id = found
    shape = run.shape(run.facts(step))
    shown = "" if path == step.name else path
    run.outbox.append(
        NodeReused(run.next_span(), around, shape, step.name, shown, run.now(), run_id)
    )
    return settled(step, frame, payload, scratch, value, extra)


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
