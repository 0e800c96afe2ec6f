"""Sets of row numbers, kept as whatever is cheap: a list of few, a byte per row of many."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import compress

_SPARSE = 24
"""Up to one row in so many, a sorted list is faster than a byte per row."""
_FLIP = bytes([1]) + bytes(255)


class Picked:
    """A set of the numbers below ``size``; it is never changed."""

    __slots__ = ("_mask", "_rows", "size")

    def __init__(
        self, size: int, *, rows: Sequence[int] | None = None, mask: bytes | bytearray | None = None
    ) -> None:
        self.size = size
        self._rows = rows
        self._mask = mask

    @classmethod
    def none(cls, size: int) -> Picked:
        """Return the empty set."""
        return cls(size, rows=())

    @classmethod
    def all(cls, size: int) -> Picked:
        """Return the set of all rows."""
        return cls(size, rows=range(size))

    @classmethod
    def of(cls, size: int, rows: Sequence[int]) -> Picked:
        """Return the set of rows that come in any order, some perhaps twice."""
        if len(rows) * _SPARSE > size:
            return cls(size, mask=_marked(size, rows))
        return cls(size, rows=sorted(set(rows)))

    @property
    def rows(self) -> Sequence[int]:
        """The rows, ascending."""
        if self._rows is None:
            assert self._mask is not None  # noqa: S101 - one of the two is always there
            self._rows = list(compress(range(self.size), self._mask))
        return self._rows

    @property
    def mask(self) -> bytes | bytearray:
        """A byte per row: 1 for those of the set, else 0."""
        if self._mask is None:
            assert self._rows is not None  # noqa: S101 - one of the two is always there
            self._mask = bytes([1]) * self.size if self.is_all else _marked(self.size, self._rows)
        return self._mask

    @property
    def is_all(self) -> bool:
        """Whether it is known to be the set of all rows."""
        return self._rows is not None and len(self._rows) == self.size

    def __len__(self) -> int:
        if self._rows is not None:
            return len(self._rows)
        return self.mask.count(1)

    @property
    def _few(self) -> bool:
        return self._rows is not None and len(self._rows) * _SPARSE <= self.size

    def _between(self, bounds: range) -> Picked:
        """Return the rows that are in a range without gaps."""
        if self._rows is not None:
            rows = self._rows
            low, high = bisect_left(rows, bounds.start), bisect_left(rows, bounds.stop)
            return Picked(self.size, rows=rows[low:high])
        part = self.mask[bounds.start : bounds.stop]
        return Picked(self.size, rows=list(compress(bounds, part)))

    def __and__(self, other: Picked) -> Picked:
        if self.is_all:
            return other
        if other.is_all:
            return self
        if isinstance(self._rows, range):
            return other._between(self._rows)
        if isinstance(other._rows, range):
            return self._between(other._rows)
        if self._few or other._few:
            few, many = (self, other) if self._few else (other, self)
            if many._few and len(many.rows) < len(few.rows):
                few, many = many, few
            if many._mask is None and many._few:
                held = set(many.rows)
                return Picked(self.size, rows=[row for row in few.rows if row in held])
            mask = many.mask
            return Picked(self.size, rows=[row for row in few.rows if mask[row]])
        return Picked(self.size, mask=_joined(self.mask, other.mask, both=True))

    def __or__(self, other: Picked) -> Picked:
        if self.is_all or (other._few and not other.rows):
            return self
        if other.is_all or (self._few and not self.rows):
            return other
        if self._few and other._few:
            return Picked(self.size, rows=sorted({*self.rows, *other.rows}))
        return Picked(self.size, mask=_joined(self.mask, other.mask, both=False))

    def __sub__(self, other: Picked) -> Picked:
        if other._few and not other.rows:
            return self
        if self._few:
            held = set(other.rows) if other._few and other._mask is None else None
            if held is not None:
                return Picked(self.size, rows=[row for row in self.rows if row not in held])
            mask = other.mask
            return Picked(self.size, rows=[row for row in self.rows if not mask[row]])
        flipped = other.mask.translate(_FLIP)
        if self.is_all:
            return Picked(self.size, mask=flipped)
        return Picked(self.size, mask=_joined(self.mask, flipped, both=True))


def _marked(size: int, rows: Iterable[int]) -> bytearray:
    mask = bytearray(size)
    for row in rows:
        mask[row] = 1
    return mask


def _joined(a: bytes | bytearray, b: bytes | bytearray, *, both: bool) -> bytes:
    left, right = int.from_bytes(a, "little"), int.from_bytes(b, "little")
    return (left & right if both else left | right).to_bytes(len(a), "little")
