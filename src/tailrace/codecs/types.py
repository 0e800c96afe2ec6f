"""The types that JSON has no word for: how each becomes data and comes back."""

from __future__ import annotations

import datetime as dt
from binascii import a2b_base64, b2a_base64
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import (
    PosixPath,
    PurePath,
    PurePosixPath,
    PureWindowsPath,
    WindowsPath,
)
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Struct

T = TypeVar("T")


class NotThisValue(Exception):  # noqa: N818 - reads as the answer it is
    """The type has a codec, but not for this value; the message goes on after the type's name."""


class TypeCodec(Struct, frozen=True):
    """How values of exactly one type become data and come back."""

    tag: str
    to_data: Callable[[Any], Any]
    """Returns anything that can be encoded itself."""
    from_data: Callable[[Any], Any]


BY_TYPE: dict[type, TypeCodec] = {}
BY_TAG: dict[str, TypeCodec] = {}


def register(
    kind: type[T],
    tag: str,
    *,
    to_data: Callable[[T], Any],
    from_data: Callable[[Any], T],
) -> None:
    """Teach the JSON codec a type. Values of subclasses are not meant.

    Args:
        kind: the type.
        tag: its stable name inside checkpoints; checkpoints are read back by it.
        to_data: returns data that can be encoded: scalars, lists, mappings, known types.
        from_data: returns the value again.

    Raises:
        ValueError: another type has that tag.
    """
    taken = BY_TAG.get(tag)
    if tag in RESERVED or (taken is not None and BY_TYPE.get(kind) is not taken):
        raise ValueError(f"the tag {tag!r} belongs to another type; choose one of your own")
    codec = TypeCodec(tag, to_data, from_data)
    previous = BY_TYPE.get(kind)
    if previous is not None:
        BY_TAG.pop(previous.tag, None)
    BY_TYPE[kind] = BY_TAG[tag] = codec


RESERVED = frozenset(
    {
        "int", "float", "str", "dict",
        "enum", "struct", "named-tuple", "dataclass", "pydantic", "numpy", "pandas",
    }
)  # fmt: skip
"""Tags that no codec of a single type may have."""
_SORTED = frozenset({str, int, bytes, bool})
"""Types of which any two values have an order."""
_FACTORIES: dict[str, Any] = {
    kind.__name__: kind for kind in (bool, dict, float, int, list, set, str, tuple)
} | {"": None}


def _zone(zone: dt.tzinfo | None) -> list[Any] | None:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # what pickle uses
        return ["offset", offset, *name]
    kind = type(zone)
    key = getattr(zone, "key", None)
    if kind.__module__ == "zoneinfo" and kind.__name__ == "ZoneInfo" and isinstance(key, str):
        return ["zone", key]
    raise NotThisValue(f"with a time zone of type {kind.__qualname__}, which no codec knows")


def _read_zone(data: list[Any] | None) -> dt.tzinfo | None:
    match data:
        case None:
            return None
        case ["offset", offset, *name]:
            return dt.timezone(offset, *name)
        case ["zone", str(key)]:
            from zoneinfo import ZoneInfo  # noqa: PLC0415 - reads files; only where one is used

            return ZoneInfo(key)
        case _:
            raise ValueError(f"no time zone: {data!r}")


def _moment(value: dt.datetime | dt.time) -> list[Any]:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _zone(value.tzinfo)]


def _read_datetime(data: list[Any]) -> dt.datetime:
    text, fold, zone = data
    return dt.datetime.fromisoformat(text).replace(fold=fold, tzinfo=_read_zone(zone))


def _read_time(data: list[Any]) -> dt.time:
    text, fold, zone = data
    return dt.time.fromisoformat(text).replace(fold=fold, tzinfo=_read_zone(zone))


def _ordered(value: set[Any] | frozenset[Any]) -> list[Any]:
    """Return the members in an order that is the same in every process, where there is one."""
    if len(set(map(type, value))) == 1 and type(next(iter(value))) in _SORTED:
        return sorted(value)
    return sorted(value, key=repr)


def _default_dict(value: defaultdict[Any, Any]) -> list[Any]:
    for name, factory in _FACTORIES.items():
        if value.default_factory is factory:
            return [name, dict(value)]
    raise NotThisValue("with a factory of its own, which no codec knows")


def _register_builtins() -> None:
    register(tuple, "tuple", to_data=list, from_data=tuple)
    register(set, "set", to_data=_ordered, from_data=set)
    register(frozenset, "frozenset", to_data=_ordered, from_data=frozenset)
    register(bytes, "bytes", to_data=_base64, from_data=a2b_base64)
    register(
        bytearray, "bytearray", to_data=_base64, from_data=lambda data: bytearray(a2b_base64(data))
    )
    register(
        complex,
        "complex",
        to_data=lambda value: [value.real, value.imag],
        from_data=lambda data: complex(*data),
    )
    register(
        range,
        "range",
        to_data=lambda value: [value.start, value.stop, value.step],
        from_data=lambda data: range(*data),
    )
    register(Decimal, "decimal", to_data=str, from_data=Decimal)
    register(UUID, "uuid", to_data=str, from_data=UUID)


def _register_times() -> None:
    register(dt.datetime, "datetime", to_data=_moment, from_data=_read_datetime)
    register(dt.time, "time", to_data=_moment, from_data=_read_time)
    register(dt.date, "date", to_data=dt.date.isoformat, from_data=dt.date.fromisoformat)
    register(
        dt.timedelta,
        "timedelta",
        to_data=lambda value: [value.days, value.seconds, value.microseconds],
        from_data=lambda data: dt.timedelta(*data),
    )


def _register_collections() -> None:
    register(
        OrderedDict,
        "ordered-dict",
        to_data=lambda value: [list(pair) for pair in value.items()],
        from_data=OrderedDict,
    )
    register(Counter, "counter", to_data=dict, from_data=Counter)
    register(
        deque,
        "deque",
        to_data=lambda value: [list(value), value.maxlen],
        from_data=lambda data: deque(*data),
    )
    register(
        defaultdict,
        "default-dict",
        to_data=_default_dict,
        from_data=lambda data: defaultdict(_FACTORIES[data[0]], data[1]),
    )


def _register_paths() -> None:
    kinds: tuple[type[PurePath], ...] = (
        PosixPath, WindowsPath, PurePosixPath, PureWindowsPath,
    )  # fmt: skip
    for kind in kinds:
        register(kind, f"path:{kind.__name__}", to_data=str, from_data=kind)


def _base64(value: bytes | bytearray) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


_register_builtins()
_register_times()
_register_collections()
_register_paths()
