"""``tailrace resume``: go on with runs that ended early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tailrace.cli.arguments import parse_changes, parse_params
from tailrace.cli.database import open_local
from tailrace.cli.group import command
from tailrace.cli.load_flow import load_flow
from tailrace.cli.options import store_meant
from tailrace.cli.read_policy import read_policy
from tailrace.cli.run import Wishes, run_and_present
from tailrace.cli.run_options import on_change, resume_options, run_options
from tailrace.cli.session import current_session
from tailrace.errors import DefinitionError, NotFound, TailraceError

_PARTLY = 6
_NEWEST = 500


@command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("-p", "--param", multiple=True, metavar="NAME=JSON", help="A param that differs.")
@click.option(
    "--set", "settings", multiple=True, metavar="NODE.INPUT=JSON", help="Another input for a node."
)
@run_options
@resume_options
@click.option("--server", metavar="URL", help="A run of this server, rather than one of here.")
@click.option("--context", "named", metavar="NAME", help="Of the server of this saved context.")
@click.option("--last", is_flag=True, help="The newest run that did not complete (the default).")
@click.option("--all-interrupted", is_flag=True, help="Every run whose process died, oldest first.")
def resume_run(**given: Any) -> int:
    """Go on with a run: what it has finished is reused, the rest runs.

    RUN is a run id, the beginning of one, @last or @last-failed. The flow is found by itself.

    \b
      tailrace resume                       the newest run that did not complete
      tailrace resume 019aa0c4 --from load  that run, from its node load on
      tailrace resume --set load.rows=3     load again with other rows, and what needs it
      tailrace resume --all-interrupted     after a power cut
      tailrace resume --server URL          the same, of a server; its workers run it
    """  # noqa: D301 - \b is click's mark for lines to keep
    run_id, last, every = given.pop("run_id"), given.pop("last"), given.pop("all_interrupted")
    if sum((run_id is not None, last, every)) > 1:
        raise click.UsageError("name a run, or give --last or --all-interrupted")
    change = on_change(force=given.pop("force"), rerun=given.pop("rerun_changed"))
    changes = parse_changes(given.pop("settings"))
    given |= {"on_change": change, "changes": changes, "context": None, "dry_run": False}
    store = store_meant(given["db"], given.pop("server"), given.pop("named"))
    if not isinstance(store, Path | None):
        from tailrace.cli.remote_resume import resume_at  # noqa: PLC0415 - only with --server

        if every:
            raise click.UsageError("--all-interrupted is for runs here: a server's workers go on")
        return resume_at(store, run_id, Wishes(**given, settings=(), target="", resume=run_id))
    if every:
        return _resume_all(_interrupted(given["db"]), given)
    return _resume(run_id or _unfinished(given["db"]), given)


def _resume(run_id: str, given: dict[str, Any]) -> int:
    from tailrace.runtime.going_on import find_inputs  # noqa: PLC0415 - help needs no runtime

    found, inputs = find_inputs(given["db"], run_id)
    if not inputs.target:
        raise DefinitionError(
            f"the flow of run {found} stood in no file and under no name of a module",
            code="TR350",
            hint="go on with Flow.resume in the program that has the flow",
        )
    wishes = Wishes(**given, settings=(), target=inputs.target, resume=found)
    policy = read_policy(wishes.policy)
    params = parse_params(wishes.param)
    names = {*inputs.params, *params}
    flow = load_flow(inputs.target, params=names, override=policy, quiet=wishes.quiet)
    return run_and_present(flow, {"params": params}, policy, wishes)


def _resume_all(runs: list[str], given: dict[str, Any]) -> int:
    """Go on with each run; 6 when some of them, 1 when all of them did not complete."""
    terminal = current_session().err
    if not runs:
        terminal.lines(["no run was interrupted"])
        return 0
    failed = 0
    for run_id in runs:
        terminal.lines([f"going on with run {run_id}"])
        try:
            failed += _resume(run_id, given) != 0
        except TailraceError as error:
            failed += 1
            terminal.lines([terminal.style(f"error[{error.code}]", "bold red") + f": {error}"])
    if failed == len(runs):
        return 1
    return _PARTLY if failed else 0


def _interrupted(db: Path | None) -> list[str]:
    """Return the interrupted runs that nobody has gone on with yet, oldest first."""
    with open_local(db) as reader:
        runs = reader.runs(limit=_NEWEST, status="INTERRUPTED")
        done = reader.resumed()
    return [run.run_id for run in reversed(runs) if run.run_id not in done]


def _unfinished(db: Path | None) -> str:
    with open_local(db) as reader:
        done = reader.resumed()
        for run in reader.runs(limit=_NEWEST):
            is_over = run.status.is_terminal and run.status != "COMPLETED"
            if is_over and run.run_id not in done:
                return run.run_id
    raise NotFound(
        "every run has completed, or was gone on with",
        hint="list the runs with: tailrace trace list",
    )
