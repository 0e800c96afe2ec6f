"""A few spans of a block, and where they stand in its columns."""

from __future__ import annotations

import array as arrays
import re
import sys
from array import array
from collections.abc import Sequence
from functools import cached_property
from itertools import compress
from operator import itemgetter

_CHARACTER = "w" if "w" in arrays.typecodes else "u"
"""Type code of arrays of characters; on some systems ``u`` is narrower than one."""
_WIDE = 4
_MOST = 10_000
"""Spans from which on an expression for them costs more than it saves."""
_PLAIN, _MOST_OTHERS = 1 << 16, 16
"""Characters from ``_PLAIN`` on are compared one by one, so there may be but a few."""
_CHARACTERS = sys.maxunicode + 1
_LEAST_ROWS = 2_048
_IS_BIG = sys.byteorder == "big"


class Chosen:
    """Some spans, to be found among the rows of columns.

    Args:
        spans: each once.
        size: spans of the block.
    """

    def __init__(self, spans: Sequence[int], size: int) -> None:
        self._spans = spans
        self._size = size

    def among(self, rows: Sequence[int]) -> Sequence[int]:
        """Return at which places of ``rows`` spans of these stand, ascending."""
        if not self._spans or not len(rows):
            return ()
        if self._suits and len(rows) >= _LEAST_ROWS:
            text = _as_text(rows)
            if text is not None:
                return [found.start() for found in self._expression.finditer(text)]
        return list(compress(range(len(rows)), marked(rows, self._mask)))

    @cached_property
    def _suits(self) -> bool:
        """Whether an expression for the spans is worth while."""
        if len(self._spans) > _MOST or self._size > _CHARACTERS:
            return False
        return sum(span >= _PLAIN for span in self._spans) <= _MOST_OTHERS

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        # Finding characters of a set is the one search for several numbers that runs at C's speed.
        return re.compile(f"[{''.join(map(_escaped, self._spans))}]")

    @cached_property
    def _mask(self) -> bytearray:
        mask = bytearray(self._size)
        for span in self._spans:
            mask[span] = 1
        return mask


def marked(rows: Sequence[int], marks: bytes | bytearray) -> bytes:
    """Return the mark of each row."""
    return bytes(itemgetter(*rows)(marks) if len(rows) > 1 else [marks[row] for row in rows])


def _as_text(rows: Sequence[int]) -> str | None:
    """Return numbers as the characters with these numbers; None: they are no array of such."""
    characters = array(_CHARACTER)
    if not isinstance(rows, array) or characters.itemsize != _WIDE:
        return None
    if rows.typecode == "H":
        wide = bytearray(_WIDE * len(rows))
        memoryview(wide).cast("H")[_IS_BIG::2] = memoryview(rows)
        characters.frombytes(wide)
    elif rows.typecode == "I":
        characters.frombytes(rows.tobytes())
    else:
        return None
    return characters.tounicode()


def _escaped(number: int) -> str:
    character = chr(number)
    return f"\\{character}" if character in "\\]^-[&~|" else character
