"""``tailrace resume`` with a server: its workers go on with a run, shown as if it went on here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from tailrace.cli.arguments import parse_params, read_mapping
from tailrace.cli.remote import LAST, LAST_FAILED, Server, find_run, open_client
from tailrace.cli.remote_run import to_its_end
from tailrace.cli.session import current_session
from tailrace.client.calls import post
from tailrace.client.traces import RemoteTraces
from tailrace.errors import Conflict, NotFound, RunError

if TYPE_CHECKING:
    from tailrace.cli.run import Wishes
    from tailrace.client import Run
    from tailrace.client.sync import Client

_PATIENCE = 60.0
_DIGITS = 32
_NEWEST = 50


def resume_at(server: Server, run_id: str | None, wishes: Wishes) -> int:
    """Let a server go on with a run, show it as it goes, and return its exit code.

    Args:
        server: where the run is.
        run_id: of the run, the beginning of it, ``@last`` or ``@last-failed``; None: the newest
            that did not complete and that nobody has gone on with.
        wishes: what is to be different, and how it is shown.

    Raises:
        UsageError: an option is given that only means something here.
        NotFound: there is no such run.
        RunError: it goes on already (TR312).
    """
    _demand_nothing_local(wishes)
    params = parse_params(wishes.param)
    is_new = bool(wishes.nodes or params)
    with open_client(server, retry_for=_PATIENCE) as client:
        if run_id is None:
            run = _unfinished(client)
        else:
            run = _newest(client, _whole(client, run_id), forks=is_new)
        if run.status == "COMPLETED" and not is_new:
            said = f"run {run.run_id} has finished everything; name nodes with --from"
            current_session().err.lines([said])
            return 0
        order: dict[str, Any] = {
            "start_from": list(wishes.nodes),
            "params": params,
            "policy": read_mapping(wishes.policy, option="--policy") if wishes.policy else None,
            "on_change": wishes.on_change.value,
        }
        return to_its_end(client, _queued(client, run, order), wishes)


def _demand_nothing_local(wishes: Wishes) -> None:
    local: Mapping[str, Any] = {
        "--set": wishes.changes,
        "--durability": wishes.durability,
        "--output-dir": wishes.output_dir,
        "--tracer": wishes.tracer,
        "--no-cache": not wishes.cache,
        "--strict": wishes.strict,
    }
    given = [name for name, value in local.items() if value]
    if given:
        raise click.UsageError(f"{given[0]} is for runs on this machine, not for those of a server")


def _queued(client: Client, run: Run, order: Mapping[str, Any]) -> str:
    """Return the id of the new run.

    Raises:
        RunError: the run goes on already (TR312).
    """
    given = {name: value for name, value in order.items() if value}
    path = f"/api/runs/{quote(run.run_id, safe='')}/resume"
    try:
        return str(client.send(post(path, given, may_repeat=True))["run_id"])
    except Conflict as error:
        raise RunError(
            error.message, code="TR312", hint=error.hint, details={"run_id": run.run_id}
        ) from error


def _whole(client: Client, run_id: str) -> str:
    """Return the whole id of a run.

    Raises:
        NotFound: none, or more than one, begins so.
    """
    if run_id in (LAST, LAST_FAILED):
        return find_run(client, run_id)
    return run_id if len(run_id) == _DIGITS else RemoteTraces(client).resolve(run_id)


def _newest(client: Client, run_id: str, *, forks: bool) -> Run:
    """Return the run to go on with: this one, or the newest that has gone on with it.

    A completed run that is to be done in another way is left at what it was (``forks``).
    """
    traces = RemoteTraces(client)
    while True:
        run = client.get(run_id)
        if forks and run.status == "COMPLETED":
            return run
        try:
            newer = traces.gone_on_by(run_id)
        except NotFound:  # its trace is still on its way to the index, or gone
            newer = None
        if newer is None:
            return run
        run_id = newer


def _unfinished(client: Client) -> Run:
    """Return the newest run that did not complete, and that nobody has gone on with.

    Raises:
        NotFound: there is none.
    """
    for run in client.list_runs(limit=_NEWEST).items:
        if run.status not in ("FAILED", "CANCELLED"):
            continue
        newest = _newest(client, run.run_id, forks=False)
        if newest.run_id == run.run_id:
            return newest
    raise NotFound(
        "every run has completed, or was gone on with",
        hint="list the runs with: tailrace runs list",
    )
