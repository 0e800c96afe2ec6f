"""Running a container step, whatever its kind."""

from __future__ import annotations

from typing import assert_never

from tailrace.engine.binding import Inputs
from tailrace.engine.branches import race, subflow, switch
from tailrace.engine.cancel import CancelScope
from tailrace.engine.container import Container
from tailrace.engine.frame import Frame
from tailrace.engine.loops import foreach, repeat, until
from tailrace.engine.outcome import Outcome
from tailrace.engine.running import Running
from tailrace.errors import ExpressionError, RunError
from tailrace.model import (
    AnyKindOfStep,
    AnyStep,
    ForEachStep,
    RepeatStep,
    SubFlowStep,
    SwitchStep,
    TaskStep,
    UntilStep,
)


async def run_container(
    run: Running,
    step: AnyKindOfStep,
    frame: Frame,
    inputs: Inputs,
    *,
    span: int,
    cancel: CancelScope,
) -> Outcome:
    """Run a container step under ``span`` and return how it ended."""
    match step:
        case SwitchStep():
            container = Container(run, step, frame, inputs, cancel, "switch")
            body = switch(container, step)
        case AnyStep():
            container = Container(run, step, frame, inputs, cancel, "any")
            body = race(container, step)
        case SubFlowStep():
            container = Container(run, step, frame, inputs, cancel, "subflow")
            body = subflow(container, step)
        case ForEachStep():
            container = Container(run, step, frame, inputs, cancel, "foreach")
            body = foreach(container, step)
        case RepeatStep():
            container = Container(run, step, frame, inputs, cancel, "repeat")
            body = repeat(container, step)
        case UntilStep():
            container = Container(run, step, frame, inputs, cancel, "until")
            body = until(container, step)
        case TaskStep():
            raise AssertionError(step)
        case _:
            assert_never(step)
    container.open(span)
    try:
        outcome = await body
    except (ExpressionError, RunError) as error:
        outcome = container.failed(error)
    return container.close(outcome)
