"""Lines of an older program's file: whole objects, and what can be saved from torn lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

_BEGINNING = re.compile(rb'\{\s*"event_id"\s*:')
"""How every event of the older program begins."""
_decode = json.JSONDecoder().raw_decode
_WHITE = b" \t\r\n\x00"
"""What may stand around objects and means nothing; a crash leaves zeros on some file systems."""
_BETWEEN = _WHITE + b","


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a file: an object, or bytes that are none."""

    offset: int
    """Byte at which it begins."""
    raw: bytes
    found: dict[str, Any] | None = None
    reason: str = ""
    """Why there is no object."""


def pieces(file: BinaryIO, *, only_whole_lines: bool = False) -> Iterator[Piece]:
    """Yield what a file holds from its present position on.

    A line that is no object is searched for beginnings of events: whole ones are saved, and what
    is left between them is yielded as bytes. No line disturbs the next.

    Args:
        file: of JSON lines.
        only_whole_lines: stop at a last line that has no end yet; somebody may be writing it.
            The file's position is at its beginning then.
    """
    while True:
        offset = file.tell()
        line = file.readline()
        if not line:
            return
        if only_whole_lines and not line.endswith(b"\n"):
            file.seek(offset)
            return
        yield from _line_pieces(line, offset)


def _line_pieces(line: bytes, offset: int) -> Iterator[Piece]:
    if offset == 0:
        body = line.removeprefix(codecs.BOM_UTF8)
        offset, line = len(line) - len(body), body
    stripped = line.strip(_WHITE)
    if not stripped:
        return
    start = line.index(stripped)
    found, end = _object_at(stripped)
    if found is not None and not stripped[end:].strip(_BETWEEN):
        yield Piece(offset=offset + start, raw=stripped[:end], found=found)
    else:
        yield from _saved(stripped, offset + start)


def _saved(line: bytes, offset: int) -> Iterator[Piece]:
    """Yield the whole events inside of a bad line, and the bytes between them."""
    done = 0
    for beginning in _BEGINNING.finditer(line):
        start = beginning.start()
        if start < done:
            continue
        found, length = _object_at(line[start:])
        if found is None:
            continue
        yield from _rest(line[done:start], offset + done)
        yield Piece(offset=offset + start, raw=line[start : start + length], found=found)
        done = start + length
    yield from _rest(line[done:], offset + done)


def _rest(raw: bytes, offset: int) -> Iterator[Piece]:
    stripped = raw.strip(_WHITE)
    if stripped.strip(_BETWEEN):
        start = offset + raw.index(stripped)
        yield Piece(offset=start, raw=stripped, reason=_why_not(stripped))


def _object_at(raw: bytes) -> tuple[dict[str, Any] | None, int]:
    """Return the object with which the bytes begin, and its length in bytes."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        found, end = _decode(text)
    except (ValueError, RecursionError):
        return None, 0
    if not isinstance(found, dict):
        return None, 0
    return found, len(text[:end].encode("utf-8", "surrogateescape"))


def _why_not(raw: bytes) -> str:
    try:
        found = json.loads(raw.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        return f"no JSON: {error}"
    except RecursionError:
        return "nested too deep"
    return f"a JSON {type(found).__name__}, no object"
