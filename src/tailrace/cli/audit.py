"""``tailrace failures audit``: who did what, and whether the trail is whole."""

from __future__ import annotations

from pathlib import Path

import click

from tailrace.cli.clock_text import local_time
from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, counted, show_listing, show_one
from tailrace.cli.options import db_option, format_option
from tailrace.cli.session import finish
from tailrace.cli.stores import redrive_log
from tailrace.cli.struct_json import struct_to_dict
from tailrace.cli.table_text import Cell, Column
from tailrace.model.letter import RecoveryAction

_COLUMNS = (
    Column(title="#", right=True),
    Column(title="AT", drop=2),
    Column(title="ACTION"),
    Column(title="SUBJECT"),
    Column(title="BY", drop=1),
    Column(title="REASON", flex=True, drop=3),
)


@command()
@click.option("--subject", default="", metavar="ID", help="Only of this letter, group or batch.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Lines to show, the newest.",
)
@db_option
@format_option(*FORMATS)
def list_actions(*, subject: str, limit: int, db: Path | None, output: str) -> int:
    """List the audit trail of letters, groups and batches, oldest first.

    \b
      tailrace failures audit
      tailrace failures audit --subject DL-01KAHV6X3Q8Z04YQ0M5VNW2C7R
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = redrive_log(db).actions(subject, limit=limit)
    show_listing(
        found,
        output,
        columns=_COLUMNS,
        row=_row,
        data=struct_to_dict,
        footer=counted(len(found), "line") if found else "nobody has done anything yet",
    )
    return 0


def _row(action: RecoveryAction) -> list[str | Cell]:
    return [
        f"{action.seq}",
        local_time(action.at_ns),
        action.action,
        action.subject,
        action.actor,
        action.reason or "-",
    ]


@command()
@db_option
@format_option(*FORMATS)
def verify(*, db: Path | None, output: str) -> int:
    """Verify that no line of the audit trail was changed or removed. Exit 1 when one was.

    \b
      tailrace failures audit verify
    """  # noqa: D301 - \b is click's mark for lines to keep
    broken = redrive_log(db).verify()
    code = finish(0 if broken is None else 1)
    told = f"line {broken} of the audit trail was changed or removed"
    show_one(
        output,
        data=lambda: {"sound": broken is None, "first_broken": broken},
        text=lambda: ["the audit trail is whole" if broken is None else told],
    )
    return code
