"""A run elsewhere, shown as one here: a line per finished node, the result, the report."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from tailrace.cli.clock_text import duration
from tailrace.cli.json_text import compact, pretty, spelled
from tailrace.cli.progress import mark_line
from tailrace.cli.session import current_session, finish
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace_rows import Mark
from tailrace.cli.width import clean
from tailrace.client.refusals import findings_of
from tailrace.errors import DefinitionError, NotFound, TailraceError
from tailrace.model.report import RuntimeExecutionReport

if TYPE_CHECKING:
    from tailrace.client import Run, TaskRecord
    from tailrace.client.sync import Client

_MARKS = {
    "SUCCEEDED": Mark.DONE,
    "FAILED": Mark.FAILED,
    "CANCELLED": Mark.CANCELLED,
    "SKIPPED": Mark.SKIPPED,
}
_EXIT = {"COMPLETED": 0, "FAILED": 1, "CANCELLED": 130}
_FACTS = {
    "type": "error_type",
    "message": "error_message",
    "category": "category",
    "class": "error_class",
    "rule": "rule",
    "given_up": "given_up",
    "fp_site": "fingerprint",
    "fp_template": "fingerprint_template",
    "location": "location",
    "source_line": "source_line",
}
"""Fields of a failure, and what a report calls them."""
_LOOKS = 4
_PAUSE = 0.1
"""Seconds; the index follows the queue by some milliseconds."""


class RemoteLines:
    """Writes a line for each node whose state has changed since the last time."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._seen: dict[str, tuple[str, int]] = {}
        self._worker: str | None = None

    def show(self, run: Run) -> None:
        """Write what is new."""
        if run.worker_id and run.worker_id != self._worker:
            if self._worker is not None:
                self._say(f"{self._worker} is lost; {run.worker_id} goes on")
            self._worker = run.worker_id
        if run.status == "CANCELLING" and self._seen.get("") != ("CANCELLING", 0):
            self._seen[""] = ("CANCELLING", 0)
            self._say("cancelling")
        for name, state in run.tasks.items():
            record = run.task_records.get(name)
            now = (state, 1 if record is None else record.attempt)
            if self._seen.get(name) != now:
                self._task(name, state, record, is_new=name not in self._seen)
                self._seen[name] = now
        self._terminal.stream.flush()

    def close(self) -> None:
        """Nothing is left to write."""

    def _task(self, name: str, state: str, record: TaskRecord | None, *, is_new: bool) -> None:
        mark = _MARKS.get(state)
        if mark is not None:
            took = "" if record is None or record.duration_ms is None else _took(record)
            self._terminal.lines([mark_line(self._terminal, mark, name, took, _note(record))])
        elif state == "RUNNING" and record is not None and record.attempt > 1 and not is_new:
            why = f": {_first_line(record.error)}" if record.error else ""
            note = f"attempt {record.attempt}{why}"
            self._terminal.lines([mark_line(self._terminal, Mark.RUNNING, name, "", note)])

    def _say(self, text: str) -> None:
        self._terminal.lines([self._terminal.style(clean(text), "dim")])


def _took(record: TaskRecord) -> str:
    return duration(round((record.duration_ms or 0.0) * 1e6))


def _note(record: TaskRecord | None) -> str:
    if record is None:
        return ""
    notes = [f"{record.attempt} attempts"] if record.attempt > 1 else []
    notes += [_first_line(record.error)] if record.error else []
    return " · ".join(notes)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def exit_code(run: Run) -> int:
    """Return the exit code of a run that is over."""
    return _EXIT[run.status]


