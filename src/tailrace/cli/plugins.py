"""``tailrace plugins``: what is installed, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tailrace.cli.check import show_findings
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Cell, Column, render_markdown, render_table

if TYPE_CHECKING:
    from tailrace.flows.discovery import PluginReport

_COLUMNS = (
    Column(title="PLUG-IN"),
    Column(title="STATE"),
    Column(title="PACKAGE", drop=2),
    Column(title="FROM", drop=1),
    Column(title="TASKS", flex=True),
)


@command()
@format_option("table", "json", "markdown")
def list_plugins(output: str) -> int:
    """List plug-ins (entry points tailrace.tasks and pyoco.tasks, allowed modules) and their tasks.

    A plug-in that does not work is listed with its reason and takes no other down.
    """
    from tailrace.flows import discovery  # noqa: PLC0415 - help needs no plug-ins

    found = discovery.list_plugins()
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty(found)])
        case "markdown":
            terminal.lines(render_markdown(_COLUMNS, [_row(report) for report in found]))
        case _ if found:
            terminal.lines(render_table(_COLUMNS, [_row(report) for report in found], terminal))
        case _:
            current_session().err.lines(["no plug-ins are installed"])
    return 0


@command()
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@format_option("text", "json", "sarif")
def lint(*, strict: bool, output: str) -> int:
    """Find plug-ins that cannot be used, or will not be usable for long."""
    from tailrace.flows import discovery  # noqa: PLC0415 - help needs no plug-ins

    findings = discovery.lint_plugins()
    count = len(discovery.list_plugins())
    subject = f"{count} plug-in{'s' * (count != 1)}"
    return show_findings(findings, output, subject=subject, strict=strict)


def _row(report: PluginReport) -> list[str | Cell]:
    package = f"{report.distribution} {report.version}".strip() or "-"
    state = Cell("broken", "red") if report.error else Cell("ok", "green")
    what = report.error or ", ".join(report.tasks) or "-"
    return [report.name, state, package, report.value, what]
