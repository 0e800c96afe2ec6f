"""``tailrace dlq``: dead letters, looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from tailrace.cli.advice import REDRIVE
from tailrace.cli.failure_rows import error_text, short_fingerprints
from tailrace.cli.filters import GAVE_UP, filter_options
from tailrace.cli.group import command
from tailrace.cli.letter_rows import (
    LETTER_COLUMNS,
    LETTER_GROUP_COLUMNS,
    LetterGroup,
    group_letters,
    letter_advice,
    letter_facts,
    letter_group_row,
    letter_row,
    states_text,
)
from tailrace.cli.listing import DATA, FORMATS, counted, say, show_listing, show_one
from tailrace.cli.newest import LAST, newest_letter
from tailrace.cli.options import Store, format_option, limit_option, steps_for, store_option
from tailrace.cli.session import current_session, finish
from tailrace.cli.stores import Letters, letters_of, redrives_of
from tailrace.cli.struct_json import struct_to_dict
from tailrace.cli.table_text import escape_markdown, render_pairs
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean
from tailrace.errors import NotFound
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, LetterState, RecoveryAction, Redrive

ALL = 1_000_000_000
"""More letters than there are: counts are exact."""
STATES = [state.value for state in LetterState]
_FINGERPRINT = "v1:"
_SHOWN = 20


@command()
@filter_options(states=STATES, gave_up=GAVE_UP)
@click.option("--each", is_flag=True, help="One line per letter instead of one per group.")
@click.option("--fail-if", is_flag=True, help="Exit 1 when a letter matches: for cron and CI.")
@limit_option
@store_option
@format_option(*FORMATS)
def list_letters(
    wanted: FailureFilter,
    *,
    each: bool,
    fail_if: bool,
    limit: int,
    db: Store,
    output: str,
) -> int:
    """List dead letters that are open or parked, by group; as JSON letter by letter.

    \b
      tailrace dlq list
      tailrace dlq list --each --flow nightly
      tailrace dlq list --state resolved --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = letters_of(db).letters(wanted, limit=ALL)
    code = finish(1 if fail_if and found else 0)
    if each or output in ("json", "jsonl"):
        _list_each(found, limit, output, db)
    else:
        _list_groups(found, limit, output, db)
    return code


def _list_each(found: Sequence[DeadLetter], limit: int, output: str, db: Store) -> None:
    shown = found[:limit]
    show_listing(
        shown,
        output,
        columns=LETTER_COLUMNS,
        row=letter_row,
        data=struct_to_dict,
        footer=f"{len(shown):,} of {counted(len(found), 'letter')} ({states_text(found)})"
        f" · {steps_for(db, f'tailrace dlq show {shown[0].dl_id}')}"
        if shown
        else "no dead letters match",
    )


def _list_groups(found: Sequence[DeadLetter], limit: int, output: str, db: Store) -> None:
    groups = group_letters(found)
    names = short_fingerprints([group.fingerprint for group in groups], current_session().out)
    now = time.time_ns()
    show_listing(
        groups[:limit],
        output,
        columns=LETTER_GROUP_COLUMNS,
        row=lambda group: letter_group_row(group, names=names, now_ns=now),
        data=lambda group: struct_to_dict(group.newest),
        footer=_footer(found, groups, names, db),
    )


def _footer(
    found: Sequence[DeadLetter],
    groups: Sequence[LetterGroup],
    names: dict[str, str],
    db: Store,
) -> str:
    if not groups:
        return "no dead letters match"
    name = names[groups[0].fingerprint]
    steps = steps_for(db, f"tailrace dlq show {name}", f"tailrace dlq redrive {name} --dry-run")
    return f"{counted(len(found), 'letter')} in {counted(len(groups), 'group')} · {steps}"


