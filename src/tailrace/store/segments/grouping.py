"""Values of one type that stand row by row, turned into sorted values with the rows of each."""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, compress, islice
from math import isnan
from operator import ne, not_
from typing import Any

from tailrace.store.segments.planes import numbers
from tailrace.traceql.block import Values
from tailrace.traceql.tree import Type

Piece = tuple[Sequence[int], Sequence[Any]]
"""Rows, ascending, and the value of each."""
_SAMPLE = 4_096
"""Values by which it is judged whether nearly all differ from each other."""
_SAME = 256
"""Values of a sample that may be the same as others for that."""


def values_of(type_: Type, pieces: Sequence[Piece], *, is_array: bool = False) -> Values:
    """Return the values of one type, each with its rows ascending.

    Args:
        type_: of all of them.
        pieces: at least one; in arrays a row may stand several times in one.
        is_array: whether the values are elements of arrays.
    """
    nan: Sequence[int] = ()
    if type_ is Type.FLOAT:
        pieces, nan = _without_nan(pieces)
    if type_ is Type.BOOL and not is_array:
        return grouped_values(type_, _sorted_groups(_by_truth(pieces), pieces), nan)
    if not is_array and _differ(pieces):
        return _by_sorting(type_, *_joined(pieces), nan)
    places: defaultdict[Any, list[int]] = defaultdict(list)
    for rows, given in pieces:
        collect(places, given, rows)
    if is_array:
        places = defaultdict(
            list, {value: list(dict.fromkeys(some)) for value, some in places.items()}
        )
    return grouped_values(type_, _sorted_groups(places, pieces), nan, is_array=is_array)


def collect(places: defaultdict[Any, list[int]], given: Iterable[Any], rows: Iterable[int]) -> None:
    """Add rows to the lists of their values."""
    # The fastest loop there is: it runs without the interpreter.
    deque(map(list.append, map(places.__getitem__, given), rows), maxlen=0)


def _without_nan(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[int]]:
    """Return the pieces without the rows of NaN, and those."""
    if not any(any(map(isnan, given)) for _, given in pieces):
        return pieces, ()
    nan: set[int] = set()
    real: list[Piece] = []
    for rows, given in pieces:
        is_lost = list(map(isnan, given))
        kept = list(map(not_, is_lost))
        nan.update(compress(rows, is_lost))
        real.append((list(compress(rows, kept)), list(compress(given, kept))))
    return real, sorted(nan)


def _by_truth(pieces: Sequence[Piece]) -> Mapping[bool, list[int]]:
    true, false = list[int](), list[int]()
    for rows, given in pieces:
        true += compress(rows, given)
        false += compress(rows, map(not_, given))
    return {value: found for value, found in ((False, false), (True, true)) if found}


def _sorted_groups(
    places: Mapping[Any, list[int]], pieces: Sequence[Piece]
) -> Mapping[Any, list[int]]:
    if len(pieces) > 1:
        for some in places.values():
            some.sort()
    return places


def _differ(pieces: Sequence[Piece]) -> bool:
    """Return whether it looks as if nearly every value stands once."""
    sample = max((given for _, given in pieces), key=len)[:_SAMPLE]
    return len(sample) == _SAMPLE and len(set(sample)) > _SAMPLE - _SAME


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Return all pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    rows = list(chain.from_iterable(rows for rows, _ in pieces))
    given = list(chain.from_iterable(given for _, given in pieces))
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return list(map(rows.__getitem__, order)), list(map(given.__getitem__, order))


def _by_sorting(
    type_: Type, rows: Sequence[int], given: Sequence[Any], nan: Sequence[int]
) -> Values:
    """Return values nearly all of which differ: one sort of all is cheaper than a list for each."""
    count = len(given)
    order = sorted(range(count), key=given.__getitem__)
    ordered = list(map(given.__getitem__, order))
    is_new = list(map(ne, ordered, islice(ordered, 1, None)))
    values: Sequence[Any]
    offsets: Sequence[int]
    if all(is_new):
        values, offsets = ordered, range(count + 1)
    else:
        firsts = [0, *compress(range(1, count), is_new)]
        values, offsets = list(map(ordered.__getitem__, firsts)), [*firsts, count]
    flat = order if rows == range(count) else list(map(rows.__getitem__, order))
    return _packed(type_, values, offsets, flat, nan, rows[-1], is_array=False)


def grouped_values(
    type_: Type,
    places: Mapping[Any, Sequence[int]],
    nan: Sequence[int] = (),
    *,
    is_array: bool = False,
) -> Values:
    """Return values whose rows are known and ascending under each."""
    values = sorted(places)
    groups = list(map(places.__getitem__, values))
    offsets = list(accumulate(map(len, groups), initial=0))
    flat = groups[0] if len(groups) == 1 else list(chain.from_iterable(groups))
    most = max((some[-1] for some in groups if some), default=0)
    return _packed(type_, values, offsets, flat, nan, most, is_array=is_array)


def _packed(
    type_: Type,
    values: Sequence[Any],
    offsets: Sequence[int],
    rows: Sequence[int],
    nan: Sequence[int],
    most: int,
    *,
    is_array: bool,
) -> Values:
    return Values(
        type_,
        is_array,
        array("q", values) if type_ is Type.INT else values,
        numbers(offsets, offsets[-1]),
        numbers(rows, most),
        numbers(nan, max(nan, default=0)),
    )
