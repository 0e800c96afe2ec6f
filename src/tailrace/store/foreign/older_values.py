"""Values as older tools wrote them: ids, times, and attributes as Python literals."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

_LONGEST_LITERAL = 1 << 20
"""Characters of attributes that are parsed; longer ones are kept as one text."""
_DEEPEST = 40
RAW = "tailrace.attributes"
"""Attribute that holds attributes which could not be read, as they stood."""
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_HEX = frozenset("0123456789abcdef")
_SECOND = 1_000_000_000
_UNITS = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000))
"""Numbers above these are nanoseconds, microseconds, milliseconds; smaller ones are seconds."""


def trace_id_of(text: str) -> str:
    """Return a trace id: the text itself, a UUID without its dashes, or a digest."""
    return _id_of(text, _TRACE_DIGITS)


def span_id_of(text: str, trace: str) -> str:
    """Return a span id: the text itself, or a digest of it and its trace."""
    return _id_of(text, _SPAN_DIGITS, trace)


def _id_of(text: str, digits: int, within: str = "") -> str:
    plain = text.strip().lower().replace("-", "")
    if len(plain) == digits and _HEX.issuperset(plain) and plain.strip("0"):
        return plain
    return sha256(f"{within}\0{text}".encode(errors="replace")).hexdigest()[:digits]


def instant_of(value: Any) -> int | None:
    """Return a time in ns since the epoch; None where there is none.

    Numbers are seconds, milliseconds, microseconds or nanoseconds, by their size; texts are such
    numbers or ISO 8601, UTC where they name no zone.

    Raises:
        ValueError: it is no time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return _iso(value)
    if isinstance(value, int | float) and 0 <= value < 1 << 63:
        factor = next((unit for least, unit in _UNITS if value >= least), _SECOND)
        if isinstance(value, int):
            return value * factor
        return round(value * factor / 1_000) * 1_000  # a float of seconds is no more exact
    raise ValueError(f"a time is no time: {value!r}")


def _iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"a time is no time: {text[:40]!r}") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1_000


def attributes_of(value: Any) -> dict[str, Any]:
    """Return attributes written as JSON or as a Python literal.

    What can be read as neither is kept as one text under ``tailrace.attributes``. Nothing of it
    is ever run.
    """
    if value is None or value in ("", b""):
        return {}
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    text = str(value)
    read = _literal(text)
    if isinstance(read, Mapping):
        return {str(key): item for key, item in read.items()}
    return {RAW: text}


def _literal(text: str) -> Any:
    if len(text) > _LONGEST_LITERAL or _depth(text) > _DEEPEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _depth(text: str) -> int:
    """Return how deep brackets stand in one another, at most: a parser's stack has an end."""
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
