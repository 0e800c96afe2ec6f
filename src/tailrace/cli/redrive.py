"""``tailrace dlq redrive``: run the work of dead letters again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.actor import actor_option
from tailrace.cli.arguments import read_mapping
from tailrace.cli.filters import filter_options
from tailrace.cli.group import command
from tailrace.cli.letter_choice import choose
from tailrace.cli.letters import STATES
from tailrace.cli.listing import DATA, FORMATS, counted, say, show_one
from tailrace.cli.options import Store, format_option, steps_for, store_option
from tailrace.cli.redrive_text import (
    batch_code,
    batch_lines,
    batch_to_dict,
    plan_lines,
    plan_to_dict,
)
from tailrace.cli.session import current_session, finish
from tailrace.cli.stores import dead_letters, existing_database
from tailrace.cli.width import clean, cut
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, RedriveBatch

if TYPE_CHECKING:
    from tailrace.runtime.redrive import RedrivePlan, RerunOutcome

_MODES = ("resume", "node", "new-run")
_STOPPING = b"\nfinishing what is in hand; Ctrl-C again stops it at once\n"


@command()
@click.argument("subjects", metavar="[ID...]", nargs=-1)
@filter_options(states=STATES, gave_up=("--gave-up",))
@click.option("--all", "everything", is_flag=True, help="All open letters, without a filter.")
@click.option(
    "--mode",
    type=click.Choice(_MODES),
    default=_MODES[0],
    show_default=True,
    help="resume: from the failed node; node: that node alone; new-run: everything.",
)
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, help="At most N per second.")
@click.option(
    "--canary",
    type=click.IntRange(min=0),
    default=0,
    help="N letters first; the rest only if all succeed.",
)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="At most N letters; 0: all.")
@click.option(
    "--stop-on-fail-ratio",
    "stop_ratio",
    type=click.FloatRange(0, 1),
    default=1.0,
    help="Stop when a larger share (0.2) of at least ten has failed.",
)
@click.option("--parallel", type=click.IntRange(1, 64), help="Letters at once; 1, of a server 16.")
@click.option(
    "--patch",
    "--edit-input",
    metavar="JSON|@FILE",
    help='Merge this into the inputs (RFC 7386): {"params": ..., "payload": ...}.',
)
@click.option(
    "--set-policy", "policy", metavar="JSON|@FILE", help="Overrides the policy of the flow."
)
@click.option("--force", is_flag=True, help="Permanent failures and changed code, too.")
@click.option("--dry-run", is_flag=True, help="Show what would run; change nothing.")
@click.option("--batch", "batch_id", metavar="NAME", default="", help="Name of the batch.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit trail.")
@actor_option
@store_option
@format_option(*FORMATS)
def redrive_letters(
    subjects: tuple[str, ...],
    *,
    wanted: FailureFilter,
    everything: bool,
    db: Store,
    output: str,
    dry_run: bool,
    **order: Any,
) -> int:
    """Run the work of dead letters again, and settle the letters by how it ends.

    ID is a letter's or a group's, or its beginning, or @last. Finished nodes give what they gave.
    Exit 6 when some did not succeed, 1 when none did.

    \b
      tailrace dlq redrive v1:3ac9f0d2 --dry-run
      tailrace dlq redrive v1:3ac9f0d2 --canary 5 --rate 10
      tailrace dlq redrive DL-01KAHV6X3Q8Z --patch '{"params": {"timeout": 5}}'
      tailrace dlq redrive --class network --since 24h
    """  # noqa: D301 - \b is click's mark for lines to keep
    order["patch"] = _mapping(order["patch"], "--patch")
    order["policy"] = _mapping(order["policy"], "--set-policy")
    watch = None if output in DATA else tell_outcome
    if not isinstance(db, Path | None):
        from tailrace.cli.remote_letters import plan_at, redrive_at  # noqa: PLC0415 - only with --server

        if dry_run:
            return _show_plan(plan_at(db, subjects, wanted, order, everything=everything), output)
        return tell_batch(
            redrive_at(db, subjects, wanted, order, everything=everything, watch=watch), output, db
        )
    order["parallel"] = order["parallel"] or 1
    chosen = choose(dead_letters(db), subjects, wanted, everything=everything)
    if dry_run:
        return _show_plan(_plan(existing_database(db), chosen, order), output)
    from tailrace.runtime.redrive import start_batch  # noqa: PLC0415 - the engine, when it runs

    batch = start_batch(
        existing_database(db),
        wanted=chosen,
        source="cli",
        watch=watch,
        on_stop=tell_stop,
        **order,
    )
    return tell_batch(batch, output)


def _mapping(source: str | None, option: str) -> dict[str, Any] | None:
    return None if source is None else read_mapping(source, option=option)


def _plan(db: Path, chosen: FailureFilter, order: dict[str, Any]) -> RedrivePlan:
    from tailrace.runtime.redrive import nothing_matches, plan  # noqa: PLC0415 - flows are loaded for it

    names = ("mode", "patch", "policy", "force", "limit")
    planned = plan(db, wanted=chosen, **{name: order[name] for name in names})
    if not planned.items:
        raise nothing_matches()
    return planned


def _show_plan(planned: RedrivePlan, output: str) -> int:
    terminal = current_session().out
    show_one(
        output,
        data=lambda: plan_to_dict(planned),
        text=lambda: plan_lines(planned, terminal),
    )
    if output in DATA:
        return 0
    say("nothing was run · the same command without --dry-run does it")
    return 0


def tell_outcome(letter: DeadLetter, outcome: RerunOutcome) -> None:
    """Write one line about a letter whose redrive ended, to standard error."""
    terminal = current_session().err
    marks = terminal.marks
    mark = terminal.style(*((marks.done, "green") if outcome.ok else (marks.failed, "red")))
    run = f"  run {outcome.run_id}" if outcome.run_id else ""
    why = f"  {clean(outcome.message)}" if outcome.message else ""
    text = cut(f"{letter.dl_id}{run}{why}", max(20, terminal.width - 2), ellipsis=marks.ellipsis)
    terminal.lines([f"{mark} {text}"])


def tell_stop() -> None:
    """Write to standard error that Ctrl-C was seen; safe in a signal handler."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), _STOPPING)


def tell_batch(batch: RedriveBatch, output: str, db: Store = None) -> int:
    """Write how a batch ended and return the exit code."""
    code = finish(batch_code(batch))
    show_one(output, data=lambda: batch_to_dict(batch), text=lambda: batch_lines(batch))
    failed = batch.counts.get("failed", 0)
    if failed and output not in DATA:
        is_here = db is None or isinstance(db, Path)
        step = f"failures batches show {batch.batch_id}" if is_here else "dlq list --each"
        say(f"{counted(failed, 'letter')} did not succeed · {steps_for(db, f'tailrace {step}')}")
    return code
