"""Results that go to a file or to standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from tailrace.cli.session import current_session

output_option = click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; standard output otherwise.",
)
"""``--output``: where the results go."""


def write_lines(lines: Iterable[str], path: Path | None) -> None:
    """Write lines to the file, all or none of them, or to standard output.

    Raises:
        OSError: the file cannot be written; what was there before is untouched.
    """
    if path is None:
        current_session().out.lines(lines)
        return
    with open_output(path) as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def open_output(path: Path) -> Iterator[TextIO]:
    """Open a file that takes its place when the block ends well, and leaves no trace otherwise.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    with (
        _replacing(path) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield file


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file as ``open_output`` does, for bytes.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    with _replacing(path) as part, part.open("wb") as file:
        yield file


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield what to write: a file beside, but a pipe or a device itself."""
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()  # a link stays one
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
