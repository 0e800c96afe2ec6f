"""``tailrace dlq discard``, ``park``, ``reopen``: what becomes of letters without a redrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from tailrace.cli.actor import actor_option
from tailrace.cli.confirm import confirm
from tailrace.cli.filters import filter_options
from tailrace.cli.group import command
from tailrace.cli.letter_choice import choose
from tailrace.cli.letters import ALL, STATES
from tailrace.cli.listing import DATA, FORMATS, counted, say, show_one
from tailrace.cli.options import db_option, format_option
from tailrace.cli.stores import dead_letters
from tailrace.cli.struct_json import struct_to_dict
from tailrace.cli.width import clean
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterState

_LISTED = 10
_WAITING = ("open", "parked")


def _change(function: Callable[..., int]) -> click.Command:
    decorated: Any = filter_options(states=STATES, gave_up=("--gave-up",))(function)
    for option in (
        format_option(*FORMATS),
        db_option,
        actor_option,
        click.option("--all", "everything", is_flag=True, help="All letters, without a filter."),
        click.argument("subjects", metavar="[ID...]", nargs=-1),
    ):
        decorated = option(decorated)
    return command()(decorated)


def _given(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it is empty; say why", context, parameter)
    return value


_optional_reason = click.option(
    "--reason", default="", metavar="TEXT", help="Why; kept in the audit trail."
)


@_change
@click.option(
    "--reason",
    required=True,
    metavar="TEXT",
    callback=_given,
    help="Why; kept in the audit trail.",
)
@click.option("--yes", is_flag=True, help="Do it without asking.")
def discard(
    subjects: tuple[str, ...],
    *,
    wanted: FailureFilter,
    everything: bool,
    reason: str,
    actor: str,
    yes: bool,
    db: Path | None,
    output: str,
) -> int:
    """Give up on letters for good. They stay on record and can be opened again.

    \b
      tailrace dlq discard DL-01KAHV6X3Q8Z --reason "the order was cancelled"
      tailrace dlq discard v1:81d0aa13 --reason "test data" --yes
    """  # noqa: D301 - \b is click's mark for lines to keep
    letters = dead_letters(db)
    chosen = choose(letters, subjects, wanted, state="", everything=everything)
    found = letters.letters(chosen, limit=ALL)
    if found:
        confirm(_plan(found), yes=yes)
    chosen = _exactly(found)
    changed = letters.change(chosen, "discard", actor=actor, reason=reason) if found else []
    return _told(changed, "discarded", output)


@_change
@_optional_reason
def park(
    subjects: tuple[str, ...],
    *,
    wanted: FailureFilter,
    everything: bool,
    reason: str,
    actor: str,
    db: Path | None,
    output: str,
) -> int:
    """Keep letters out of redrives until somebody reopens them.

    \b
      tailrace dlq park --flow nightly --reason "the supplier is down until Monday"
    """  # noqa: D301 - \b is click's mark for lines to keep
    letters = dead_letters(db)
    chosen = choose(letters, subjects, wanted, everything=everything)
    return _told(letters.change(chosen, "park", actor=actor, reason=reason), "parked", output)


@_change
@_optional_reason
def reopen(
    subjects: tuple[str, ...],
    *,
    wanted: FailureFilter,
    everything: bool,
    reason: str,
    actor: str,
    db: Path | None,
    output: str,
) -> int:
    """Open letters again that are parked, or that were discarded and are named.

    \b
      tailrace dlq reopen DL-01KAHV6X3Q8Z
      tailrace dlq reopen --state parked --flow nightly
    """  # noqa: D301 - \b is click's mark for lines to keep
    letters = dead_letters(db)
    state = LetterState.PARKED.value
    chosen = choose(letters, subjects, wanted, state=state, everything=everything)
    if not chosen.ids and not chosen.state:
        chosen = msgspec.structs.replace(chosen, state=state)
    return _told(letters.change(chosen, "reopen", actor=actor, reason=reason), "open", output)


def _exactly(found: Sequence[DeadLetter]) -> FailureFilter:
    """Return the filter for these letters: what is done is what the plan showed."""
    return FailureFilter(ids=tuple(letter.dl_id for letter in found))


def _plan(found: Sequence[DeadLetter]) -> list[str]:
    lines = [f"discards {counted(len(found), 'letter')}:"]
    lines += [f"  {one.dl_id}  {clean(one.flow)}  {clean(one.type)}" for one in found[:_LISTED]]
    if len(found) > _LISTED:
        lines.append(f"  and {len(found) - _LISTED:,} more")
    return lines


def _told(changed: Sequence[DeadLetter], what: str, output: str) -> int:
    show_one(
        output,
        data=lambda: [struct_to_dict(letter) for letter in changed],
        text=lambda: (f"{letter.dl_id}: {letter.state}" for letter in changed),
    )
    if output in DATA:
        return 0
    say(f"{counted(len(changed), 'letter')} {what}" if changed else "no letters match")
    return 0
