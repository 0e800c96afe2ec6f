"""Steps that choose or race branches, and flows inside flows."""

from __future__ import annotations

import asyncio
from typing import Any

from tailrace.engine.binding import getter
from tailrace.engine.cancel import CancelScope
from tailrace.engine.container import (
    Container,
    close_scope,
    open_scope,
    outcome_of,
    run_scope,
)
from tailrace.engine.frame import FlowFrame, Frame
from tailrace.engine.outcome import End, Outcome
from tailrace.engine.running import Running, ScopeEnd
from tailrace.engine.scratch import Scratch
from tailrace.errors import RunError
from tailrace.model import (
    AnyStep,
    CasePlan,
    FlowPlan,
    NodeState,
    ScopePlan,
    SubFlowStep,
    SwitchStep,
)
from tailrace.tracing.summary import summarize, summarize_inputs


class SwitchNoMatch(RunError):  # noqa: N818 - the name of the older system
    """The value of a switch equals no case, and there is no default."""

    default_code = "TR303"


async def switch(container: Container, step: SwitchStep) -> Outcome:
    """Run the branch whose key equals the value of ``on``."""
    value = container.evaluate(step.on)
    container.attributes["on"] = summarize(value)
    kept = container.run.decision(container.path)
    case = _matching(container, step.cases, value)
    if kept is not None:
        case = next((case for case in step.cases if case.label == kept), None)
    if case is None and step.default is None:
        known = ", ".join(case.label for case in step.cases)
        raise SwitchNoMatch(
            f"no case of switch {container.path!r} equals {summarize(value)!r} (cases: {known})",
            hint="add the case, or a default",
        )
    label, plan = ("default", step.default) if case is None else (case.label, case.body)
    assert plan is not None  # noqa: S101 - settled by the check above
    container.attributes["executed_branch_key"] = label
    branch = open_scope(container, "branch", f"{container.name}:{label}", {"branch_key": label})
    frame = container.child_frame()
    end = await run_scope(
        container,
        plan,
        frame,
        span=branch,
        payload=container.inputs.payload,
        scratch=container.scratch,
    )
    close_scope(container, branch, end.state, end.failure)
    container.frame.adopt(frame)
    return outcome_of(end)


def _matching(container: Container, cases: tuple[CasePlan, ...], value: Any) -> CasePlan | None:
    for case in cases:
        key = case.key
        if hasattr(key, "evaluate"):
            key = container.evaluate(key)
        if isinstance(key, bool) is isinstance(value, bool) and key == value:
            return case
    return None


async def race(container: Container, step: AnyStep) -> Outcome:
    """Run all branches; the first success wins, the others are cancelled and drain behind it."""
    run = container.run
    loop = asyncio.get_running_loop()
    cancels = [CancelScope(container.cancel) for _ in step.branches]
    tasks: dict[asyncio.Task[ScopeEnd], int] = {}
    frames: list[Frame] = []
    kept = run.decision(container.path)
    for index, plan in enumerate(step.branches):
        frame = container.child_frame()
        frames.append(frame)
        if kept in step.labels and step.labels[index] != kept:
            continue
        task = loop.create_task(_branch(container, step, index, plan, frame, cancels[index]))
        tasks[task] = index
        run.active += 1
        task.add_done_callback(run.task_over)
    winner, losses = await _first_success(run, tasks)
    for index, cancel in enumerate(cancels):
        if index != winner:
            cancel.cancel("another branch was first")
    run.background.update(task for task in tasks if not task.done())
    if winner is None:
        failed = next((end for end in losses if end.state is NodeState.FAILED), None)
        return outcome_of(failed) if failed is not None else Outcome(End.CANCELLED)
    container.attributes["executed_branch_key"] = step.labels[winner]
    container.frame.adopt(frames[winner])
    end = next(task for task, index in tasks.items() if index == winner).result()
    return outcome_of(end)


async def _first_success(
    run: Running, tasks: dict[asyncio.Task[ScopeEnd], int]
) -> tuple[int | None, list[ScopeEnd]]:
    waiting = set(tasks)
    losses: list[ScopeEnd] = []
    while waiting:
        run.active -= 1
        try:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            run.active += 1
        for task in sorted(done, key=lambda task: tasks[task]):
            end = task.result()
            if end.state is NodeState.SUCCEEDED:
                return tasks[task], losses
            losses.append(end)
    return None, losses


async def _branch(
    container: Container,
    step: AnyStep,
    index: int,
    plan: ScopePlan,
    frame: Frame,
    cancel: CancelScope,
) -> ScopeEnd:
    label = step.labels[index]
    span = open_scope(container, "branch", f"{container.name}:{label}", {"branch_key": label})
    end = await run_scope(
        container,
        plan,
        frame,
        span=span,
        payload=container.inputs.payload,
        scratch=container.scratch.fork(),
        cancel=cancel,
    )
    close_scope(container, span, end.state, end.failure)
    return end


async def subflow(container: Container, step: SubFlowStep) -> Outcome:
    """Run another flow with params of its own."""
    inputs = container.inputs
    params = {name: getter(source)(inputs) for name, source in step.inputs.items()}
    container.attributes["flow"] = step.flow.name
    for name, summary in summarize_inputs(params).items():
        container.attributes[f"input.{name}"] = summary
    frame = subflow_frame(step.flow, params, container)
    end = await run_scope(
        container,
        step.flow.scope,
        frame,
        span=container.span,
        payload=inputs.payload,
        scratch=Scratch(),
    )
    outcome = outcome_of(end)
    outcome.scratch = container.scratch
    return outcome


def subflow_frame(flow: FlowPlan, params: dict[str, Any], container: Container) -> Frame:
    """Return the outermost frame of a flow run inside another."""
    inner = FlowFrame({**flow.defaults, **params}, flow.expose_env, container.frame.flow.artifacts)
    segments = (*container.segments, f"flow:{flow.name}")
    return Frame(inner, prefix=f"{container.path}.", segments=segments)
