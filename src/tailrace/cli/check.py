"""``tailrace check``: find what is wrong with flows without running them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from tailrace.cli.arguments import parse_params
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.load_flow import load_checked
from tailrace.cli.options import format_option
from tailrace.cli.problem_text import Problem, annotation, render_problem
from tailrace.cli.report_error import is_missing, problem_of
from tailrace.cli.sarif import to_sarif
from tailrace.cli.session import current_session, finish
from tailrace.model import Finding, Severity


@command(name="check")
@click.argument("targets", metavar="FLOW...", nargs=-1, required=True)
@click.option(
    "-p", "--param", multiple=True, metavar="NAME[=JSON]", help="A param that runs will give."
)
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@format_option("text", "json", "sarif")
def check_flows(
    targets: tuple[str, ...], param: tuple[str, ...], *, strict: bool, output: str
) -> int:
    """Find what is wrong with flows without running them: all of it, not only the first.

    FLOW is flow.yaml, a Python file (flow.py or flow.py:name), or package.module:name.

    \b
      tailrace check flow.yaml
      tailrace check flows/*.yaml --format sarif > findings.sarif
    """  # noqa: D301 - \b is click's mark for lines to keep
    names = parse_params(pair if "=" in pair else f"{pair}=null" for pair in param)
    findings = [found for target in targets for found in load_checked(target, params=names)[1]]
    return show_findings(findings, output, subject=file_count(targets), strict=strict)


def show_findings(
    findings: Sequence[Finding], output: str, *, subject: str, strict: bool = False
) -> int:
    """Write findings and return the exit code: 0, 1 (errors; ``strict``: any finding), 3."""
    terminal = current_session().out
    problems = [problem_of(finding) for finding in findings]
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    failed = 3 if is_missing(findings) else 1
    code = finish(failed if errors or (strict and findings) else 0)
    match output:
        case "json":
            warnings = len(findings) - errors
            body = [problem.to_dict() for problem in problems]
            terminal.lines([pretty({"findings": body, "errors": errors, "warnings": warnings})])
        case "sarif":
            terminal.lines([pretty(to_sarif(problems))])
        case _:
            for problem in problems:
                terminal.lines([*render_problem(problem, terminal), ""])
            terminal.lines([_summary(problems, errors, subject)])
    if os.environ.get("GITHUB_ACTIONS") == "true":
        current_session().err.lines(annotation(problem) for problem in problems)
    return code


def file_count(targets: Sequence[str]) -> str:
    """Return ``1 file``, ``3 files``."""
    return f"{len(targets)} file{'s' * (len(targets) != 1)}"


def _summary(problems: Sequence[Problem], errors: int, subject: str) -> str:
    warnings = len(problems) - errors
    if not problems:
        return f"no problems in {subject}"
    counts = [
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    first = min(problems, key=lambda problem: problem.severity != Severity.ERROR)
    return f"{', '.join(counts)} in {subject}; tailrace explain {first.code}"
