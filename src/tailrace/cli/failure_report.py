"""``tailrace failures export``: a report of what failed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from tailrace.cli.clock_text import utc_time
from tailrace.cli.failure_rows import FAILURE_COLUMNS, GROUP_COLUMNS, failure_row, group_row
from tailrace.cli.filters import filter_options
from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.letter_rows import LETTER_COLUMNS, letter_row
from tailrace.cli.letters import ALL
from tailrace.cli.options import Store, store_option
from tailrace.cli.output_file import output_option, write_lines
from tailrace.cli.stores import failure_log, letters_of
from tailrace.cli.struct_json import failure_to_dict, struct_to_dict
from tailrace.cli.table_text import render_markdown
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.letter import DeadLetter


@command()
@filter_options()
@output_option
@click.option(
    "--format",
    "-o",
    "output",
    type=click.Choice(["json", "markdown"]),
    help="json, or markdown for a file whose name ends in .md.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=500,
    show_default=True,
    help="Failures and groups to write; counts are of all.",
)
@store_option
def write_report(
    wanted: FailureFilter, *, path: Path | None, output: str | None, limit: int, db: Store
) -> int:
    """Write a report: exact counts, groups, the newest failures, open letters.

    \b
      tailrace failures export --output error_report.json
      tailrace failures export --since 7d --output week.md
    """  # noqa: D301 - \b is click's mark for lines to keep
    log = failure_log(db)
    counts = log.counts(wanted)
    groups = log.groups(wanted, limit=limit)
    failures = log.failures(wanted, limit=limit)
    letters = letters_of(db).letters(wanted, limit=ALL)
    chosen = output or ("markdown" if path is not None and path.suffix == ".md" else "json")
    if chosen == "markdown":
        write_lines(_markdown(groups, failures, letters), path)
    else:
        body: dict[str, Any] = {
            "written": utc_time(time.time_ns()),
            "counts": counts,
            "groups": [struct_to_dict(group) for group in groups],
            "failures": [failure_to_dict(failure) for failure in failures],
            "dead_letters": [struct_to_dict(letter) for letter in letters],
        }
        write_lines([pretty(body)], path)
    return 0


def _markdown(
    groups: list[FailureGroup], failures: list[FailureSnapshot], letters: list[DeadLetter]
) -> list[str]:
    now = time.time_ns()
    names = {group.fp_site: group.fp_site for group in groups}
    group_rows = [group_row(group, names=names, trend=(), now_ns=now) for group in groups]
    return [
        "# Failures",
        "",
        "## Groups",
        "",
        *render_markdown(GROUP_COLUMNS, group_rows),
        "",
        "## Newest failures",
        "",
        *render_markdown(FAILURE_COLUMNS, [failure_row(failure) for failure in failures]),
        "",
        "## Dead letters",
        "",
        *render_markdown(LETTER_COLUMNS, [letter_row(letter) for letter in letters]),
    ]
