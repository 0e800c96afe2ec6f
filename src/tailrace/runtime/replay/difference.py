"""Where two values differ, place by place, within bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from msgspec import Struct

from tailrace.codecs import Encoded, encode

MOST = 20
"""Differences that are told one by one."""
_DEPTH = 32
_NOTHING = object()
"""Stands for a place that only the other value has."""


class Difference(Struct, frozen=True, kw_only=True):
    """One place at which two values differ."""

    place: str
    """Such as ``[3].price``; empty: the whole value."""
    kind: str
    """``changed``, ``removed`` (only the first has it) or ``added``."""
    before: Any = None
    after: Any = None


def differences(before: Any, after: Any, *, most: int = MOST) -> tuple[Difference, ...]:
    """Return the first places at which two values differ; empty when they are equal.

    Values are equal when their codec writes the same bytes, or they compare so. Their types count:
    ``1`` and ``1.0`` differ, and so do ``[1]`` and ``(1,)``.
    """
    if _same_bytes(before, after):
        return ()
    return tuple(islice(_between("", before, after, 0), most))


def _same_bytes(before: Any, after: Any) -> bool:
    first, second = encode(before), encode(after)
    return isinstance(first, Encoded) and first == second


def _between(place: str, before: Any, after: Any, depth: int) -> Iterator[Difference]:
    if before is _NOTHING:
        yield Difference(place=place, kind="added", after=after)
    elif after is _NOTHING:
        yield Difference(place=place, kind="removed", before=before)
    elif type(before) is not type(after):
        yield Difference(place=place, kind="changed", before=before, after=after)
    elif depth < _DEPTH and isinstance(before, Mapping):
        yield from _pairs(place, before, after, depth + 1)
    elif depth < _DEPTH and isinstance(before, list | tuple):
        yield from _items(place, before, after, depth + 1)
    elif isinstance(before, AbstractSet):
        yield from _members(place, before, after)
    elif depth < _DEPTH and (names := _names(before)) is not None:
        yield from _fields(place, names, before, after, depth + 1)
    elif not _equal(before, after):
        yield Difference(place=place, kind="changed", before=before, after=after)


def _pairs(
    place: str, before: Mapping[Any, Any], after: Mapping[Any, Any], depth: int
) -> Iterator[Difference]:
    for key in dict.fromkeys((*before, *after)):
        inner = f"{place}.{key}" if _is_plain(key) else f"{place}[{key!r}]"
        yield from _between(inner, before.get(key, _NOTHING), after.get(key, _NOTHING), depth)


def _is_plain(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier()


def _items(
    place: str, before: Sequence[Any], after: Sequence[Any], depth: int
) -> Iterator[Difference]:
    for index in range(max(len(before), len(after))):
        first = before[index] if index < len(before) else _NOTHING
        second = after[index] if index < len(after) else _NOTHING
        yield from _between(f"{place}[{index}]", first, second, depth)


def _members(place: str, before: AbstractSet[Any], after: AbstractSet[Any]) -> Iterator[Difference]:
    for gone in sorted(before - after, key=repr):
        yield Difference(place=place, kind="removed", before=gone)
    for new in sorted(after - before, key=repr):
        yield Difference(place=place, kind="added", after=new)


def _names(value: Any) -> Sequence[str] | None:
    if isinstance(value, Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    return None


def _fields(
    place: str, names: Sequence[str], before: Any, after: Any, depth: int
) -> Iterator[Difference]:
    for name in names:
        first, second = getattr(before, name), getattr(after, name)
        yield from _between(f"{place}.{name}", first, second, depth)


def _equal(before: Any, after: Any) -> bool:
    if before is after or _same_bytes(before, after):
        return True
    try:
        return bool(before == after)
    except Exception:  # noqa: BLE001 - comparing user values may raise anything
        return False
