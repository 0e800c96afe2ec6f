"""``tailrace run``: run a flow; the result goes to standard output, all else to standard error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tailrace.cli.arguments import parse_changes, parse_params, parse_settings, read_mapping
from tailrace.cli.group import command
from tailrace.cli.read_policy import read_policy
from tailrace.cli.run_options import on_change, resume_options, run_options
from tailrace.cli.session import current_session, finish

if TYPE_CHECKING:
    from tailrace.cli.live import LiveTree
    from tailrace.cli.progress import ProgressLines
    from tailrace.model import Durability, Flow, Policy
    from tailrace.ports import Tracer
    from tailrace.runtime import RunOptions, RunResult
    from tailrace.runtime.resuming import OnChange

_CONTEXT = frozenset({"params", "scratch", "payload"})
"""What a context is made of."""


class Wishes(NamedTuple):
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
    cache: bool
    strict: bool
    watch: bool
    quiet: bool
    as_json: bool
    diary: bool
    timeout: float | None
    dry_run: bool
    resume: str | None
    nodes: tuple[str, ...]
    changes: Mapping[str, Mapping[str, Any]]
    on_change: OnChange
    remote: bool = False
    server: str | None = None
    tag: str | None = None


@command()
@click.argument("target", metavar="FLOW")
@click.option("-p", "--param", multiple=True, metavar="NAME=JSON", help="A param of the flow.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=JSON",
    help="A value in the context, by path; with --resume also an input: NODE.INPUT=JSON.",
)
@click.option("-c", "--context", metavar="JSON|@FILE|-", help="params, scratch and payload.")
@run_options
@resume_options
@click.option(
    "--resume", metavar="RUN", help="Reuse what this run has finished (@last-failed, an id)."
)
@click.option("--dry-run", is_flag=True, help="Check and show the flow; run nothing.")
@click.option("--remote", is_flag=True, help="Let a worker of a server run it; FLOW may be a name.")
@click.option("--server", metavar="URL", help="With --remote: the server; also TAILRACE_SERVER.")
@click.option("--tag", metavar="TAG", help="With --remote: which workers take it.")
def run_flow(**given: Any) -> int:
    """Run a flow and show what happens.

    FLOW is flow.yaml, a Python file (flow.py or flow.py:name), or package.module:name.

    \b
      tailrace run flow.yaml
      tailrace run flow.yaml -p source=other.csv --watch
      tailrace run flow.yaml --resume @last-failed
      tailrace run flow.py --json | jq .output
      tailrace run flow.yaml --remote
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.cli.load_flow import load_flow  # noqa: PLC0415 - help needs no model

    change = on_change(force=given.pop("force"), rerun=given.pop("rerun_changed"))
    inputs, given["settings"] = _told_apart(given["settings"], resumes=bool(given["resume"]))
    wishes = Wishes(**given, changes=parse_changes(inputs), on_change=change)
    context = context_of(wishes)
    if wishes.remote:
        from tailrace.cli.remote_run import run_remote  # noqa: PLC0415 - only with --remote

        return run_remote(context, wishes)
    for option, value in (("--server", wishes.server), ("--tag", wishes.tag)):
        if value:
            raise click.UsageError(f"{option} needs --remote")
    policy = read_policy(wishes.policy)
    params = {*context["params"], *_kept_params(wishes)}
    flow = load_flow(wishes.target, params=params, override=policy, quiet=wishes.quiet)
    if wishes.dry_run:
        return _show_plan(flow)
    return run_and_present(flow, context, policy, wishes)


def _kept_params(wishes: Wishes) -> Mapping[str, Any]:
    """Return the params of the run to go on with."""
    if wishes.resume is None:
        return {}
    from tailrace.runtime.going_on import find_inputs  # noqa: PLC0415 - only with --resume

    return find_inputs(wishes.db, wishes.resume)[1].params


def _told_apart(
    pairs: tuple[str, ...], *, resumes: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the pairs that are for inputs of nodes, and those for the context."""
    if not resumes:
        return (), pairs
    paths = {pair: pair.partition("=")[0] for pair in pairs}
    inputs = [
        pair
        for pair, path in paths.items()
        if "." in path and path.partition(".")[0] not in _CONTEXT
    ]
    return tuple(inputs), tuple(pair for pair in pairs if pair not in inputs)


def context_of(wishes: Wishes) -> Mapping[str, Any]:
    """Return ``params``, ``scratch`` and ``payload`` to start with.

    ``--context`` may hold params alone; ``--set`` and ``--param`` overrule it.
    """
    given = read_mapping(wishes.context, option="--context") if wishes.context else {}
    known = _CONTEXT
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


def run_and_present(
    flow: Flow, context: Mapping[str, Any], policy: Policy | None, wishes: Wishes
) -> int:
    """Run a flow, or go on with a run of it, and show how it ended; return the exit code."""
    from tailrace.cli.outcome import present, remember_last_failure  # noqa: PLC0415 - not for help

    view = _view(flow, wishes)
    if wishes.diary and not wishes.quiet and wishes.resume is None:
        remember_last_failure(flow.name, wishes.output_dir, wishes.db)
    try:
        result = _execute(flow, _options(context, policy, wishes, view), wishes)
    finally:
        if view is not None:
            view.close()
    if result is None:
        run = f"run {wishes.resume}"
        current_session().err.lines([f"{run} has finished everything; name nodes with --from"])
        return 0
    code = finish(exit_code(result, strict=wishes.strict))
    present(result, flow, wishes)
    return code


def _execute(flow: Flow, options: RunOptions, wishes: Wishes) -> RunResult | None:
    """Run, or go on; None when there is nothing to go on with."""
    if wishes.resume is None:
        from tailrace.runtime import execute  # noqa: PLC0415 - only when something runs

        return execute(flow, options)
    from tailrace.runtime.going_on import Resume, resume  # noqa: PLC0415 - only with --resume

    wanted = Resume(
        run_id=wishes.resume,
        nodes=wishes.nodes,
        changes=wishes.changes,
        on_change=wishes.on_change,
    )
    return resume(wanted, options, flow=flow)


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
    from tailrace.tracing.propagation import from_environment  # noqa: PLC0415 - likewise

    return RunOptions(
        context=context,
        policy=policy,
        db=wishes.db,
        durability=_durability(wishes),
        store=False if "none" in wishes.tracer else None,
        tracers=_tracers(wishes, view),
        configured_tracers="none" not in wishes.tracer,
        caller=from_environment(os.environ),
        source="cli",
        handle_signals=True,
        output_dir=wishes.output_dir,
        diary=None if wishes.diary else False,
        timeout=wishes.timeout,
        cache=wishes.cache,
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
    if "otlp" in wishes.tracer:
        from tailrace.runtime.tracers import named_tracers  # noqa: PLC0415 - only on request

        tracers += named_tracers(["otlp"])
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
