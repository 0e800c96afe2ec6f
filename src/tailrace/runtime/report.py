"""Putting together the report of a failed run from what the engine and the store know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tailrace.engine import RunEnd
from tailrace.model import FlowPlan, RunStatus, RunSummary, ScopePlan, TaskStep
from tailrace.model.plan import (
    AnyStep,
    ForEachStep,
    RepeatStep,
    SubFlowStep,
    SwitchStep,
    UntilStep,
)
from tailrace.model.report import RuntimeExecutionReport
from tailrace.policy import describe, snapshot
from tailrace.ports import TraceReader
from tailrace.tracing.summary import summarize_inputs

_LOOK_BACK = 500
"""Earlier runs of the flow that are looked at for the same failure."""


def fill_report(
    report: RuntimeExecutionReport,
    end: RunEnd,
    plan: FlowPlan,
    params: Mapping[str, Any],
    *,
    reader: TraceReader | None,
) -> RuntimeExecutionReport:
    """Write what is known about how the run failed into ``report`` and return it."""
    report.trace_id = end.run_id
    report.flow = plan.name
    report.status = end.status.value
    report.context_digest = {
        "params": summarize_inputs(params),
        "results": sorted(end.results),
    }
    step = find_step(plan.scope, end.failed_path)
    policy = plan.policy if step is None else step.policy
    report.policy_snapshot = snapshot(policy)
    report.policy = describe(policy)
    if end.failed_path:
        report.failed_node_id = step.name if step is not None else end.failed_path
        report.node_path = end.failed_path
    failure = end.failure
    if failure is not None:
        report.error_type, report.error_message = failure.type, failure.message
        report.category, report.fingerprint = failure.category, failure.fingerprint
        report.cause_chain = [f"{kind}: {message}" for kind, message in failure.causes]
        report.location, report.source_line = failure.location, failure.source_line
    _describe_attempts(report, end, reader)
    report.summary = _summary(report, end)
    report.resumable = reader is not None
    report.next_steps = _next_steps(report)
    if reader is not None and failure is not None:
        report.seen_before = _seen_before(reader, report)
    return report


def find_step(scope: ScopePlan, path: str) -> TaskStep | None:
    """Return the task step of a path such as ``each[3].load``, looking into containers."""
    name = path.rsplit(".", 1)[-1]
    for step in scope.steps:
        if isinstance(step, TaskStep):
            if step.name == name:
                return step
            continue
        for inner in _inner_scopes(step):
            found = find_step(inner, path)
            if found is not None:
                return found
    return None


def _inner_scopes(step: Any) -> Sequence[ScopePlan]:
    match step:
        case SwitchStep():
            bodies = [case.body for case in step.cases]
            return bodies if step.default is None else [*bodies, step.default]
        case ForEachStep() | RepeatStep() | UntilStep():
            return [step.body]
        case AnyStep():
            return step.branches
        case SubFlowStep():
            return [step.flow.scope]
        case _:
            return []


def _describe_attempts(
    report: RuntimeExecutionReport, end: RunEnd, reader: TraceReader | None
) -> None:
    if reader is None or not end.failed_path:
        return
    for span in reader.trace(end.run_id, events=False).spans:
        attributes = span.attributes
        if attributes.get("tailrace.node.path") != end.failed_path:
            continue
        prefix = "tailrace.input."
        inputs = {
            key.removeprefix(prefix): value
            for key, value in attributes.items()
            if key.startswith(prefix)
        }
        if inputs:
            report.input_summary = inputs
        if "tailrace.attempt" in attributes:
            report.attempt = int(attributes["tailrace.attempt"])
        if "tailrace.max_attempts" in attributes:
            report.attempts = int(attributes["tailrace.max_attempts"])


def _summary(report: RuntimeExecutionReport, end: RunEnd) -> str:
    if end.status is RunStatus.CANCELLED:
        return f"Cancelled: {end.reason}"
    reason = f"{report.error_type}: {report.error_message}"
    if report.attempts > 1:
        tried = f"attempt {report.attempt} of {report.attempts}"
        exhausted = report.attempt >= report.attempts
        return (
            f"{'Retry max attempts exceeded' if exhausted else 'Not retried'} ({tried}): {reason}"
        )
    return reason


def _next_steps(report: RuntimeExecutionReport) -> list[str]:
    return [f"tailrace trace show {report.trace_id}"] if report.resumable else []


def _seen_before(reader: TraceReader, report: RuntimeExecutionReport) -> dict[str, Any]:
    earlier = [
        run
        for run in reader.runs(limit=_LOOK_BACK, flow=report.flow)
        if run.run_id != report.trace_id
    ]
    same = [run for run in earlier if _is_same(run, report)]
    success = next((run for run in earlier if run.status is RunStatus.COMPLETED), None)
    seen: dict[str, Any] = {"count": len(same)}
    if same:
        seen["first"] = _day(same[-1].start_ns)
        seen["last"] = _day(same[0].start_ns)
    if success is not None:
        seen["last_success"] = _day(success.start_ns)
    return seen


def _is_same(run: RunSummary, report: RuntimeExecutionReport) -> bool:
    return (
        run.status is RunStatus.FAILED
        and run.failed_node.rsplit(".", 1)[-1] == (report.node_path or "").rsplit(".", 1)[-1]
        and run.reason.split(":", 1)[0] == report.error_type
    )


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, tz=UTC).isoformat(timespec="seconds")
