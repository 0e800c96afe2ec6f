"""Columns turned round: which value each span has, instead of which spans each value."""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, repeat
from operator import setitem, sub
from weakref import WeakKeyDictionary

from tailrace.traceql.block import Block, Values

_BYTE, _SHORT = 1 << 8, 1 << 16

Codes = Sequence[int]
"""For each span the number of its value in a column, from 1; 0: it has none."""
_CODES: WeakKeyDictionary[Block, dict[int, tuple[Values, bytearray | array[int]]]]
_CODES = WeakKeyDictionary()
"""Of blocks that live on, for the next query: columns turned round, by the identity of each."""
_ASKED: WeakKeyDictionary[Block, dict[int, tuple[Values, Iterator[int]]]] = WeakKeyDictionary()
"""Likewise: columns whose codes would have helped, and how often more they are to be asked for."""
_SPREAD = 12
"""Queries over which the columns that they all ask for are turned round, so that none waits for all
of them: that takes several times what such a query does."""
_turn = cycle(range(1, _SPREAD + 1))
_PRESENT: WeakKeyDictionary[Block, dict[int, tuple[Values, bytearray]]] = WeakKeyDictionary()
"""Likewise: which spans have any value."""


def codes_of(block: Block, values: Values) -> Codes:
    """Return for each span the number of its value.

    Args:
        block: has the column.
        values: of spans, none of them in arrays.
    """
    known = _CODES.setdefault(block, {})
    found = known.get(id(values))
    if found is not None and found[0] is values:
        return found[1]
    count, size = len(values.values), block.size
    made = [0] * size  # a list takes numbers more quickly than an array does
    lengths = map(sub, values.offsets[1:], values.offsets)
    numbers = chain.from_iterable(map(repeat, range(1, count + 1), lengths))
    deque(map(setitem, repeat(made), values.rows, numbers), maxlen=0)
    codes: bytearray | array[int]
    if count < _BYTE:
        codes = bytearray(made)
    else:
        codes = array("H" if count < _SHORT else "I")
        codes.frombytes(struct.pack(f"{size}{codes.typecode}", *made))
    known[id(values)] = values, codes
    return codes


def codes_if_asked_often(block: Block, values: Values) -> Codes | None:
    """Return what ``codes_of`` does; None the first times that a column is asked for.

    Turning it round costs as much as some searches in it for a few spans.
    """
    asked = _ASKED.setdefault(block, {})
    known = asked.get(id(values))
    if known is None or known[0] is not values:
        asked[id(values)] = values, iter(range(next(_turn) - 1))
        return None
    return None if next(known[1], None) is not None else codes_of(block, values)


def present(block: Block, values: Values) -> bytearray:
    """Return for each span 1 where it has a value that is not NaN, else 0; not to be changed.

    Args:
        block: has the column.
        values: of spans.
    """
    known = _PRESENT.setdefault(block, {})
    found = known.get(id(values))
    if found is not None and found[0] is values:
        return found[1]
    marks = bytearray(block.size)
    deque(map(setitem, repeat(marks), values.rows, repeat(1)), maxlen=0)
    known[id(values)] = values, marks
    return marks


def weight_of(block: Block) -> int:
    """Return how many bytes are kept for the next query about a block."""
    codes = sum(len(memoryview(found).cast("B")) for _, found in _CODES.get(block, {}).values())
    return codes + block.size * len(_PRESENT.get(block, {}))
