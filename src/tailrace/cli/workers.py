"""``tailrace worker list|hide|unhide``: workers as a server sees them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.clock_text import ago
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, say, show_listing
from tailrace.cli.options import format_option
from tailrace.cli.remote import Server, open_client, server_options
from tailrace.cli.runs import data_of
from tailrace.cli.table_text import Cell, Column, Row

if TYPE_CHECKING:
    from tailrace.client import Worker

_STATES = ("RUNNING", "IDLE", "STOPPED_GRACEFUL", "DISCONNECTED")
_STYLES = {"RUNNING": "cyan", "IDLE": "green", "DISCONNECTED": "red", "STOPPED_GRACEFUL": "dim"}
_SHOWN = {"STOPPED_GRACEFUL": "STOPPED"}
_COLUMNS = (
    Column(title="WORKER"),
    Column(title="STATE"),
    Column(title="TAGS"),
    Column(title="RUNNING", flex=True),
    Column(title="DONE", right=True, drop=2),
    Column(title="SEEN"),
    Column(title="HOST", drop=1),
)


@command()
@click.option("--all", "everybody", is_flag=True, help="Those that have stopped or are lost, too.")
@click.option("--hidden", is_flag=True, help="Those that are hidden, too.")
@click.option(
    "--state", type=click.Choice(_STATES, case_sensitive=False), help="Only workers in this state."
)
@click.option("--limit", type=click.IntRange(1, 500), default=100, help="Workers to show.")
@server_options
@format_option(*FORMATS)
def list_workers(output: str, server: Server, limit: int, **given: Any) -> int:
    """List workers, the last seen first."""
    state = (given["state"] or "").upper()
    scope = "all" if given["everybody"] or state else "active"
    with open_client(server) as client:
        found = client.workers(
            scope=scope, state=state, include_hidden=given["hidden"], limit=limit
        )
    now = time.time_ns()
    none = "no worker is to be seen · tailrace worker start starts one · --all, --hidden show more"
    show_listing(
        found,
        output,
        columns=_COLUMNS,
        row=lambda worker: _row(worker, now),
        data=data_of,
        footer=counted(len(found), "worker") if found else none,
    )
    return 0


def _row(worker: Worker, now: int) -> Row:
    state = _SHOWN.get(worker.state, worker.state) + (" (hidden)" if worker.hidden else "")
    running = worker.current_run_ids or tuple(filter(None, [worker.current_run_id]))
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    return (
        worker.worker_id,
        Cell(state, _STYLES.get(worker.state, "")),
        ",".join(worker.tags),
        running[0] + more if running else "-",
        f"{worker.runs_done:,}",
        ago(round(worker.last_seen_at * 1e9), now),
        f"{worker.host}:{worker.pid}" if worker.host else "-",
    )


@command()
@click.argument("workers", nargs=-1, required=True)
@server_options
def hide_workers(workers: tuple[str, ...], server: Server) -> int:
    """Leave workers out of lists; that outlives their restarts."""
    return _hide(workers, server, hidden=True)


@command()
@click.argument("workers", nargs=-1, required=True)
@server_options
def unhide_workers(workers: tuple[str, ...], server: Server) -> int:
    """Show hidden workers again."""
    return _hide(workers, server, hidden=False)


def _hide(workers: tuple[str, ...], server: Server, *, hidden: bool) -> int:
    with open_client(server) as client:
        for worker in workers:
            client.hide_worker(worker, hidden=hidden)
    say(f"{counted(len(workers), 'worker')} {'hidden' if hidden else 'shown again'}")
    return 0
