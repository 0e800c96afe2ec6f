"""``tailrace trace diff``: what differs between two runs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tailrace.cli.database import open_reader
from tailrace.cli.diff_rows import render_comparison
from tailrace.cli.group import command
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.session import current_session
from tailrace.errors import NotFound
from tailrace.model.ids import RunId
from tailrace.model.states import RunStatus
from tailrace.tracing.account import Account, account, origins_of, trace_back
from tailrace.tracing.compare import Aspect, compare

if TYPE_CHECKING:
    from tailrace.client.traces import RemoteTraces
    from tailrace.store import SqliteTraceReader

    Reader = SqliteTraceReader | RemoteTraces


@command()
@click.argument("run_a", metavar="RUN_A", default="@last")
@click.argument("run_b", metavar="RUN_B", required=False)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    type=click.Choice([aspect.value for aspect in Aspect]),
    help="What does not count as a difference; may be given often.",
)
@click.option("--fail-if-different", is_flag=True, help="Exit with 1 when anything differs.")
@click.option("--all", "everything", is_flag=True, help="Do not fold the iterations of loops.")
@store_option
@format_option("table", "json", "jsonl", "markdown")
def diff(
    run_a: str,
    run_b: str | None,
    *,
    ignored: tuple[str, ...],
    fail_if_different: bool,
    everything: bool,
    db: Store,
    output: str,
) -> int:
    """Show what differs between two runs, node by node.

    One run alone is compared with the run it was resumed from, or with the last success of its
    flow. A run is named by its id, the beginning of one, @last or @last-failed.

    \b
      tailrace trace diff                       the last run, with what it went on with
      tailrace trace diff 019aa0c4 019aa0d1
      tailrace trace diff 019aa0c4 019aa0d1 --ignore duration --fail-if-different
    """  # noqa: D301 - \b is click's mark for lines to keep
    with open_reader(db) as reader:
        first = reader.resolve(run_a)
        if run_b is None:
            before, after = _other(reader, first), first
        else:
            before, after = first, reader.resolve(run_b)
        accounts = [_account(reader, run_id) for run_id in (before, after)]
        _trace_back(reader, accounts)
    found = compare(*accounts, ignore=[Aspect(one) for one in ignored])
    terminal = current_session().out
    terminal.lines(render_comparison(found, output, terminal, everything=everything))
    return 1 if fail_if_different and not found.is_equal else 0


def _account(reader: Reader, run_id: RunId) -> Account:
    from tailrace.store import SqliteTraceReader  # noqa: PLC0415 - help needs no store

    if not isinstance(reader, SqliteTraceReader):
        return reader.account(run_id)
    run = reader.run(run_id)
    return account(run, reader.states(run_id), reader.fingerprints(run_id))


def _trace_back(reader: Reader, accounts: list[Account]) -> None:
    """Find the inputs and outputs of reused nodes in the runs in which they ran."""
    known = {one.run.run_id: one for one in accounts}
    for own in accounts:
        for run_id in origins_of(own):
            with suppress(NotFound):  # that run may have been pruned
                origin = known.get(RunId(run_id)) or _account(reader, RunId(run_id))
                trace_back(own, known.setdefault(origin.run.run_id, origin))


def _other(reader: Reader, run_id: RunId) -> RunId:
    """Return the run to compare a run with.

    Raises:
        NotFound: there is none (TR210).
    """
    run = reader.run(run_id)
    if run.resumed_from in {one.run_id for one in reader.lineage(run_id)}:
        return RunId(run.resumed_from)
    for until in (run.start_ns, None):  # what went before tells more than what came after
        newest = reader.runs(limit=2, status=RunStatus.COMPLETED, flow=run.flow, until_ns=until)
        found = [one.run_id for one in newest if one.run_id != run_id]
        if found:
            return found[0]
    raise NotFound(
        f"run {run_id} goes on with no other run, and flow {run.flow!r} has no other success",
        code="TR210",
        hint="name both runs: tailrace trace diff RUN_A RUN_B; list them with: tailrace trace list",
        details={"run_id": run_id, "flow": run.flow},
    )
