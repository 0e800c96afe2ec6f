"""Values as JSON has them, whatever a task returned."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import Any

from tailrace.tracing.summary import summarize

_DEPTH = 200
"""Nesting that is written out; deeper than any sensible document."""
_INT_BITS = 10_000
"""Longer integers are written in hex, which Python does not limit."""


def json_value(value: Any, *, depth: int = 0) -> Any:
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
        return {_key(key): json_value(item, depth=depth) for key, item in value.items()}
    items = [json_value(item, depth=depth) for item in value]
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
    return summarize(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(json_value(key))
