"""``tailrace run``: run a flow; the result goes to standard output, all else to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.arguments import parse_params, parse_settings, read_mapping
from tailrace.cli.group import command
from tailrace.cli.options import db_option, seconds
from tailrace.cli.read_policy import read_policy
from tailrace.cli.session import current_session, finish

if TYPE_CHECKING:
    from tailrace.cli.live import LiveTree
    from tailrace.cli.progress import ProgressLines
    from tailrace.model import Durability, Flow, Policy
    from tailrace.ports import Tracer
    from tailrace.runtime import RunOptions, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of ``tailrace run`` as they were given."""

    target: str
    param: tuple[str, ...]
    settings: tuple[str, ...]
    context: str | None
    policy: str | None
    tracer: tuple[str, ...]
    db: Path | None
    durability: str | None
    output: Path | None
    output_dir: Path | None
    report_path: Path | None
    report_format: str | None
    strict: bool
    watch: bool
    quiet: bool
    as_json: bool
    diary: bool
    timeout: float | None
    dry_run: bool


@command()
@click.argument("target", metavar="FLOW")
@click.option("-p", "--param", multiple=True, metavar="NAME=JSON", help="A param of the flow.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=JSON", help="A value in the context, by path."
)
@click.option("-c", "--context", metavar="JSON|@FILE|-", help="params, scratch and payload.")
@click.option("--policy", metavar="JSON|@FILE", help="Overrides the flow's policy.")
@click.option(
    "--tracer",
    multiple=True,
    type=click.Choice(["console", "sqlite", "none"]),
    help="sqlite (always, unless none is given); console adds a line per span.",
)
@db_option
@click.option(
    "--durability",
    type=click.Choice(["process", "power", "relaxed"]),
    help="What a commit survives.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result here."
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the diary and of artifacts.",
)
@click.option(
    "--report-path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the failure report here.",
)
@click.option("--report-format", type=click.Choice(["json", "markdown"]), help="How to write it.")
@click.option("--strict", is_flag=True, help="Exit 1 when a failure was handled, too.")
@click.option("--watch", is_flag=True, help="Show the run as a live tree.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no warnings.")
@click.option("--json", "as_json", is_flag=True, help="Result or failure as one JSON object.")
@click.option("--diary/--no-diary", default=True, help="Write runtime_execution.log.")
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=seconds,
    help="Cancel the run after this time (exit 124).",
)
@click.option("--dry-run", is_flag=True, help="Check and show the flow; run nothing.")
def run_flow(**given: Any) -> int:
    """Run a flow and show what happens.

    FLOW is flow.yaml, a Python file (flow.py or flow.py:name), or package.module:name.

    \b
      tailrace run flow.yaml
      tailrace run flow.yaml -p source=other.csv --watch
      tailrace run flow.py --json | jq .output
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.load_flow import load_flow  # noqa: PLC0415 - help needs no model

    wishes = Wishes(**given)
    context = _context(wishes)
    policy = read_policy(wishes.policy)
    flow = load_flow(wishes.target, params=context["params"], override=policy, quiet=wishes.quiet)
    if wishes.dry_run:
        return _show_plan(flow)
    return _run(flow, context, policy, wishes)


def _context(wishes: Wishes) -> Mapping[str, Any]:
    """Return ``params``, ``scratch`` and ``payload`` to start with.

    ``--context`` may hold params alone; ``--set`` and ``--param`` overrule it.
    """
    given = read_mapping(wishes.context, option="--context") if wishes.context else {}
    known = {"params", "scratch", "payload"}
    context: dict[str, Any] = given if given and set(given) <= known else {"params": given}
    paths = [
        pair if pair.partition("=")[0].partition(".")[0] in known else f"params.{pair}"
        for pair in wishes.settings
    ]
    context = parse_settings(paths, context)
    params = context.get("params")
    if params is not None and not isinstance(params, dict):
        raise click.UsageError(f"--context: params must be an object, not {params!r}")
    context["params"] = {**(params or {}), **parse_params(wishes.param)}
    return context


def _show_plan(flow: Flow) -> int:
    """Show a flow that ``load_flow`` has found good to run."""
    from tailrace.flows import views  # noqa: PLC0415 - only with --dry-run

    terminal = current_session().out
    terminal.lines(views.tree(flow, ascii_only=not terminal.unicode).splitlines())
    current_session().err.lines(["nothing was run; run it without --dry-run"])
    return 0


def _run(flow: Flow, context: Mapping[str, Any], policy: Policy | None, wishes: Wishes) -> int:
    from tailrace.cli.outcome import present, remember_last_failure  # noqa: PLC0415 - not for help
    from tailrace.runtime import execute  # noqa: PLC0415 - the engine, only when something runs

    view = _view(flow, wishes)
    if wishes.diary and not wishes.quiet:
        remember_last_failure(flow.name, wishes.output_dir)
    try:
        result = execute(flow, _options(context, policy, wishes, view))
    finally:
        if view is not None:
            view.close()
    code = finish(exit_code(result, strict=wishes.strict))
    present(result, flow, wishes)
    return code


def _view(flow: Flow, wishes: Wishes) -> LiveTree | ProgressLines | None:
    if wishes.quiet:
        return None
    terminal = current_session().err
    if wishes.watch and terminal.is_tty:
        from tailrace.cli.live import LiveTree, live_terminal, planned_names  # noqa: PLC0415 - one of two views

        return LiveTree(live_terminal(terminal), flow.name, planned_names(flow))
    from tailrace.cli.progress import ProgressLines  # noqa: PLC0415 - one of two views

    return ProgressLines(terminal)


def _options(
    context: Mapping[str, Any],
    policy: Policy | None,
    wishes: Wishes,
    view: LiveTree | ProgressLines | None,
) -> RunOptions:
    from tailrace.runtime import RunOptions  # noqa: PLC0415 - the engine, only when it is needed

    return RunOptions(
        context=context,
        policy=policy,
        db=wishes.db,
        durability=_durability(wishes),
        store=False if "none" in wishes.tracer else None,
        tracers=_tracers(wishes, view),
        source="cli",
        handle_signals=True,
        output_dir=wishes.output_dir,
        diary=None if wishes.diary else False,
        timeout=wishes.timeout,
        echo=_silent if view is None else view.echo,
    )


def _durability(wishes: Wishes) -> Durability | None:
    from tailrace.model import Durability  # noqa: PLC0415 - help needs no model

    return None if wishes.durability is None else Durability(wishes.durability)


def _tracers(wishes: Wishes, view: LiveTree | ProgressLines | None) -> tuple[Tracer, ...]:
    tracers: list[Tracer] = [] if view is None else [view]
    if "console" in wishes.tracer:
        from tailrace.tracing.console import ConsoleTracer  # noqa: PLC0415 - only on request

        tracers.append(ConsoleTracer(current_session().err.stream))
    return tuple(tracers)


def _silent(stream: str, text: str) -> None:
    """Keep what tasks print to the trace alone."""


def exit_code(result: RunResult, *, strict: bool) -> int:
    """Return the exit code of a run: 0, 1 (failed), 124 (timeout) or 130 (cancelled)."""
    from tailrace.model import RunStatus  # noqa: PLC0415 - help needs no model

    if result.timed_out:
        return 124
    if result.status is RunStatus.CANCELLED:
        return 130
    if result.status is not RunStatus.COMPLETED:
        return 1
    return 1 if strict and result.handled_failures else 0
