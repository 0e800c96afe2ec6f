"""``tailrace failures trail``: the way a failure, or the work of a dead letter, went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from msgspec import Struct

from tailrace.cli.clock_text import local_time
from tailrace.cli.failure_rows import error_text
from tailrace.cli.group import command
from tailrace.cli.hop_rows import HOP_COLUMNS, hop_row
from tailrace.cli.listing import FORMATS, counted, show_one
from tailrace.cli.newest import find_failure
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.session import current_session
from tailrace.cli.stores import Failures, Letters, failure_log, letters_of, redrives_of
from tailrace.cli.struct_json import failure_to_dict, struct_to_dict
from tailrace.cli.table_text import escape_markdown, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import clean
from tailrace.errors import NotFound
from tailrace.model.failure import Disposition, FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter, LetterState, Redrive

_LETTER = "DL-"


class Chapter(Struct, frozen=True, kw_only=True):
    """One run of a letter's work, or one failure alone."""

    failure: FailureSnapshot
    redrive: Redrive | None = None
    """None: the first run."""


@command()
@click.argument("subject", metavar="ID")
@store_option
@format_option(*FORMATS)
def trail(subject: str, *, db: Store, output: str) -> int:
    """Show the way of a failure from scope to scope, over all redrives of its work.

    ID is a failure's or a dead letter's, or its beginning, or @last.

    \b
      tailrace failures trail F-01KAHV6X3Q8Z
      tailrace failures trail DL-01KAHV6X3Q8Z
    """  # noqa: D301 - \b is click's mark for lines to keep
    log, letters = failure_log(db), letters_of(db)
    letter, failure = _subject(subject, log, letters)
    redrives = redrives_of(db).redrives(dl_id=letter.dl_id) if letter else []
    chapters = _chapters(log, letter, redrives, failure)
    terminal = current_session().out
    show_one(
        output,
        data=lambda: _to_dict(letter, chapters),
        text=lambda: _text(letter, chapters, terminal),
        markdown=lambda: _markdown(letter, chapters),
    )
    return 0


def _subject(
    subject: str, log: Failures, letters: Letters
) -> tuple[DeadLetter | None, FailureSnapshot | None]:
    """Return the letter meant and the failure meant, each where there is one."""
    if subject.upper().startswith(_LETTER):
        return letters.letter(subject), None
    try:
        failure = find_failure(log, subject)
    except NotFound:
        try:
            return letters.letter(subject), None
        except NotFound:
            pass
        raise
    return _letter_of(failure, letters), failure


def _letter_of(failure: FailureSnapshot, letters: Letters) -> DeadLetter | None:
    """Return the letter this failure ended in, or whose earlier run it ended."""
    for state in LetterState if failure.run_id else ():
        wanted = FailureFilter(state=state.value, run=failure.run_id)
        found = letters.letters(wanted, limit=1)
        if found:
            return found[0]
    return None


def _chapters(
    log: Failures,
    letter: DeadLetter | None,
    redrives: Sequence[Redrive],
    failure: FailureSnapshot | None,
) -> list[Chapter]:
    """Return what is known of each run of the letter's work, oldest first."""
    if letter is None:
        return [Chapter(failure=failure)] if failure is not None else []
    runs: dict[str, Redrive | None] = {letter.task_key.partition(":")[0]: None}
    runs |= {redrive.run_id: redrive for redrive in redrives if redrive.run_id}
    chapters = [
        Chapter(failure=one, redrive=redrive)
        for run_id, redrive in runs.items()
        for one in _ends(log, run_id)
    ]
    if not chapters and letter.failure_id:
        chapters = [Chapter(failure=log.failure(letter.failure_id))]
    return chapters


def _ends(log: Failures, run_id: str) -> list[FailureSnapshot]:
    wanted = FailureFilter(run=run_id, state=Disposition.TERMINAL.value)
    return log.failures(wanted, limit=10)[::-1]


def _to_dict(letter: DeadLetter | None, chapters: Sequence[Chapter]) -> dict[str, Any]:
    return {
        "dead_letter": None if letter is None else struct_to_dict(letter),
        "chapters": [
            {
                "generation": 0 if chapter.redrive is None else chapter.redrive.generation,
                "redrive": None if chapter.redrive is None else struct_to_dict(chapter.redrive),
                "failure": failure_to_dict(chapter.failure),
            }
            for chapter in chapters
        ],
    }


def _heads(chapters: Sequence[Chapter]) -> Iterator[tuple[str, Chapter]]:
    for chapter in chapters:
        failure, redrive = chapter.failure, chapter.redrive
        what = f"{failure.failure_id}  {error_text(failure.type, failure.message)}"
        if redrive is not None:
            why = f" ({redrive.reason})" if redrive.reason else ""
            what = f"redrive {redrive.generation} by {redrive.actor}{why}: {what}"
        yield f"{what}  {local_time(failure.captured_ns)}", chapter


def _state(letter: DeadLetter | None) -> list[str]:
    if letter is None:
        return []
    attempts = counted(letter.attempts_total, "attempt")
    redrives = counted(letter.generation, "redrive")
    return [f"{letter.dl_id}: {letter.state}, {attempts}, {redrives}"]


def _text(letter: DeadLetter | None, chapters: Sequence[Chapter], terminal: Terminal) -> list[str]:
    lines = [terminal.style(clean(line), "bold") for line in _state(letter)]
    for head, chapter in _heads(chapters):
        lines += ["", terminal.style(clean(head), "bold")] if lines else [clean(head)]
        origin = " / ".join(chapter.failure.origin.path)
        if origin:
            lines.append(f"raised in {clean(origin)}")
        rows = [hop_row(hop) for hop in chapter.failure.trail]
        lines += render_table(HOP_COLUMNS, rows, terminal) if rows else ["it went nowhere yet"]
    return lines


def _markdown(letter: DeadLetter | None, chapters: Sequence[Chapter]) -> list[str]:
    lines = [escape_markdown(clean(line)) for line in _state(letter)]
    for head, chapter in _heads(chapters):
        rows = [hop_row(hop) for hop in chapter.failure.trail]
        lines += ["", f"## {escape_markdown(clean(head))}", "", *render_markdown(HOP_COLUMNS, rows)]
    return lines
