"""``tailrace dlq export`` and ``import``: dead letters as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tailrace.cli.database import database_path
from tailrace.cli.filters import GAVE_UP, filter_options
from tailrace.cli.group import command
from tailrace.cli.json_text import spelled
from tailrace.cli.letters import ALL, STATES
from tailrace.cli.listing import counted, say
from tailrace.cli.options import db_option
from tailrace.cli.output_file import output_option, write_lines
from tailrace.cli.refusal import Refusal
from tailrace.cli.stores import dead_letters
from tailrace.errors import NotFound
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter
from tailrace.ports import DeadLetters

if TYPE_CHECKING:
    from tailrace.store import StoreLimits

NOT_A_LETTER = "TR342"
_INLINE = "inline"


@command()
@filter_options(states=STATES, gave_up=GAVE_UP)
@output_option
@db_option
def export_letters(wanted: FailureFilter, *, path: Path | None, db: Path | None) -> int:
    """Write dead letters as JSON lines, whole, instants as nanoseconds.

    Inputs of a run stay in this database; the letter says which run has them.

    \b
      tailrace dlq export --output letters.jsonl
      tailrace dlq export --state resolved > settled.jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = dead_letters(db).letters(wanted, limit=ALL)
    encode = msgspec.json.Encoder().encode
    write_lines((spelled(encode(letter).decode()) for letter in reversed(found)), path)
    say(f"{counted(len(found), 'letter')} written")
    return 0


@command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Check the file; change nothing.")
@db_option
def import_letters(path: Path, *, dry_run: bool, db: Path | None) -> int:
    """Read dead letters that were exported. Letters that are here already are left alone.

    FILE is what dlq export wrote, or - for standard input. A file with a wrong line is not read.

    \b
      tailrace dlq import letters.jsonl --dry-run
    """  # noqa: D301 - \b is click's mark for lines to keep
    found = list(read_letters(_text(path).splitlines(), str(path)))
    from tailrace.store import SqliteDeadLetters, SqliteFailureLog  # noqa: PLC0415 - not for --help

    place = database_path(db)
    known = SqliteDeadLetters(place) if place.is_file() else None
    new = [letter for letter in found if known is None or not _is_known(letter, known)]
    if new and not dry_run:
        SqliteFailureLog(place, limits=_limits()).record((), new)
    verb = "would be read" if dry_run else "read"
    say(f"{counted(len(new), 'letter')} {verb}, {len(found) - len(new):,} were here already")
    _warn(new)
    return 0


def read_letters(lines: Sequence[str], name: str) -> Iterator[DeadLetter]:
    """Yield the letters of JSON lines; empty lines are skipped.

    Raises:
        Refusal: a line is no dead letter (TR342).
    """
    decode = msgspec.json.Decoder(DeadLetter).decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise Refusal(
                f"{name}:{number} is no dead letter: {error}",
                code=NOT_A_LETTER,
                hint="tailrace dlq export writes such files; those of the older program are read"
                " by tailrace events import",
            ) from error


def _limits() -> StoreLimits:
    """Return the project's: among them when a letter expires that says nothing of it itself."""
    from tailrace.runtime.stores import store_limits  # noqa: PLC0415 - not for --help
    from tailrace.settings import load_settings  # noqa: PLC0415 - likewise

    return store_limits(load_settings().failures)


def _is_known(letter: DeadLetter, letters: DeadLetters) -> bool:
    try:
        return letters.letter(letter.dl_id).dl_id == letter.dl_id
    except NotFound:
        return False


def _text(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        message = f"{path} is no UTF-8 text: {error}"
        raise click.UsageError(message) from error


def _warn(letters: Sequence[DeadLetter]) -> None:
    elsewhere = sum(letter.payload_ref != _INLINE for letter in letters)
    if elsewhere:
        say(
            f"{counted(elsewhere, 'letter')} can be redriven only where the run is whose inputs"
            " they need"
        )
