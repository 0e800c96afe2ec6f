"""Values as spans and reports show them: bounded, typed, with secrets redacted."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import MappingProxyType, ModuleType
from typing import Any
from uuid import UUID

from tailrace.model.secret import REDACTED, Secret, hide, is_secret, redact_text

MAX_LENGTH = 256
"""Characters of the longest summary."""
_PREVIEW = 150
"""Characters of a container's content that are shown."""
_MAX_TEXT = 120
"""Characters of a text that are shown when it is longer than a summary."""
_MAX_ITEM_TEXT = 40
_MAX_DEPTH = 4
_MAX_INT = 2**63
_SHOWN_BITS = 256
_PAIRS, _ITEMS, _FIELDS = ("{", "}"), ("[", "]"), ("(", ")")


def summarize(value: Any) -> Any:
    """Return a number, a boolean, None, or a text of at most 256 characters.

    Plain scalars pass as they are. Never raises, never runs ``__repr__`` or ``__str__`` of a
    foreign type, never consumes an iterator.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_MAX_INT <= value < _MAX_INT else _integer(value)
    if kind is str:
        if len(value) <= MAX_LENGTH and value.isascii() and "=" not in value and ":" not in value:
            return value if "ear" not in value and "asic" not in value else _text(value)
        return _text(value)
    if kind is float:
        return value if math.isfinite(value) else _float(value)
    return _guarded(value)


def summarize_inputs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary for each named value; what has a secret's name is redacted."""
    return {
        name: hide(value) if is_secret(name, value) else summarize(value)
        for name, value in values.items()
    }


def _guarded(value: Any) -> str:
    try:
        text = _typed(value)
    except Exception:  # noqa: BLE001 - a foreign type's own code may raise anything
        text = f"<{_name(type(value))}>"
    return _cut(_clean(text), MAX_LENGTH)


def _typed(value: Any) -> str:
    """Return what a value that is no plain scalar is, how large, and how it begins."""
    match value:
        case dict() | MappingProxyType():
            return f"{_name(type(value))}[{len(value)}] {_preview(_pairs(value), _PAIRS)}"
        case list() | tuple() if not hasattr(value, "_fields"):
            return _sequence(value)
        case set() | frozenset():
            return f"{_name(type(value))}[{len(value)}]"
        case bytes() | bytearray() | memoryview():
            return f"{_name(type(value))}[{len(value)}]"
        case _:
            return _item(value, 0)


def _sequence(value: list[Any] | tuple[Any, ...]) -> str:
    head = f"{_name(type(value))}[{len(value)}]"
    if not value:
        return head
    whole = _preview((_item(item, 1) for item in value), _ITEMS)
    if not whole.endswith("…]"):
        return f"{head} {whole}"
    return f"{head} first={_item(value[0], 1)}"


def _preview(parts: Iterable[str], brackets: tuple[str, str]) -> str:
    """Return the parts that fit between brackets; ``…`` stands for those that do not."""
    shown: list[str] = []
    room = _PREVIEW
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            shown.append("…" if shown else _cut(part, _PREVIEW) + "…")
            break
        shown.append(part)
    return brackets[0] + ", ".join(shown) + brackets[1]


def _pairs(value: Mapping[Any, Any], depth: int = 1) -> Iterator[str]:
    for key, item in value.items():
        yield f"{_item(key, depth)}: {_hidden_or(key, item, depth)}"


def _hidden_or(key: Any, item: Any, depth: int) -> str:
    if type(key) is str and is_secret(key, item):
        return f'"{hide(item)}"'
    return _item(item, depth)


