"""A large file of exports, one per line, taken in by several processes: a part of it by each."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast, get_origin

import msgspec
from msgspec import Struct

from tailrace.errors import StoreError, TailraceError
from tailrace.store.foreign import ForeignWriter, Intake
from tailrace.tracing.otlp import FileFormat, ReadReport, read_exports, unpacked

if TYPE_CHECKING:
    from tailrace.tracing.otlp import Export

_LEAST = 32 << 20
"""Bytes of a part, for which a process of its own is worth while."""
_LONGEST = 32 << 20
"""Bytes of the first line, by which it is told whether lines are exports."""
_MOST_PARTS = 4
_BLOCK = 1 << 20
_COMMAND = (sys.executable, "-P", "-m", "tailrace.cli.import_parts")


class Part(Struct):
    """Whole lines of a file."""

    file: str
    db: str
    start: int
    end: int
    """Bytes of the file from which on, and before which."""


class Taken(Struct):
    """What became of a part; lines count from its own first one."""

    intake: Intake
    report: ReadReport
    traces: list[int]
    """A number for each of its traces."""
    trouble: tuple[str, str, str] | None = None
    """Code, message and hint of the error that ended it."""


class _Slice(io.RawIOBase):
    """The bytes of a part as a file."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._left = part.end - part.start
        file.seek(part.start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def parts_of(file: Path, db: Path) -> list[Part]:
    """Return the parts that are worth a process each; of most files there are less than two.

    Raises:
        OSError: the file cannot be read.
    """
    size = file.stat().st_size if file.is_file() else 0
    count = min(_cores(), _MOST_PARTS, size // _LEAST)
    if count < 2:
        return []
    with file.open("rb") as source:
        if not _is_export(source.readline(_LONGEST)):
            return []
        ends = [0]
        for number in range(1, count):
            source.seek(max(ends[-1], number * size // count))
            source.readline()
            ends.append(source.tell())
    ends.append(size)
    return [
        Part(str(file.absolute()), str(db.absolute()), start, end)
        for start, end in pairwise(ends)
        if start < end
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_export(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    return any(
        True for _ in read_exports(unpacked(io.BytesIO(line)), FileFormat.JSON, ReadReport())
    )


def import_parts(
    parts: Sequence[Part], writer: ForeignWriter, seen: set[int]
) -> tuple[Intake, ReadReport]:
    """Take all parts in at once, and return what became of them.

    Args:
        parts: at least one; the first is taken in by this process.
        writer: of the file of spans.
        seen: gets a number for each trace.

    Raises:
        OSError: the file cannot be read.
        TailraceError: what a part has said; what was written before stays.
    """
    with _workers(parts[1:]) as wait:
        done = [_take(parts[0], writer), *wait()]
    intake, report, line = Intake(), ReadReport(), 0
    for part, taken in zip(parts, done, strict=True):
        intake.add(taken.intake)
        report.add(taken.report, line)
        seen.update(taken.traces)
        line += _lines(part)
    return intake, report


@contextmanager
def _workers(parts: Sequence[Part]) -> Iterator[Callable[[], list[Taken]]]:
    """Start a process for each part; they end with the block, whatever happens in it."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for part in parts:
            process = subprocess.Popen(  # noqa: S603 - constant, and no shell
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            running.append(process)
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            process.stdin.write(msgspec.json.encode(part))
            process.stdin.close()
            process.stdin = None
        yield lambda: list(map(_answer, running))
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _answer(process: subprocess.Popen[bytes]) -> Taken:
    said, _ = process.communicate()
    try:
        taken = msgspec.msgpack.decode(said, type=Taken, dec_hook=_counter)
    except msgspec.DecodeError:
        raise StoreError(
            f"a process that took in a part of the file has ended with {process.returncode}",
            code="TR530",
            hint="import the file again; what is here already is not doubled",
        ) from None
    if taken.trouble is not None:
        code, message, hint = taken.trouble
        raise StoreError(message, code=code, hint=hint)
    return taken


def _counter(kind: type, given: Any) -> Any:
    return Counter(given) if get_origin(kind) is Counter or kind is Counter else given


def _take(part: Part, writer: ForeignWriter) -> Taken:
    report, seen = ReadReport(), set[int]()
    with Path(part.file).open("rb") as file:
        source = cast("io.BufferedReader", io.BufferedReader(_Slice(file, part), _BLOCK))
        exports: Iterator[Export] = read_exports(source, FileFormat.JSON, report, is_lines=True)
        intake = writer.load_exports(exports, report, seen)
    return Taken(intake, report, list(seen))


def _lines(part: Part) -> int:
    count, left = 0, part.end - part.start
    with Path(part.file).open("rb") as file:
        file.seek(part.start)
        while left and (block := file.read(min(_BLOCK, left))):
            count += block.count(b"\n")
            left -= len(block)
    return count


def main() -> None:
    """Take in the part that standard input names, and write what became of it."""
    part = msgspec.json.decode(sys.stdin.buffer.read(), type=Part)
    try:
        with closing(ForeignWriter(part.db)) as writer:
            taken = _take(part, writer)
    except (TailraceError, OSError) as error:
        code, hint = getattr(error, "code", "TR530"), getattr(error, "hint", "")
        taken = Taken(Intake(), ReadReport(), [], (code, str(error), hint))
    sys.stdout.buffer.write(msgspec.msgpack.encode(taken))


if __name__ == "__main__":
    main()
