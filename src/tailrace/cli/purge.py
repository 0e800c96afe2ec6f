"""``tailrace failures purge``: deleting what is old."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tailrace.cli.actor import actor_option
from tailrace.cli.clock_text import local_time
from tailrace.cli.confirm import confirm
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, show_one
from tailrace.cli.options import db_option, format_option, instant
from tailrace.cli.stores import local_failures
from tailrace.model.failure import FailureFilter

_DAY_NS = 86_400_000_000_000


@command()
@click.option(
    "--older-than",
    "until",
    metavar="WHEN",
    callback=instant(),
    help="From before then (30d, 2026-11-21); failures.keep_days of tailrace.toml otherwise.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit trail.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@actor_option
@db_option
@format_option(*FORMATS)
def purge(
    *, until: int | None, reason: str, yes: bool, actor: str, db: Path | None, output: str
) -> int:
    """Delete old failures and letters that are settled, in one commit.

    Letters that wait, and the failures of their runs, are never touched; groups keep their counts.

    \b
      tailrace failures purge --older-than 90d
      tailrace failures purge --older-than 90d --yes --reason "retention"
    """  # noqa: D301 - \b is click's mark for lines to keep
    before = _kept_until() if until is None else until
    log = local_failures(db)
    older = log.counts(FailureFilter(until_ns=before))
    count = older.get("total", {}).get("failures", 0)
    settled = sum(older.get("letters", {}).get(state, 0) for state in ("resolved", "discarded"))
    plan = (
        f"deletes what is older than {local_time(before)}: at most {counted(count, 'failure')}"
        f" and {counted(settled, 'settled letter')}"
    )
    confirm([plan], yes=yes)
    gone = log.purge(until_ns=before, actor=actor, reason=reason)
    told = f"{counted(gone.failures, 'failure')} and {counted(gone.letters, 'letter')} deleted"
    show_one(output, data=lambda: gone, text=lambda: [told])
    return 0


def _kept_until() -> int:
    """Return the instant before which the settings let failures go.

    Raises:
        UsageError: they keep them for good.
    """
    from tailrace.settings import load_settings  # noqa: PLC0415 - not for --help

    days = load_settings().failures.keep_days
    if not days:
        raise click.UsageError(
            "say from when on: --older-than 90d, or failures.keep_days in tailrace.toml"
        )
    return time.time_ns() - round(days * _DAY_NS)
