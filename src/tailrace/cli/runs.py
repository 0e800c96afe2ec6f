"""``tailrace runs``: runs of a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.clock_text import ago, duration, local_time
from tailrace.cli.group import command
from tailrace.cli.json_text import compact
from tailrace.cli.listing import FORMATS, counted, say, show_listing, show_one
from tailrace.cli.options import format_option, instant, seconds
from tailrace.cli.remote import Server, find_run, open_client, server_options
from tailrace.cli.session import current_session, finish
from tailrace.cli.table_text import Cell, Column, Row, render_pairs, render_table
from tailrace.cli.width import clean

if TYPE_CHECKING:
    from tailrace.client import Run, TaskRecord, Tasks
    from tailrace.client.sync import Client

_STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLING", "CANCELLED")
STYLES = {
    "COMPLETED": "green",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "CANCELLING": "yellow",
    "RUNNING": "cyan",
}
_RUNS = (
    Column(title="RUN"),
    Column(title="STATUS"),
    Column(title="FLOW"),
    Column(title="TAG", drop=2),
    Column(title="WORKER", drop=3),
    Column(title="CHANGED", drop=1),
    Column(title="ERROR", flex=True),
)
_TASKS = (
    Column(title="TASK"),
    Column(title="STATE"),
    Column(title="TOOK", right=True),
    Column(title="TRY", right=True, drop=1),
    Column(title="ERROR", flex=True),
)


@command()
@click.option(
    "--status",
    type=click.Choice(_STATUSES, case_sensitive=False),
    help="Only runs with this status.",
)
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option("--since", callback=instant(), metavar="TIME", help="Changed since then.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="Runs to show.")
@server_options
@format_option(*FORMATS)
def list_runs(output: str, server: Server, limit: int, **given: Any) -> int:
    """List runs, the last changed first.

    \b
      tailrace runs list --status failed --flow nightly
      tailrace runs list --since 2h -o jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    options: dict[str, Any] = {
        "status": (given["status"] or "").upper(),
        "flow": given["flow"] or "",
        "tag": given["tag"] or "",
        "limit": min(limit, 200),
    }
    if given["since"] is not None:
        options["updated_after"] = given["since"] / 1e9
    found = []
    with open_client(server) as client:
        for run in client.runs(**options):
            found.append(run)
            if len(found) == limit:
                break
    now = time.time_ns()
    none = "no run matches · tailrace submit FLOW queues one"
    show_listing(
        found,
        output,
        columns=_RUNS,
        row=lambda run: _row(run, now),
        data=data_of,
        footer=f"{counted(len(found), 'run')} · tailrace runs show RUN" if found else none,
    )
    return 0


def _row(run: Run, now: int) -> Row:
    return (
        run.run_id,
        status_cell(run.status),
        run.flow_name,
        run.tag,
        run.worker_id or "-",
        ago(round(run.updated_at * 1e9), now),
        (run.error or "").partition("\n")[0],
    )


def status_cell(status: str) -> Cell:
    """Return a status in its colour."""
    return Cell(status, STYLES.get(status, ""))


def data_of(thing: Any) -> dict[str, Any]:
    """Return what a server has sent, for programs."""
    import msgspec  # noqa: PLC0415 - tables need none

    found: dict[str, Any] = msgspec.to_builtins(thing)
    return found


@command()
@click.argument("run")
@server_options
@format_option(*FORMATS)
def show_run(output: str, server: Server, run: str) -> int:
    """Show one run with its tasks. RUN is an id, @last or @last-failed."""
    with open_client(server) as client:
        found = client.get(find_run(client, run), records=True)
    show_one(output, data=lambda: data_of(found), text=lambda: _lines(found))
    return 0


def _lines(run: Run) -> list[str]:
    terminal = current_session().out
    lines = render_pairs(list(_facts(run)), terminal)
    if run.tasks:
        rows = [
            _task_row(name, state, run.task_records.get(name)) for name, state in run.tasks.items()
        ]
        lines += ["", *render_table(_TASKS, rows, terminal)]
    return lines


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    lost = run.worker_alive is False and not run.is_terminal
    took = run.start_time and run.end_time and run.end_time - run.start_time
    facts = (
        ("run", run.run_id),
        ("flow", run.flow_name),
        ("status", run.status),
        ("tag", run.tag),
        ("worker", (run.worker_id or "") + ("  (no sign of life)" if lost else "")),
        ("submitted", _moment(run.submitted_at)),
        ("begins", "" if run.start_time or run.is_terminal else _moment(run.run_at)),
        ("started", _moment(run.start_time)),
        ("ended", _moment(run.end_time)),
        ("took", duration(round(took * 1e9)) if took is not None else ""),
        ("lost workers", str(run.crashes or "")),
        ("label", run.label),
        ("cancelled", _cancelled(run)),
        ("error", (run.error or "").partition("\n")[0]),
        ("dead letter", run.letter),
        ("output", "" if run.output is None else compact(run.output)),
    )
    return ((name, value) for name, value in facts if value)