@command()
@filter_options(gave_up=GAVE_UP)
@limit_option
@store_option
@format_option(*FORMATS)
def candidates(wanted: FailureFilter, *, limit: int, db: Store, output: str) -> int:
    """List open letters whose failure may pass by itself, the oldest first.

    \b
      tailrace failures candidates
      tailrace failures candidates --flow nightly --format jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    waiting = msgspec.structs.replace(wanted, state=LetterState.OPEN.value)
    found = [
        letter
        for letter in letters_of(db).letters(waiting, limit=ALL)
        if letter_advice(letter, open_letters=1) == REDRIVE
    ]
    found.sort(key=lambda letter: (letter.created_ns, letter.dl_id))
    shown = found[:limit]
    show_listing(
        shown,
        output,
        columns=LETTER_COLUMNS,
        row=letter_row,
        data=struct_to_dict,
        footer=f"{len(shown):,} of {counted(len(found), 'candidate')}"
        f" · {steps_for(db, f'tailrace dlq redrive {shown[0].dl_id}')}"
        if shown
        else "no candidates: nothing waits that could pass by itself",
    )
    return 0


@command()
@click.argument("subject", metavar="ID")
@store_option
@format_option(*FORMATS)
def show_letter(subject: str, *, db: Store, output: str) -> int:
    """Show one letter with its redrives and its audit trail, or the letters of a group.

    ID is a letter's or a group's, or its beginning (DL- and v1: may be left out), or @last.

    \b
      tailrace dlq show DL-01KAHV6X3Q8Z
      tailrace dlq show v1:3ac9f0d2
    """  # noqa: D301 - \b is click's mark for lines to keep
    letters = letters_of(db)
    found = find_letters(letters, subject)
    if len(found) > 1 or subject.startswith(_FINGERPRINT):
        _show_group(found, output, db)
        return 0
    letter = found[0]
    log = redrives_of(db)
    redrives, actions = log.redrives(dl_id=letter.dl_id), log.actions(letter.dl_id)
    code = _show_letter(letter, redrives, actions, output)
    if output == FORMATS[0]:
        _say_next(letter, db)
    return code


def _show_letter(
    letter: DeadLetter,
    redrives: Sequence[Redrive],
    actions: Sequence[RecoveryAction],
    output: str,
) -> int:
    terminal = current_session().out
    show_one(
        output,
        data=lambda: _to_dict(letter, redrives, actions),
        text=lambda: _text(letter, redrives, actions, terminal),
        markdown=lambda: _markdown(letter, redrives, actions),
    )
    return 0


def find_letters(letters: Letters, subject: str, *, state: str = "") -> list[DeadLetter]:
    """Return the letter with this id, or those of the group whose fingerprint begins so.

    ``@last`` is the newest letter that waits.

    ``state`` is that of a group's letters; open and parked otherwise.

    Raises:
        NotFound: there is neither.
    """
    if subject == LAST:
        return [newest_letter(letters)]
    if not subject.startswith(_FINGERPRINT):
        try:
            return [letters.letter(subject)]
        except NotFound:
            found = _of_group(letters, subject, state)
            if not found:
                raise
            return found
    found = _of_group(letters, subject, state)
    if not found:
        raise NotFound(
            f"no dead letter of the group {subject!r} is {state or 'open or parked'}",
            hint=f"tailrace dlq list --fp {subject} --state resolved shows those that are over",
        )
    return found


def _of_group(letters: Letters, fingerprint: str, state: str) -> list[DeadLetter]:
    return letters.letters(FailureFilter(fingerprint=fingerprint, state=state), limit=ALL)


def _show_group(found: Sequence[DeadLetter], output: str, db: Store) -> None:
    steps = steps_for(
        db,
        f"tailrace dlq show {found[0].dl_id}",
        f"tailrace dlq redrive {found[0].fp_site} --dry-run",
    )
    show_listing(
        found if output in DATA else found[:_SHOWN],
        output,
        columns=LETTER_COLUMNS,
        row=letter_row,
        data=struct_to_dict,
        footer=f"{counted(len(found), 'letter')} ({states_text(found)}) · {steps}",
    )


def _to_dict(
    letter: DeadLetter, redrives: Sequence[Redrive], actions: Sequence[RecoveryAction]
) -> dict[str, Any]:
    return struct_to_dict(letter) | {
        "redrives": [struct_to_dict(redrive) for redrive in redrives],
        "audit": [struct_to_dict(action) for action in actions],
    }


def _text(
    letter: DeadLetter,
    redrives: Sequence[Redrive],
    actions: Sequence[RecoveryAction],
    terminal: Terminal,
) -> list[str]:
    pairs = list(letter_facts(letter, redrives))
    pairs += [(f"audit {action.seq}", action_text(action)) for action in actions]
    headline = clean(error_text(letter.type, letter.message))
    return [terminal.style(headline, "bold red"), "", *render_pairs(pairs, terminal)]


def action_text(action: RecoveryAction) -> str:
    """Return what was done, by whom and why."""
    why = f": {action.reason}" if action.reason else ""
    return f"{action.action} by {action.actor}{why}"


def _markdown(
    letter: DeadLetter, redrives: Sequence[Redrive], actions: Sequence[RecoveryAction]
) -> list[str]:
    lines = [f"# {escape_markdown(clean(error_text(letter.type, letter.message)))}", ""]
    lines += ["| fact | value |", "|---|---|"]
    pairs = list(letter_facts(letter, redrives))
    pairs += [(f"audit {action.seq}", action_text(action)) for action in actions]
    return lines + [f"| {name} | {escape_markdown(clean(value))} |" for name, value in pairs]


def _say_next(letter: DeadLetter, db: Store) -> None:
    steps = [f"tailrace failures trail {letter.dl_id}"]
    if letter.state == LetterState.OPEN:
        steps.append(f"tailrace dlq redrive {letter.dl_id} --dry-run")
    elif letter.state == LetterState.PARKED:
        steps.append(f"tailrace dlq reopen {letter.dl_id}")
    say(steps_for(db, *steps))
