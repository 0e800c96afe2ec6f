"""Values as JSON text, whatever a task returned."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import Any

_DEPTH = 200
"""Nesting that is written out; deeper than any sensible document."""
_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, reorders its line, or ends a line of JSON lines for some readers;
JSON itself escapes only what is below the space."""
_INT_BITS = 10_000
"""Longer integers are written in hex, which Python does not limit."""


def pretty(value: Any) -> str:
    """Return indented JSON that keeps every script readable."""
    import json  # noqa: PLC0415 - tables and trees need none

    return spelled(json.dumps(plain(value), ensure_ascii=False, indent=2))


def compact(value: Any) -> str:
    """Return JSON on one line."""
    import json  # noqa: PLC0415 - likewise

    return spelled(json.dumps(plain(value), ensure_ascii=False))


def spelled(text: str) -> str:
    """Return JSON with those characters escaped that must not reach a terminal."""
    return (
        text
        if text.isascii() and "\x7f" not in text
        else _HIDDEN.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)
    )


def plain(value: Any, *, depth: int = 0) -> Any:
    """Return ``value`` built of what JSON knows.

    What JSON lacks becomes its nearest text: numbers that are not finite, dates, paths; anything
    else its bounded, redacted summary.
    """
    match value:
        case int() if value.bit_length() > _INT_BITS:
            return hex(value)
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() | list() | tuple() | AbstractSet():
            return _container(value, depth + 1)
        case _:
            return _object(value, depth + 1)


def _container(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth=depth) for key, item in value.items()}
    items = [plain(item, depth=depth) for item in value]
    return sorted(items, key=str) if isinstance(value, AbstractSet) else items


def _object(value: Any, depth: int) -> Any:
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _container(fields, depth)
    names = getattr(type(value), "__struct_fields__", None)
    if isinstance(names, tuple):
        return _container({name: getattr(value, name) for name in names}, depth)
    from tailrace.tracing.summary import summarize  # noqa: PLC0415 - rarely needed

    return summarize(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))
