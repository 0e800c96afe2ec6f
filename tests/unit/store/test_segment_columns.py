"""Columns keep what they are given, byte by byte."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.store.segments import grouping
from tailrace.store.segments.column import (
    bounds,
    column_type,
    pack_values,
    sorted_values,
    unpack_values,
)
from tailrace.store.segments.frame import framed, unframed
from tailrace.store.segments.planes import numbers, pack, unpack
from tailrace.store.segments.texts import Texts, pack_texts
from tailrace.traceql.block import Values
from tailrace.traceql.tree import Type

WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALAR = TEXT | WHOLE | st.floats() | st.booleans()
ANY_VALUE = (
    SCALAR
    | st.none()
    | st.integers(1 << 63, 1 << 80)
    | st.lists(TEXT, max_size=4)
    | st.lists(WHOLE, max_size=4)
    | st.lists(SCALAR, max_size=3)
    | st.dictionaries(TEXT, WHOLE, max_size=2)
)


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=300))
def test_packed_numbers_are_the_same(given_: list[int]) -> None:
    packed = numbers(given_, max(given_, default=0))
    assert unpack(pack(packed)) == packed


@given(st.sampled_from("qd"), st.lists(WHOLE, max_size=50))
def test_packed_arrays_keep_their_type(code: str, given_: list[int]) -> None:
    values = array(code, given_)
    found = unpack(pack(values))
    assert (found.typecode, found) == (code, values)


def test_long_arrays_are_compressed_where_they_repeat() -> None:
    rows = array("H", range(65_536))
    assert unpack(pack(rows)) == rows
    assert len(pack(rows)) < 5_000


@given(st.binary(max_size=60))
def test_bytes_of_somebody_else_are_refused(body: bytes) -> None:
    with suppress(ValueError):
        unpack(body)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5_000])
def test_texts_are_found_one_by_one_and_all_together(count: int) -> None:
    given_ = [f"{number:06}" for number in range(count)]
    texts = Texts(pack_texts(given_))
    assert len(texts) == count
    assert list(texts) == given_
    assert [texts[number] for number in range(0, count, 97)] == given_[::97]
    assert texts[10:20] == given_[10:20]
    with pytest.raises(IndexError):
        texts[count]


def test_a_text_of_a_megabyte_stands_in_a_chunk_of_its_own() -> None:
    given_ = ["a", "b" * (1 << 20), "c"]
    assert list(Texts(pack_texts(given_))) == given_


def told(columns: list[Values]) -> list[tuple[int, str, Any]]:
    """Return rows with their values, sorted; NaN as a text."""
    return sorted(
        [
            (row, column_type(column), value)
            for column in columns
            for index, value in enumerate(column.values)
            for row in column.rows[column.offsets[index] : column.offsets[index + 1]]
        ]
        + [(row, column_type(column), "nan") for column in columns for row in column.nan],
        key=repr,
    )


def expected(given_: list[Any]) -> list[tuple[int, str, Any]]:
    """Return the same the slow way."""
    found: set[tuple[int, str, Any]] = set()
    names = {str: "string", int: "integer", float: "float", bool: "boolean"}
    for row, value in enumerate(given_):
        if isinstance(value, dict):
            continue
        items = value if isinstance(value, list) else [value]
        for item in items:
            if item is None:
                continue
            one = float(item) if type(item) is int and item >= 1 << 63 else item
            kind = names[type(one)] + ("[]" if len(items) > 1 else "")
            found.add((row, kind, "nan" if isinstance(one, float) and math.isnan(one) else one))
    return sorted(found, key=repr)


@pytest.mark.no_cover
@settings(max_examples=times(80), deadline=None)
@given(st.lists(ANY_VALUE, max_size=20), st.integers(0, 20), st.booleans())
def test_values_stand_under_their_types_in_whatever_pieces_they_come(
    given_: list[Any], cut: int, by_sorting: bool
) -> None:
    rows = list(range(len(given_)))
    pieces = [(rows[cut:], given_[cut:]), (rows[:cut], given_[:cut])]
    with pytest.MonkeyPatch.context() as patch:
        if by_sorting:
            patch.setattr(grouping, "_SAMPLE", 1)
        columns = sorted_values(pieces if cut % 2 else [(rows, given_)])
    json_rows = {row for row, value in enumerate(given_) if isinstance(value, dict)}
    assert [one for one in told(columns) if one[0] not in json_rows] == expected(given_)
    assert json_rows <= {row for row, kind, _ in told(columns) if kind == "string"}
    for column in columns:
        given_values: list[Any] = list(column.values)
        assert given_values == sorted(set(given_values))
        for index in range(len(column.values)):
            some = list(column.rows[column.offsets[index] : column.offsets[index + 1]])
            assert some == sorted(set(some))
            assert some
        again = unpack_values(pack_values(column), column_type(column))
        assert told([again]) == told([column])
        least: Any
        most: Any
        least, most = bounds(column)
        assert all(least <= value for value in given_values if least is not None)
        assert all(value <= most for value in given_values if most is not None)


def test_one_and_true_and_a_float_are_three_values() -> None:
    columns = sorted_values([(range(3), [1, True, 1.0])])
    assert {column.type for column in columns} == {Type.INT, Type.BOOL, Type.FLOAT}
    assert all(list(column.values) == [1] for column in columns)


def test_a_very_long_text_bounds_its_column_from_below_only() -> None:
    (column,) = sorted_values([(range(1), ["x" * 1_000])])
    least, most = bounds(column)
    assert isinstance(least, str)
    assert least <= str(column.values[0])
    assert most is None


@given(st.binary(max_size=100), st.integers(0, 10**6))
def test_a_changed_byte_is_seen(body: bytes, place: int) -> None:
    whole = framed(body)
    assert unframed(whole) == body
    place %= len(whole)
    broken = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
    with pytest.raises(ValueError, match="check sum"):
        unframed(broken)
