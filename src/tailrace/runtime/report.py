"""Putting together the report of a failed run from what the engine and the store know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tailrace.engine import RunEnd
from tailrace.errors import NotFound
from tailrace.model import FlowPlan, RunStatus, RunSummary, ScopePlan, TaskStep, Trace
from tailrace.model.failure import FailureFilter, Hop
from tailrace.model.journal import FailureRecord
from tailrace.model.plan import inner_scopes
from tailrace.model.report import RuntimeExecutionReport
from tailrace.policy import describe, snapshot
from tailrace.ports import DeadLetters, FailureLog, TraceReader
from tailrace.tracing.summary import summarize_inputs


def fill_report(
    report: RuntimeExecutionReport,
    end: RunEnd,
    plan: FlowPlan,
    params: Mapping[str, Any],
    *,
    reader: TraceReader | None = None,
    failures: FailureLog | None = None,
    letters: DeadLetters | None = None,
) -> RuntimeExecutionReport:
    """Write what is known about how the run failed into ``report`` and return it.

    ``reader``, ``failures`` and ``letters`` are the store the run was written to; what only a
    missing one knows stays empty.
    """
    _describe_run(report, end, plan, params)
    if end.failure is not None:
        _describe_failure(report, end.failure)
    trace = None if reader is None else reader.trace(end.run_id, events=False)
    if trace is not None:
        _describe_attempts(report, trace, end.failed_path)
    report.summary = _summary(report, end)
    report.resumable = reader is not None
    if end.failure is not None and failures is not None:
        _describe_way(report, failures, letters)
    if end.failure is not None and reader is not None and trace is not None:
        report.seen_before = _seen_before(report, trace.run, reader, failures)
    report.next_steps = _next_steps(report, has_log=failures is not None)
    return report


def _describe_run(
    report: RuntimeExecutionReport, end: RunEnd, plan: FlowPlan, params: Mapping[str, Any]
) -> None:
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


def _describe_failure(report: RuntimeExecutionReport, failure: FailureRecord) -> None:
    report.failure_id = failure.failure_id
    report.error_type, report.error_message = failure.type, failure.message
    report.category, report.error_class = failure.category, failure.class_
    report.rule, report.given_up = failure.rule, failure.given_up
    report.fingerprint = failure.fingerprint
    report.fingerprint_template = failure.fp_template
    report.cause_chain = [f"{kind}: {message}" for kind, message in failure.causes]
    report.children = [f"{kind}: {message}" for kind, message in failure.children]
    report.location, report.source_line = failure.location, failure.source_line


def find_step(scope: ScopePlan, path: str) -> TaskStep | None:
    """Return the task step of a path such as ``each[3].load``, looking into containers."""
    name = path.rsplit(".", 1)[-1]
    for step in scope.steps:
        if isinstance(step, TaskStep) and step.name == name:
            return step
        for inner in inner_scopes(step):
            found = find_step(inner, path)
            if found is not None:
                return found
    return None


def _describe_attempts(report: RuntimeExecutionReport, trace: Trace, failed_path: str) -> None:
    if not failed_path:
        return
    for span in trace.spans:
        attributes = span.attributes
        if attributes.get("tailrace.node.path") != failed_path:
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


def _describe_way(
    report: RuntimeExecutionReport, failures: FailureLog, letters: DeadLetters | None
) -> None:
    """Write which scopes the failure went through, and the letter it ended in."""
    try:
        found = failures.failure(report.failure_id) if report.failure_id else None
    except NotFound:
        found = None  # beyond the flood limit failures are counted only
    if found is not None:
        report.trail = [_hop_to_dict(hop) for hop in found.trail]
        report.given_up = found.given_up or report.given_up
    if letters is not None:
        kept = letters.letters(FailureFilter(run=report.trace_id), limit=1)
        report.dead_letter = kept[0].dl_id if kept else ""


def _hop_to_dict(hop: Hop) -> dict[str, Any]:
    return {
        "level": hop.level,
        "path": list(hop.path),
        "directive": hop.directive,
        "policy": hop.policy_ref,
        "reason": hop.reason,
        "at": _instant(hop.at_ns),
    }


def _next_steps(report: RuntimeExecutionReport, *, has_log: bool) -> list[str]:
    steps = [f"tailrace trace show {report.trace_id}"] if report.resumable else []
    if has_log and report.failure_id:
        steps.append(f"tailrace failures show {report.failure_id}")
    if report.dead_letter:
        steps.append(f"tailrace resume {report.trace_id}")
    return steps


def _seen_before(
    report: RuntimeExecutionReport,
    run: RunSummary,
    reader: TraceReader,
    failures: FailureLog | None,
) -> dict[str, Any]:
    """Return how often the same failure was seen before this run, and when the flow last did well.

    Each is one look-up in an index, however many runs there are.
    """
    seen: dict[str, Any] = {}
    if failures is not None and report.fingerprint:
        earlier = FailureFilter(fingerprint=report.fingerprint, until_ns=run.start_ns)
        seen["count"] = failures.counts(earlier).get("total", {}).get("failures", 0)
        if seen["count"]:
            groups = failures.groups(FailureFilter(fingerprint=report.fingerprint), limit=1)
            newest = failures.failures(earlier, limit=1)
            if groups:
                seen["first"] = _instant(groups[0].first_ns)
            if newest:
                seen["last"] = _instant(newest[0].captured_ns)
    success = reader.runs(limit=1, status=RunStatus.COMPLETED.value, flow=report.flow)
    if success:
        seen["last_success"] = _instant(success[0].start_ns)
    return seen


def _instant(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, tz=UTC).isoformat(timespec="seconds")