def _item(value: Any, depth: int) -> str:
    """Return how a value looks inside a container."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is float:
        return str(_float(value))
    if kind is int:
        return str(_integer(value))
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if depth > _MAX_DEPTH:
        return "…"
    try:
        return _compound(value, depth)
    except Exception:  # noqa: BLE001 - a foreign type's own code may raise anything
        return f"<{_name(kind)}>"


def _compound(value: Any, depth: int) -> str:
    match value:
        case Secret():
            return REDACTED
        case Enum():
            return f"{_name(type(value))}.{value.name}"
        case str():
            return _quoted(str.__str__(value))
        case dict() | MappingProxyType():
            return _preview(_pairs(value, depth + 1), _PAIRS)
        case list() | tuple() if not hasattr(value, "_fields"):
            return _preview((_item(item, depth + 1) for item in value), _ITEMS)
        case _:
            return _object(value, depth)


def _object(value: Any, depth: int) -> str:
    kind = type(value)
    name = _name(kind)
    match value:
        case set() | frozenset() | bytes() | bytearray() | memoryview():
            return f"{name}[{len(value)}]"
        case dt.datetime() | dt.date() | dt.time() if kind.__module__ == "datetime":
            return value.isoformat()
        case _ if kind in _PRINTED or kind is _fraction():
            return str(value)
        case PurePath() if kind.__module__.startswith("pathlib"):
            return _quoted(str(value))
        case BaseException():
            return f"<{name}>"
        case ModuleType():
            return f"<module {value.__name__}>"
        case type():
            return f"<class {_name(value)}>"
    fields = _fields(kind)
    if fields:
        parts = (f"{field}={_hidden_or(field, _read(value, field), depth)}" for field in fields)
        return name + _preview(parts, _FIELDS)
    shape = _shape(value)
    return f"{name} {shape}" if shape else f"<{_described(value, name)}>"


_PRINTED = frozenset({dt.timedelta, Decimal, UUID, complex})


def _fraction() -> type | None:
    """Return ``fractions.Fraction`` where something has loaded it: nobody else has one."""
    return getattr(sys.modules.get("fractions"), "Fraction", None)


def _fields(kind: type) -> tuple[str, ...]:
    """Return the field names of a dataclass, named tuple, attrs, msgspec or pydantic type."""
    for name in (
        "__dataclass_fields__",
        "_fields",
        "__struct_fields__",
        "model_fields",
        "__pydantic_fields__",
    ):
        found = kind.__dict__.get(name) or getattr(kind, name, None)
        if isinstance(found, dict | tuple) and found and all(isinstance(key, str) for key in found):
            return tuple(found)
    attributes = getattr(kind, "__attrs_attrs__", ())
    return tuple(attribute.name for attribute in attributes)


def _read(value: Any, field: str) -> Any:
    return getattr(value, field, None)


def _shape(value: Any) -> str:
    """Return shape and element type of an array or a table; empty for anything else."""
    if type(value).__module__.partition(".")[0] not in _ARRAYS:
        return ""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        return ""
    text = f"shape=({', '.join(map(str, shape))})"
    kind = getattr(value, "dtype", None)
    return text if kind is None else f"{text} dtype={str(kind)[:40]}"


_ARRAYS = frozenset({"numpy", "pandas", "polars", "torch", "jax", "jaxlib", "xarray", "cupy"})


def _described(value: Any, name: str) -> str:
    qualified = getattr(value, "__qualname__", None)
    if isinstance(qualified, str) and callable(value):
        return f"{name} {qualified}"
    return name


def _integer(value: int) -> int | str:
    if -_MAX_INT <= value < _MAX_INT:
        return value
    bits = value.bit_length()
    return str(value) if bits <= _SHOWN_BITS else f"int[{bits} bits]"


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _text(value: str) -> str:
    """Return a text as it is where it is short and gives nothing away."""
    if len(value) <= MAX_LENGTH:
        return _cut(_clean(redact_text(value)), MAX_LENGTH)
    return _cut(f"str[{len(value)}] {_quoted(value, _MAX_TEXT)}", MAX_LENGTH)


def _quoted(value: str, limit: int = _MAX_ITEM_TEXT) -> str:
    text = _clean(redact_text(value))
    text = _cut(text, limit).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _clean(text: str) -> str:
    """Return the text as UTF-8 can hold it."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _name(kind: type) -> str:
    name = getattr(kind, "__name__", "object")
    return name if isinstance(name, str) else "object"
