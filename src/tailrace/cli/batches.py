"""``tailrace failures batches``: redrives of many letters."""

from __future__ import annotations

from pathlib import Path

import click

from tailrace.cli.actor import actor_option
from tailrace.cli.clock_text import local_time
from tailrace.cli.group import command
from tailrace.cli.json_text import compact
from tailrace.cli.listing import DATA, FORMATS, counted, show_facts, show_listing, show_one
from tailrace.cli.options import db_option, format_option, limit_option
from tailrace.cli.redrive import tell_batch, tell_outcome, tell_stop
from tailrace.cli.redrive_text import (
    BATCH_COLUMNS,
    REDRIVE_COLUMNS,
    batch_lines,
    batch_row,
    batch_to_dict,
    hidden,
    redrive_row,
    whole_batch,
)
from tailrace.cli.session import current_session
from tailrace.cli.stores import existing_database, redrive_log
from tailrace.cli.table_text import render_markdown, render_table
from tailrace.model.letter import RedriveBatch

_name = click.argument("batch_id", metavar="BATCH")


@command()
@limit_option
@db_option
@format_option(*FORMATS)
def list_batches(*, limit: int, db: Path | None, output: str) -> int:
    """List redrive batches, newest first.

    \b
      tailrace failures batches
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = redrive_log(db).batches(limit=limit)
    show_listing(
        found,
        output,
        columns=BATCH_COLUMNS,
        row=batch_row,
        data=batch_to_dict,
        footer=f"{counted(len(found), 'batch', 'batches')}"
        f" · tailrace failures batches show {found[0].batch_id}"
        if found
        else "no batches yet",
    )
    return 0


@command()
@_name
@db_option
@format_option(*FORMATS)
def show_batch(batch_id: str, *, db: Path | None, output: str) -> int:
    """Show one batch and what became of each of its letters.

    \b
      tailrace failures batches show monday
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.runtime.redrive import find_batch  # noqa: PLC0415 - not for --help

    log = redrive_log(db)
    batch = find_batch(log, batch_id)
    redrives = log.redrives(batch_id=batch.batch_id)
    data = whole_batch(batch, redrives)
    show_facts(_facts(batch), output, data=lambda: data)
    if redrives and output not in DATA:
        terminal = current_session().out
        rows = [redrive_row(redrive) for redrive in redrives]
        table = output == FORMATS[0]
        terminal.lines([""])
        terminal.lines(
            render_table(REDRIVE_COLUMNS, rows, terminal)
            if table
            else render_markdown(REDRIVE_COLUMNS, rows)
        )
    return 0


def _facts(batch: RedriveBatch) -> list[tuple[str, str]]:
    facts = (
        ("batch", batch.batch_id),
        ("stands", batch_lines(batch)[0].partition(": ")[2]),
        ("by", batch.actor),
        ("reason", batch.reason),
        ("since", local_time(batch.created_ns)),
        ("letters", compact(batch.filter)),
        ("mode", batch.mode),
        ("rate", f"{batch.rate:g} per second" if batch.rate else ""),
        ("canary", f"{batch.canary:,}" if batch.canary else ""),
        ("limit", f"{batch.limit:,}" if batch.limit else ""),
        ("patch", "" if batch.patch is None else compact(hidden(batch.patch))),
        ("policy", "" if batch.policy is None else compact(hidden(batch.policy))),
        ("force", "yes" if batch.force else ""),
    )
    return [(name, value) for name, value in facts if value]


@command()
@_name
@actor_option
@db_option
@format_option(*FORMATS)
def pause(batch_id: str, *, actor: str, db: Path | None, output: str) -> int:
    """Stop taking further letters; what runs is finished.

    \b
      tailrace failures batches pause monday
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.runtime.redrive import pause_batch  # noqa: PLC0415 - not for --help

    batch = pause_batch(existing_database(db), batch_id, actor)
    show_one(output, data=lambda: batch_to_dict(batch), text=lambda: batch_lines(batch))
    return 0


@command()
@_name
@click.option("--parallel", type=click.IntRange(1, 64), default=1, help="Letters at once.")
@actor_option
@db_option
@format_option(*FORMATS)
def resume(batch_id: str, *, parallel: int, actor: str, db: Path | None, output: str) -> int:
    """Go on with a batch that was paused, or whose process died. No letter is run twice.

    \b
      tailrace failures batches resume monday
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.runtime.redrive import continue_batch  # noqa: PLC0415 - the engine, when it runs

    batch = continue_batch(
        existing_database(db),
        batch_id,
        actor=actor,
        parallel=parallel,
        source="cli",
        watch=None if output in DATA else tell_outcome,
        on_stop=tell_stop,
    )
    return tell_batch(batch, output)