def _moment(at: float | None) -> str:
    return local_time(round(at * 1e9)) if at else ""


def _cancelled(run: Run) -> str:
    if not run.cancel_requested_at:
        return ""
    by = f" by {run.cancel_requested_by}" if run.cancel_requested_by else ""
    why = f": {run.cancel_reason}" if run.cancel_reason else ""
    return f"{_moment(run.cancel_requested_at)}{by}{why}"


def _task_row(name: str, state: str, record: TaskRecord | None) -> Row:
    if record is None:
        return (name, status_cell(state), "-", "-", "")
    took = "-" if record.duration_ms is None else duration(round(record.duration_ms * 1e6))
    error = (record.error or "").partition("\n")[0]
    return (name, status_cell(state), took, str(record.attempt), error)


@command()
@click.argument("run")
@server_options
@format_option(*FORMATS)
def show_tasks(output: str, server: Server, run: str) -> int:
    """Show the tasks of a run with their inputs, outputs and errors."""
    with open_client(server) as client:
        found = client.tasks(find_run(client, run))
    rows = list(found.tasks.items())
    show_listing(
        rows,
        output,
        columns=_TASKS,
        row=lambda one: _task_row(*one, found.task_records.get(one[0])),
        data=lambda one: _task_data(one, found),
        footer=f"{counted(len(rows), 'task')} of a run that is {found.status}",
    )
    return 0


def _task_data(one: tuple[str, str], tasks: Tasks) -> dict[str, Any]:
    record = tasks.task_records.get(one[0])
    return {"task": one[0], "state": one[1], **({} if record is None else data_of(record))}


@command()
@click.argument("run")
@click.option("--timeout", metavar="DURATION", callback=seconds, help="Stop then (exit 124).")
@server_options
@format_option("table", "json", "jsonl")
def watch_run(output: str, server: Server, run: str, timeout: float | None) -> int:
    """Show a run until it is over; the exit code is that of the run.

    Ctrl-C stops watching; the run goes on.
    """
    with open_client(server, retry_for=60.0) as client:
        run_id = find_run(client, run)
        return watch_to_end(client, run_id, output=output, timeout=timeout)


def watch_to_end(client: Client, run_id: str, *, output: str, timeout: float | None) -> int:
    """Show a run until it is over, and return its exit code; Ctrl-C leaves it alone."""
    from tailrace.cli.remote_lines import present  # noqa: PLC0415 - help needs none
    from tailrace.cli.remote_view import RemoteView  # noqa: PLC0415 - likewise
    from tailrace.cli.submitting import TIMED_OUT, follow  # noqa: PLC0415 - likewise

    try:
        if output == "jsonl":
            return _stream(client, run_id, timeout)
        if output == "json":
            run = follow(client, run_id, view=None, timeout=timeout)
        else:
            with closing(RemoteView(current_session().err, client)) as view:
                run = follow(client, run_id, view=view, timeout=timeout)
    except KeyboardInterrupt:
        cancel = f"tailrace runs cancel {run_id}"
        raise KeyboardInterrupt(f"the run goes on; {cancel} ends it") from None
    if run is None:
        say(f"run {run_id} is not over yet · tailrace runs watch {run_id}")
        return finish(TIMED_OUT)
    return present(run, client, as_json=output == "json")


def _stream(client: Client, run_id: str, timeout: float | None) -> int:
    from tailrace.cli.remote_lines import as_line, exit_code  # noqa: PLC0415 - one of three
    from tailrace.cli.submitting import TIMED_OUT  # noqa: PLC0415 - likewise

    terminal = current_session().out
    for event in client.watch(run_id, records=True, timeout=timeout):
        terminal.lines([as_line(data_of(event))])
        terminal.stream.flush()
        if event.run.is_terminal:
            return finish(exit_code(event.run))
    return finish(TIMED_OUT)


@command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Why; it stays with the run.")
@click.option("--wait", is_flag=True, help="Return when they are over.")
@click.option("--timeout", metavar="DURATION", callback=seconds, help="Of --wait (exit 124).")
@server_options
@format_option(*FORMATS)
def cancel_runs(
    runs: tuple[str, ...],
    reason: str,
    timeout: float | None,
    server: Server,
    output: str,
    *,
    wait: bool,
) -> int:
    """Cancel runs. Those that wait never start; running tasks are told to stop.

    A run that is over already stays as it is.
    """
    from tailrace.cli.actor import login_name  # noqa: PLC0415 - help needs none of it

    found = []
    code = 0
    with open_client(server, retry_for=10.0) as client:
        for run in runs:
            run_id = find_run(client, run)
            cancelled = client.cancel(run_id, reason=reason, requested_by=login_name())
            if wait and not cancelled.is_terminal:
                try:
                    cancelled = client.wait(run_id, timeout=timeout)
                except TimeoutError as error:
                    current_session().err.lines([clean(str(error))])
                    code = 124
            found.append(cancelled)
    now = time.time_ns()
    show_listing(
        found, output, columns=_RUNS, row=lambda run: _row(run, now), data=data_of, footer=""
    )
    return finish(code)
