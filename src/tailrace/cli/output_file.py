"""Results that go to a file or to standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tailrace.cli.session import current_session


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
