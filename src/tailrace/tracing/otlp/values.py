"""Attribute values of OTLP's JSON as Python values, and back.

A key-value list is a dict, bytes are bytes, an empty value is None, an integer beyond 64 bits its
digits.
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

from tailrace.tracing.otlp.refused import Broken

MAX_DEPTH = 32
"""Levels of lists and maps inside one value."""
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_SURE = 19
"""Numbers of fewer digits have at most 64 bits."""
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def attributes_of(pairs: Any, depth: int = 0) -> dict[str, Any]:
    """Return attributes by key; of a key that is there twice the last one counts.

    Raises:
        Broken: the pairs are no list of keys and values, or nested too deeply.
    """
    if not pairs:
        return {}
    found: dict[str, Any] = {}
    try:
        for pair in pairs:
            key, value = pair["key"], pair.get("value")
            if key.__class__ is not str:
                raise Broken("a key of an attribute must be a text")
            plain = None if value is None else value.get("stringValue")
            if plain.__class__ is str:
                found[key] = plain
                continue
            digits = None if value is None else value.get("intValue")
            if digits.__class__ is str and len(digits) < _SURE and digits.isdecimal():
                found[key] = int(digits)
            else:
                found[key] = value_of(value, depth)
    except (AttributeError, KeyError, TypeError):
        raise Broken("attributes must be a list of objects with key and value") from None
    return found


def value_of(value: Any, depth: int = 0) -> Any:
    """Return one AnyValue as a Python value.

    Raises:
        Broken: it is of no kind that OTLP knows, or nested too deeply.
    """
    if value is None:
        return None
    if value.__class__ is not dict:
        raise Broken(f"a value must be an object such as {{'stringValue': …}}, not {_shown(value)}")
    if depth > MAX_DEPTH:
        raise Broken(f"a value is nested more than {MAX_DEPTH} levels deep")
    for kind, content in value.items():
        reader = _READERS.get(kind)
        if reader is not None and content is not None:
            return reader(content, depth)
    return None


def _text(content: Any, _: int) -> str:
    if content.__class__ is not str:
        raise Broken(f"stringValue must be a text, not {_shown(content)}")
    return str(content)


def _boolean(content: Any, _: int) -> bool:
    if content.__class__ is not bool:
        raise Broken(f"boolValue must be true or false, not {_shown(content)}")
    return bool(content)


def _integer(content: Any, _: int) -> int | str:
    number = whole(content, "intValue")
    return number if _MIN_INT <= number <= _MAX_INT else str(number)


def whole(content: Any, field: str) -> int:
    """Return a whole number that JSON may hold as a number or as its digits.

    Raises:
        Broken: it is neither.
    """
    if content.__class__ is int:
        return int(content)
    if content.__class__ is str and len(content) <= _MAX_DIGITS:
        digits = content.removeprefix("-")
        if digits.isascii() and digits.isdigit():
            return int(content)
    if content.__class__ is float and content.is_integer():
        return int(content)
    raise Broken(f"{field} must be a whole number, not {_shown(content)}")


_MAX_DIGITS = 24


def _float(content: Any, _: int) -> float:
    if content.__class__ is float:
        return float(content)
    if content.__class__ is str:
        named = _NAMED.get(content)
        if named is not None:
            return named
    if content.__class__ in {str, int} and len(str(content)) <= _MAX_FLOAT:
        try:
            return float(content)
        except (ValueError, OverflowError):
            pass
    raise Broken(f"doubleValue must be a number, not {_shown(content)}")


_MAX_FLOAT = 400


def _list(content: Any, depth: int) -> list[Any]:
    values = _inside(content, "arrayValue")
    return [value_of(value, depth + 1) for value in values]


def _map(content: Any, depth: int) -> dict[str, Any]:
    return attributes_of(_inside(content, "kvlistValue"), depth + 1)


def _inside(content: Any, field: str) -> list[Any]:
    values = content.get("values") if content.__class__ is dict else None
    if values is None and content.__class__ is dict:
        return []
    if values.__class__ is not list:
        raise Broken(f"{field} must be an object with a list of values")
    return list(values)


def _bytes(content: Any, _: int) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Broken("bytesValue must be base64") from None


_READERS = {
    "stringValue": _text,
    "intValue": _integer,
    "boolValue": _boolean,
    "doubleValue": _float,
    "arrayValue": _list,
    "kvlistValue": _map,
    "bytesValue": _bytes,
    "string_value": _text,
    "int_value": _integer,
    "bool_value": _boolean,
    "double_value": _float,
    "array_value": _list,
    "kvlist_value": _map,
    "bytes_value": _bytes,
}


def pairs_of(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP's JSON writes them."""
    return [
        {"key": key, "value": {"stringValue": value}}
        if value.__class__ is str
        else {"key": key, "value": any_value(value)}
        for key, value in attributes.items()
    ]


def any_value(value: Any, depth: int = 0) -> dict[str, Any]:
    """Return a Python value as an AnyValue; what OTLP has no kind for becomes its text."""
    if value.__class__ is int:
        inside = _MIN_INT <= value <= _MAX_INT
        return {"intValue": str(value)} if inside else {"stringValue": str(value)}
    match value:
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return any_value(int(value))
        case float():
            return {"doubleValue": value if math.isfinite(value) else _name(value)}
        case None:
            return {}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list() | tuple() | dict() if depth <= MAX_DEPTH:
            return _nested(value, depth + 1)
        case _:
            return {"stringValue": str(value)}


def _nested(value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"arrayValue": {"values": [any_value(item, depth) for item in value]}}
    items = [{"key": str(key), "value": any_value(item, depth)} for key, item in value.items()]
    return {"kvlistValue": {"values": items}}


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


_MAX_SHOWN = 60
