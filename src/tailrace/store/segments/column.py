"""Columns as bytes: sorted distinct values, and for each the rows that have it."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tailrace.store.segments.grouping import Piece, values_of
from tailrace.store.segments.planes import numbers, pack, unpack
from tailrace.store.segments.texts import PackedTexts, Texts, pack_texts
from tailrace.traceql.block import Values
from tailrace.traceql.column_builder import typed
from tailrace.traceql.tree import Type

_TEXTS = frozenset({Type.STRING, Type.STATUS, Type.KIND})
_LONGEST_BOUND = 200
"""Characters of a text that bounds a column; what is longer bounds it less exactly, or not."""
_LEAST_INT, _MOST_INT = -(1 << 63), (1 << 63) - 1
_TYPES: dict[type, Type] = {str: Type.STRING, int: Type.INT, float: Type.FLOAT, bool: Type.BOOL}

Bound = str | int | float | None


class PackedValues(msgspec.Struct, frozen=True, array_like=True):
    """The body of a column."""

    texts: PackedTexts | None
    numbers: bytes
    offsets: bytes
    rows: bytes
    nan: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedValues).decode


def column_type(values: Values) -> str:
    """Return what the type of a column is called in the file."""
    return values.type.value + "[]" if values.array else values.type.value


def pack_values(values: Values) -> bytes:
    """Return a column as bytes."""
    texts = pack_texts(values.values) if values.type in _TEXTS else None  # type: ignore[arg-type]
    code = {Type.FLOAT: "d", Type.BOOL: "B"}.get(values.type, "q")
    plain = b"" if texts is not None else pack(array(code, values.values))  # type: ignore[arg-type]
    return _encode(
        PackedValues(
            texts,
            plain,
            pack(_as_array(values.offsets)),
            pack(_as_array(values.rows)),
            pack(_as_array(values.nan)),
        )
    )


def _as_array(given: Sequence[int]) -> array[int]:
    return given if isinstance(given, array) else numbers(given, max(given, default=0))


def unpack_values(body: bytes, type_name: str) -> Values:
    """Return the column of these bytes.

    Raises:
        ValueError: they are damaged.
    """
    is_array = type_name.endswith("[]")
    type_ = Type(type_name.removesuffix("[]"))
    packed = _decode(body)
    values: Sequence[Any]
    if packed.texts is not None:
        values = Texts(packed.texts)
    else:
        values = unpack(packed.numbers)
        if type_ is Type.BOOL:
            values = [bool(one) for one in values]
    offsets, rows = unpack(packed.offsets), unpack(packed.rows)
    if len(offsets) != len(values) + 1 or offsets[-1] != len(rows):
        raise ValueError("a column's parts do not fit together")
    return Values(type_, is_array, values, offsets, rows, unpack(packed.nan))


def bounds(values: Values) -> tuple[Bound, Bound]:
    """Return a lower and an upper bound of the values; None: there is no such bound."""
    if not len(values.values):
        return None, None
    least, most = values.values[0], values.values[len(values.values) - 1]
    if isinstance(least, str):
        last = str(most)
        return least[:_LONGEST_BOUND], last if len(last) <= _LONGEST_BOUND else None
    return least, most


def sorted_values(pieces: Iterable[Piece]) -> list[Values]:
    """Return the values of a column by type.

    None is no value, nor is an empty list; a list of one is its element. What is neither a text,
    a number, a boolean nor a list is the text of its JSON, an integer beyond 64 bits a float.
    """
    by_type: dict[tuple[Type, bool], list[Piece]] = defaultdict(list)
    for rows, given in pieces:
        kinds = set(map(type, given))
        if len(kinds) == 1 and (kind := next(iter(kinds))) in {str, float, bool}:
            by_type[_TYPES[kind], False].append((rows, given))
        elif kinds == {int} and min(given) >= _LEAST_INT and max(given) <= _MOST_INT:
            by_type[Type.INT, False].append((rows, given))
        else:
            _part(rows, given, by_type)
    found = [
        values_of(type_, parts, is_array=is_array) for (type_, is_array), parts in by_type.items()
    ]
    return sorted(found, key=column_type)


def _part(
    rows: Sequence[int], given: Sequence[Any], by_type: dict[tuple[Type, bool], list[Piece]]
) -> None:
    """Take values of several types apart."""
    parted: dict[tuple[Type, bool], tuple[list[int], list[Any]]] = {}
    for row, value in zip(rows, given, strict=True):
        items = value if type(value) in {list, tuple} else (value,)
        for found in map(typed, items):
            if found is not None:
                some = parted.setdefault((found[0], len(items) > 1), ([], []))
                some[0].append(row)
                some[1].append(found[1])
    for key, piece in parted.items():
        by_type[key].append(piece)
