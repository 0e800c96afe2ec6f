"""``tailrace tasks``: what a flow can use."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.load_flow import load_flow
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean
from tailrace.errors import NotFound

if TYPE_CHECKING:
    from tailrace.flows.discovery import TaskInfo

_COLUMNS = (
    Column(title="TASK"),
    Column(title="ORIGIN", drop=2),
    Column(title="PARAMETERS", drop=1),
    Column(title="SUMMARY", flex=True),
)
_PARAMETERS = (
    Column(title="PARAMETER"),
    Column(title="TYPE", drop=1),
    Column(title="DEFAULT"),
    Column(title="MEANING", flex=True),
)


@command()
@click.argument("target", metavar="FLOW", required=False)
@format_option("table", "json", "jsonl", "markdown")
def list_tasks(target: str | None, output: str) -> int:
    """List the tasks that plug-ins and allowed modules offer to use:, or those of FLOW.

    \b
      tailrace tasks list
      tailrace tasks list flow.yaml
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = tasks_of(target)
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty(found)])
        case "jsonl":
            terminal.lines(compact(task) for task in found)
        case "markdown":
            terminal.lines(render_markdown(_COLUMNS, [_row(task) for task in found]))
        case _ if found:
            terminal.lines(render_table(_COLUMNS, [_row(task) for task in found], terminal))
        case _:
            current_session().err.lines(
                ["no plug-in offers a task; tailrace tasks list FLOW lists those of a flow"]
            )
    return 0


@command()
@click.argument("name", metavar="TASK")
@click.option("--flow", "target", metavar="FLOW", help="Look among the tasks of this flow.")
@format_option("text", "json")
def show(name: str, target: str | None, output: str) -> int:
    """Show a task's parameters, types and documentation.

    \b
      tailrace tasks show warehouse/load
      tailrace tasks show clean --flow flow.yaml
    """  # noqa: D301 - \b is click's mark for lines to keep
    known = {task.name: task for task in tasks_of(target)}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        names = ", ".join(sorted(known)) or "none"
        raise NotFound(f"there is no task {name!r} (tasks: {names}){meant}", code="TR003")
    terminal = current_session().out
    if output == "json":
        terminal.lines([pretty(known[name])])
    else:
        terminal.lines(_text(known[name], terminal))
    return 0


def tasks_of(target: str | None) -> list[TaskInfo]:
    """Return the tasks of a flow by name; without one, those that plug-ins offer."""
    from tailrace.flows import discovery  # noqa: PLC0415 - help needs no plug-ins

    if target is None:
        return discovery.list_tasks()
    from tailrace.flows.tree import walk  # noqa: PLC0415 - help needs no flows
    from tailrace.model import TaskNode  # noqa: PLC0415 - likewise

    flow = load_flow(target, quiet=True)
    nodes = [*([] if flow.root is None else walk(flow.root)), *flow.handlers.values()]
    specs = {node.task.name: node.task for node in nodes if isinstance(node, TaskNode)}
    return [discovery.describe_task(specs[name]) for name in sorted(specs)]


def _row(task: TaskInfo) -> list[str]:
    return [task.name, task.origin, ", ".join(p.name for p in task.parameters), task.summary]


def _text(task: TaskInfo, terminal: Terminal) -> list[str]:
    returns = f" -> {task.returns}" if task.returns else ""
    signature = ", ".join(_signature(parameter) for parameter in task.parameters)
    lines = [
        terminal.style(clean(f"{task.name}({signature}){returns}"), "bold"),
        clean(f"{task.kind} task, {task.reference}, from {task.origin or 'python'}"),
    ]
    if task.doc:
        lines += ["", *(clean(line) for line in task.doc.splitlines())]
    if task.parameters:
        rows = [(p.name, p.type or "-", p.default or "-", p.doc or "-") for p in task.parameters]
        lines += ["", *render_table(_PARAMETERS, rows, terminal)]
    if task.usage:
        lines += ["", *(clean(line) for line in task.usage.splitlines())]
    return lines


def _signature(parameter: Any) -> str:
    kind = f": {parameter.type}" if parameter.type else ""
    default = f" = {parameter.default}" if parameter.default is not None else ""
    return f"{parameter.name}{kind}{default}"
