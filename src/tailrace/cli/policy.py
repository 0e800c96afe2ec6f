"""``tailrace policy``: what a flow's policies say, and where each value comes from."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.check import file_count, show_findings
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.load_flow import load_checked, load_flow
from tailrace.cli.options import format_option
from tailrace.cli.read_policy import read_policy
from tailrace.cli.session import current_session
from tailrace.cli.table_text import Column, render_markdown, render_table
from tailrace.errors import NotFound

if TYPE_CHECKING:
    from tailrace.model import EffectivePolicy, Finding, Flow, Policy, TaskNode

_COLUMNS = (Column(title="FIELD"), Column(title="VALUE", flex=True), Column(title="FROM"))
_CODES = tuple(f"TR17{digit}" for digit in range(10))

override_option = click.option(
    "--policy", metavar="JSON|@FILE", help="The policy that tailrace run would be given."
)


@command()
@click.argument("targets", metavar="FLOW...", nargs=-1, required=True)
@override_option
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@format_option("text", "json", "sarif")
def lint(targets: tuple[str, ...], policy: str | None, *, strict: bool, output: str) -> int:
    """Find what is wrong with the policies of flows; other findings are left to check."""
    override = read_policy(policy)
    findings: list[Finding] = []
    for target in targets:
        flow, found = load_checked(target, override=override)
        findings += found if flow is None else (one for one in found if one.code in _CODES)
    return show_findings(findings, output, subject=file_count(targets), strict=strict)


@command()
@click.argument("target", metavar="FLOW")
@click.argument("node", required=False)
@override_option
@format_option("table", "json", "markdown")
def explain(target: str, node: str | None, policy: str | None, output: str) -> int:
    """Show a node's policy, each value with the level it comes from.

    Levels: default < flow < --policy < node. Without NODE: the policy of the flow.

    \b
      tailrace policy explain flow.yaml load
      tailrace policy explain flow.yaml load --policy '{"timeout": "5s"}'
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.policy import explain as explained  # noqa: PLC0415 - help needs no policies

    override = read_policy(policy)
    flow = load_flow(target, override=override)
    rows = explained(_effective(flow, node, override))
    terminal = current_session().out
    match output:
        case "json":
            body = {name: {"value": value, "from": origin} for name, value, origin in rows}
            terminal.lines([pretty(body)])
        case "markdown":
            terminal.lines(render_markdown(_COLUMNS, _texts(rows)))
        case _:
            terminal.lines(render_table(_COLUMNS, _texts(rows), terminal))
    return 0


def _effective(flow: Flow, node: str | None, override: Policy | None) -> EffectivePolicy:
    from tailrace.flows.levels import Policies  # noqa: PLC0415 - help needs no flows
    from tailrace.policy.project import project_policy  # noqa: PLC0415 - likewise
    from tailrace.settings import load_settings  # noqa: PLC0415 - likewise

    policies = Policies(flow, override, project_policy(load_settings().failures))
    if node is None:
        return policies.flow
    known = _task_nodes(flow)
    if node not in known:
        near = get_close_matches(node, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise NotFound(
            f"flow {flow.name!r} has no task node {node!r} (known: {', '.join(known)}){meant}",
            code="TR003",
        )
    return policies.of(known[node])


def _task_nodes(flow: Flow) -> dict[str, TaskNode]:
    from tailrace.flows.tree import walk  # noqa: PLC0415 - help needs no flows
    from tailrace.model import TaskNode  # noqa: PLC0415 - likewise

    nodes = [] if flow.root is None else list(walk(flow.root))
    found = {node.name: node for node in nodes if isinstance(node, TaskNode)}
    return {**flow.handlers, **found}


def _texts(rows: list[tuple[str, Any, str]]) -> list[tuple[str, str, str]]:
    return [(name, _text(value), origin) for name, value, origin in rows]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else compact(value)
