"""How a run ended, told to people, programs and CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.cli.json_text import compact, pretty
from tailrace.cli.problem_text import Problem, annotation
from tailrace.cli.session import current_session
from tailrace.cli.width import clean, cut

if TYPE_CHECKING:
    from tailrace.cli.run import Wishes
    from tailrace.model import Flow
    from tailrace.model.report import RuntimeExecutionReport
    from tailrace.runtime import RunResult


def present(result: RunResult, flow: Flow, wishes: Wishes) -> None:
    """Write result or failure where the options say: standard output, files, CI."""
    session = current_session()
    if result.report is not None:
        _write_report(result.report, wishes)
        _tell_ci(result.report)
    if wishes.output is not None and result.ok:
        _write(wishes.output, pretty(result.output) + "\n")
    if wishes.as_json:
        session.out.lines([pretty(_to_dict(result, flow))])
    elif result.report is not None:
        terminal = session.out
        text = result.report.to_text()
        shown = text if terminal.unicode else text.replace(" · ", " - ").replace(" ⏎ ", " / ")
        terminal.lines(clean(line) for line in shown.splitlines())
    elif result.output is not None and wishes.output is None:
        session.out.lines([pretty(result.output)])
    if not wishes.quiet and not wishes.as_json:
        _last_word(result)


def _last_word(result: RunResult) -> None:
    """Say where to look next, on standard error."""
    terminal = current_session().err
    if result.ok:
        handled = result.handled_failures
        note = f", {handled} failure{'s' * (handled != 1)} handled" if handled else ""
        terminal.lines([terminal.style(f"run {result.run_id} completed{note}", "dim")])


def _to_dict(result: RunResult, flow: Flow) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "flow": flow.name,
        "status": result.status.value,
        "output": result.output,
        "handled_failures": result.handled_failures,
        "report": None if result.report is None else result.report.to_dict(),
    }


def _write_report(report: RuntimeExecutionReport, wishes: Wishes) -> None:
    path = wishes.report_path
    if path is None:
        return
    by_name = "markdown" if path.suffix in (".md", ".markdown") else "json"
    chosen = wishes.report_format or by_name
    _write(path, report.to_markdown() if chosen == "markdown" else report.to_json() + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", "backslashreplace")


def _tell_ci(report: RuntimeExecutionReport) -> None:
    """In GitHub Actions, mark the failure in the log and add the report to the job's summary."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    where = f" at {report.location}" if report.location else ""
    node = f" at node {report.node_path}" if report.node_path else ""
    problem = Problem(code="TR301", message=f"flow failed{node}: {report.summary}{where}")
    current_session().err.lines([annotation(problem)])
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(report.to_markdown() + "\n")


def remember_last_failure(flow: str, folder: Path | None, db: Path | None = None) -> None:
    """Say, when the last run of the flow failed, where, with which input, and how to go on."""
    from tailrace.diary import last_failure  # noqa: PLC0415 - the engine brings it anyway

    entry = last_failure(folder or Path("logs"), flow)
    if entry is None:
        return
    inputs = entry.get("input_summary") or entry.get("params") or {}
    texts = {k: v if isinstance(v, str) else compact(v) for k, v in inputs.items()}
    shown = ", ".join(f"{name}={text}" for name, text in texts.items())
    where = f" at {entry['failed_node']}" if entry.get("failed_node") else ""
    lines = [f"the last run of {flow} failed{where}: {entry.get('summary', '')}"]
    if shown:
        lines.append(f"  with {shown}")
    if entry.get("trace_id"):
        store = "" if db is None else f" --db {db}"
        lines.append(f"  instead of starting anew: tailrace resume {entry['trace_id']}{store}")
    terminal = current_session().err
    room = terminal.width
    terminal.lines(terminal.style(cut(clean(line), room), "yellow") for line in lines)
