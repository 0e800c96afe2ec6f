"""``tailrace run --remote``: run, submit and watch in one, as if the flow ran here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.arguments import read_mapping
from tailrace.cli.json_text import pretty
from tailrace.cli.remote import Server, open_client
from tailrace.cli.remote_lines import present, report_of
from tailrace.cli.remote_view import RemoteView
from tailrace.cli.session import current_session, finish
from tailrace.cli.submitting import INTERRUPTED, TIMED_OUT, Order, follow, placing, submit

if TYPE_CHECKING:
    from tailrace.cli.run import Wishes
    from tailrace.client import Run
    from tailrace.client.sync import Client

_PATIENCE = 60.0
_ENDING = 40.0
"""Seconds that a run has to end once it is cancelled; more than a worker's grace."""


def run_remote(context: Mapping[str, Any], wishes: Wishes) -> int:
    """Let a server run a flow, show it as it goes, and return the exit code of a local run.

    Ctrl-C and ``--timeout`` cancel the run.

    Raises:
        UsageError: an option is given that only means something here.
    """
    _demand_nothing_local(context, wishes)
    order = Order(
        target=wishes.target,
        params=context["params"],
        tag=wishes.tag or "",
        policy=read_mapping(wishes.policy, option="--policy") if wishes.policy else None,
        traceparent=os.environ.get("TRACEPARENT", ""),
        tracestate=os.environ.get("TRACESTATE", ""),
    )
    with open_client(Server(address=wishes.server or ""), retry_for=_PATIENCE) as client:
        run_id = submit(client, order).run_id
        with placing(wishes.target):
            return to_its_end(client, run_id, wishes)


def to_its_end(client: Client, run_id: str, wishes: Wishes) -> int:
    """Show a run as it goes, write the files that are asked for, and return the exit code.

    Raises:
        DefinitionError: it could not begin; ``findings`` say all that is wrong.
    """
    run, code = _followed(client, run_id, wishes)
    if run is None:
        said = f"run {run_id} was told to stop, and has not ended yet"
        current_session().err.lines([said])
        return finish(code)
    _write_files(run, client, wishes)
    ended = present(run, client, as_json=wishes.as_json, quiet=wishes.quiet)
    return finish(code or ended)


def _demand_nothing_local(context: Mapping[str, Any], wishes: Wishes) -> None:
    local = {
        "--resume": wishes.resume,
        "--from": wishes.nodes,
        "--dry-run": wishes.dry_run,
        "--db": wishes.db,
        "--durability": wishes.durability,
        "--output-dir": wishes.output_dir,
        "--tracer": wishes.tracer,
        "--no-cache": not wishes.cache,
        "--strict": wishes.strict,
        "scratch or payload": context.get("scratch") or context.get("payload"),
    }
    given = [name for name, value in local.items() if value]
    if given:
        raise click.UsageError(f"{given[0]} is for runs on this machine, not with --remote")


def _followed(client: Client, run_id: str, wishes: Wishes) -> tuple[Run | None, int]:
    """Return the run, and 124 or 130 when it did not end by itself."""
    view = None
    if not wishes.quiet and not wishes.as_json:
        view = RemoteView(current_session().err, client, tree=wishes.watch)
    with nullcontext() if view is None else closing(view):
        try:
            run = follow(client, run_id, view=view, timeout=wishes.timeout)
            reason, code = "the time given with --timeout is over", TIMED_OUT
        except KeyboardInterrupt:
            run, reason, code = None, "interrupted (Ctrl-C)", INTERRUPTED
        if run is not None:
            return run, 0
        client.cancel(run_id, reason=reason)
        return follow(client, run_id, view=view, timeout=_ENDING), code


def _write_files(run: Run, client: Client, wishes: Wishes) -> None:
    if wishes.output is not None and run.ok:
        wishes.output.parent.mkdir(parents=True, exist_ok=True)
        wishes.output.write_text(pretty(run.output) + "\n", "utf-8", "backslashreplace")
    path = wishes.report_path
    if path is None or run.ok:
        return
    report = report_of(run, client)
    by_name = "markdown" if path.suffix in (".md", ".markdown") else "json"
    is_markdown = (wishes.report_format or by_name) == "markdown"
    text = report.to_markdown() if is_markdown else json.dumps(report.to_dict(), indent=2) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", "backslashreplace")