def present(run: Run, client: Client, *, as_json: bool = False, quiet: bool = False) -> int:
    """Show how a run ended, as ``tailrace run`` does, and return the exit code.

    Raises:
        DefinitionError: the run could not begin; ``findings`` say all that is wrong.
    """
    if run.findings:
        raise DefinitionError(
            run.error or f"run {run.run_id} could not begin",
            details={"run_id": run.run_id, "dead_letter": run.letter},
            findings=findings_of(run.findings),
        )
    code = finish(exit_code(run))
    session = current_session()
    report = None if run.ok else report_of(run, client)
    if as_json:
        session.out.lines([pretty(result_of(run, report))])
        return code
    if report is not None:
        text = report.to_text()
        shown = text if session.out.unicode else text.replace(" · ", " - ").replace(" ⏎ ", " / ")
        session.out.lines(clean(line) for line in shown.splitlines())
        _tell_ci(report)
    elif run.output is not None:
        session.out.lines([pretty(run.output)])
    if run.ok and not quiet:
        session.err.lines([session.err.style(f"run {run.run_id} completed", "dim")])
    return code


def result_of(run: Run, report: RuntimeExecutionReport | None) -> dict[str, Any]:
    """Return the result of a run for programs, with the keys of ``tailrace run --json``."""
    return {
        "run_id": run.run_id,
        "flow": run.flow_name,
        "status": run.status,
        "output": run.output,
        "report": None if report is None else report.to_dict(),
        "worker": run.worker_id,
    }


def report_of(run: Run, client: Client) -> RuntimeExecutionReport:
    """Return what the server knows of a failure, in the form of a local report."""
    record = run.task_records.get(run.failed_node)
    known = _failure(run, client)
    report = RuntimeExecutionReport(
        trace_id=run.run_id,
        flow=run.flow_name,
        status=run.status,
        failed_node_id=run.failed_node or None,
        summary=run.error or (run.cancel_reason if run.status == "CANCELLED" else ""),
        attempt=0 if record is None else record.attempt,
        input_summary={} if record is None else dict(record.inputs),
        failure_id=run.failure_id,
        dead_letter=run.letter,
        resumable=True,
        next_steps=_next_steps(run, client.target.server),
    )
    for key, name in _FACTS.items():
        if known.get(key):
            setattr(report, name, str(known[key]))
    if report.error_type and run.status == "FAILED":
        report.summary = _summary(report)
    if run.seen_before:
        report.seen_before = {"count": run.seen_before}
    return report


def _summary(report: RuntimeExecutionReport) -> str:
    """Return the reason as a report of a run here begins it: with the type of the exception."""
    reason = f"{report.error_type}: {report.error_message}"
    if report.summary not in (report.error_message, reason):
        return report.summary
    return reason if report.failed_node_id else report.error_message


def _failure(run: Run, client: Client) -> dict[str, Any]:
    """Return what the index knows of the failure; what it does not say is no reason to fail."""
    if not run.failure_id:
        return {}
    from tailrace.client.calls import document  # noqa: PLC0415 - only for failures

    call = document(f"/api/failures/{run.failure_id}", may_repeat=False)
    for look in range(_LOOKS):
        try:
            found = client.send(call)
        except NotFound:
            time.sleep(_PAUSE if look + 1 < _LOOKS else 0.0)
        except TailraceError:
            return {}
        else:
            return found if isinstance(found, dict) else {}
    return {}


def _next_steps(run: Run, server: str) -> list[str]:
    steps = [f"tailrace runs show {run.run_id}", f"tailrace resume {run.run_id} --server {server}"]
    if run.letter:
        steps.append(f"tailrace dlq redrive {run.letter} --server {server}")
    return steps


def _tell_ci(report: RuntimeExecutionReport) -> None:
    """In GitHub Actions, mark the failure in the log."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from tailrace.cli.problem_text import Problem, annotation  # noqa: PLC0415 - only there

    node = f" at node {report.failed_node_id}" if report.failed_node_id else ""
    problem = Problem(code="TR301", message=f"flow failed{node}: {report.summary}")
    current_session().err.lines([annotation(problem)])


def as_line(value: Any) -> str:
    """Return one line of JSON."""
    return spelled(compact(value))
