"""Files of exported spans: one export per line or one document, JSON or protobuf, gzip or not."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, BinaryIO, cast

from msgspec import Struct

from tailrace.model.span import Span
from tailrace.tracing.otlp.read_json import parse_export, spans_of
from tailrace.tracing.otlp.read_proto import parse_proto, spans_of_proto
from tailrace.tracing.otlp.refused import Broken, ReadReport
from tailrace.tracing.otlp.typed_json import TypedGroup, parse_typed, spans_of_typed

MAX_EXPORT = 256 << 20
"""Bytes of one export, unpacked."""
_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\0"
_FRAME = 4
"""Bytes of the length before each export of a file that the collector writes."""
_PEEK = 64
_TOO_LARGE = f"it is larger than {MAX_EXPORT >> 20} MB; write one export per line"


class FileFormat(StrEnum):
    """What a file of spans may be."""

    JSON = "otlp-json"
    PROTO = "otlp-proto"
    OLDER = "older"


def unpacked(file: BinaryIO) -> io.BufferedReader:
    """Return the content of a file that may be compressed with gzip."""
    plain = cast("io.BufferedReader", file if hasattr(file, "peek") else io.BufferedReader(file))
    if plain.peek(2)[:2] == _GZIP:
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=plain)))
    return plain


def guess_format(file: io.BufferedReader) -> FileFormat:
    """Return the format that the first bytes of an unpacked file have; none of them is consumed."""
    try:
        start = file.peek(_PEEK)[:_PEEK]
    except (OSError, EOFError, zlib.error):
        return FileFormat.JSON
    if start.startswith(_SQLITE):
        return FileFormat.OLDER
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text or text[:1] in b'{["':
        return FileFormat.JSON
    return FileFormat.PROTO if start[0] in {0x00, 0x0A} else FileFormat.JSON


class Export(Struct, frozen=True):
    """One export of a file."""

    line: int
    """Where it stands, from 1; 0: it is all of the file."""
    size: int
    """Bytes of it; none of its texts is longer."""
    typed: Sequence[TypedGroup] = ()
    """Its groups, where it is JSON just as specified."""
    proto: Sequence[Any] = ()
    """Its groups (``resource_spans``), where it is protobuf."""
    others: Callable[[ReadReport], Iterator[Span]] | None = None
    """Reads its spans where it is anything else."""

    def spans(self, report: ReadReport) -> Iterator[Span]:
        """Yield its spans; those that cannot be read are counted in the report."""
        report.line = self.line
        try:
            if self.others is not None:
                yield from self.others(report)
            elif self.proto:
                yield from spans_of_proto(self.proto, report)
            else:
                yield from spans_of_typed(self.typed, report)
        except Broken as error:
            report.note(self.line, str(error))


def read_spans(file: io.BufferedReader, format_: FileFormat, report: ReadReport) -> Iterator[Span]:
    """Yield the spans of an unpacked file, in its order.

    What cannot be read is noted in the report with its line, and the rest is read. In memory is
    one export at a time.

    Raises:
        OSError: the file cannot be read.
        SettingsError: it holds protobuf, and the package for it is not installed (TR196).
    """
    for export in read_exports(file, format_, report):
        yield from export.spans(report)


def read_exports(
    file: io.BufferedReader, format_: FileFormat, report: ReadReport, *, is_lines: bool = False
) -> Iterator[Export]:
    """Yield the exports of an unpacked file, in its order; the rest is as of ``read_spans``.

    ``is_lines``: it is known to be JSON with an export on each line, as a part of a file may be.
    """
    reader = _protobuf if format_ is FileFormat.PROTO else partial(_json, is_lines=is_lines)
    try:
        yield from reader(file, report)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        report.note(0, f"the compressed file is damaged, what comes after is lost: {error}")


def _json(
    file: io.BufferedReader, report: ReadReport, *, is_lines: bool = False
) -> Iterator[Export]:
    """Yield exports, one per line, or of one document of many lines.

    It is lines as soon as one of them is an export by itself.
    """
    head: list[bytes] = []
    size = 0
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            is_lines = _told(head, report)
            report.note(number, _TOO_LARGE)
            continue
        text = line.strip()
        found = None
        if is_lines or text[:1] in _OPENS:
            try:
                found = _read(text, number)
            except Broken as error:
                if is_lines:
                    report.note(number, str(error))
                    continue
        if found is not None:
            is_lines = is_lines or _told(head, report)
            yield found
        elif not is_lines:
            head.append(line)
            size += len(line)
            if size > MAX_EXPORT:
                report.note(1, _TOO_LARGE)
                head.clear()
                is_lines = True
    if not is_lines:
        yield from _document(head, report)


_OPENS = (b"{", b"[")


def _read(text: bytes, line: int) -> Export | None:
    """Return a text as an export; None: it has no spans.

    Raises:
        Broken: it is no export.
    """
    typed = parse_typed(text)
    if typed:
        return Export(line, len(text), typed)
    groups = parse_export(text) if text else []
    return Export(line, len(text), others=partial(spans_of, groups)) if groups else None


def _lines(file: io.BufferedReader) -> Iterator[bytes | None]:
    """Yield lines; None stands for one that is too long to be kept."""
    first = True
    while line := file.readline(MAX_EXPORT + 1):
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf"), False
        if len(line) <= MAX_EXPORT:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_EXPORT)
        yield None


def _told(head: list[bytes], report: ReadReport) -> bool:
    """Note the lines that were kept in case they begin a document, and forget them."""
    for number, line in enumerate(head, 1):
        if line.strip():
            report.note(number, _trouble(line)[0])
    head.clear()
    return True


def _document(head: list[bytes], report: ReadReport) -> Iterator[Export]:
    body = b"".join(head)
    if not body.strip():
        return
    try:
        found = _read(body, 0)
    except Broken:
        lines = [line for line in head if line.strip()]
        if len(lines) > 1 and all(line.lstrip()[:1] == b"{" for line in lines):
            _told(head, report)
            return
        reason, position = _trouble(body)
        report.note(1 + body[:position].count(b"\n"), reason)
        return
    if found is not None:
        yield found


def _trouble(body: bytes) -> tuple[str, int]:
    """Return why a text is no export, and the byte at which that shows."""
    try:
        parse_export(body)
    except Broken as error:
        found = _BYTE.search(str(error))
        return str(error), int(found[1]) if found else 0
    return "it is no export of spans", 0


_BYTE = re.compile(r"\(byte (\d+)\)")


def _protobuf(file: io.BufferedReader, report: ReadReport) -> Iterator[Export]:
    """Yield one export, or of many, each behind its length in four bytes."""
    if file.peek(1)[:1] != b"\0":
        body = file.read(MAX_EXPORT + 1)
        if len(body) > MAX_EXPORT:
            report.note(0, f"it is larger than {MAX_EXPORT >> 20} MB")
            return
        yield from _export(body, 0, report)
        return
    number = 0
    while header := file.read(_FRAME):
        number += 1
        size = int.from_bytes(header, "big")
        if len(header) < _FRAME or size > MAX_EXPORT:
            report.note(number, "the length before this export is damaged; the rest is not read")
            return
        body = file.read(size)
        if len(body) < size:
            report.note(number, "the file ends within this export")
            return
        yield from _export(body, number, report)


def _export(body: bytes, number: int, report: ReadReport) -> Iterator[Export]:
    try:
        groups = parse_proto(body)
    except Broken as error:
        report.note(number, str(error))
        return
    yield Export(number, len(body), proto=groups)
