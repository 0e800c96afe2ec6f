"""Whole numbers as bytes: the bytes of equal weight stand together, so they compress well.

A packed array is: count (4 bytes), type code (1), then for each byte of a number, lowest first,
the length of a plane (4) and the plane. A plane as long as the count is plain, others are zlib's.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable

_HEAD = struct.Struct("<Ic")
_LENGTH = struct.Struct("<I")
_SAMPLE = 2_048
"""Numbers by which it is judged whether a plane is worth compressing."""
_BUFFER = 1 << 20
_IS_BIG = sys.byteorder == "big"
_CODES = frozenset("BHIiqd")


def smallest(most: int) -> str:
    """Return the type code of the narrowest array for numbers from 0 to ``most``."""
    if most < 1 << 8:
        return "B"
    return "H" if most < 1 << 16 else "I"


def numbers(values: Iterable[int], most: int) -> array[int]:
    """Return numbers from 0 to ``most`` as a narrow array."""
    return array(smallest(most), values)


def pack(values: array[int] | array[float]) -> bytes:
    """Return an array as bytes; its type code is one of ``BHIiqd``."""
    width = values.itemsize
    if _IS_BIG:
        values = values[:]
        values.byteswap()
    plain = values.tobytes()
    parts = [_HEAD.pack(len(values), values.typecode.encode())]
    for weight in range(width):
        plane = _compressed(plain[weight::width])
        parts += (_LENGTH.pack(len(plane)), plane)
    return b"".join(parts)


def _compressed(plane: bytes) -> bytes:
    """Return the plane in zlib's form where that is a good deal shorter."""
    size = len(plane)
    if size < 16:
        return plane
    sample = plane[:_SAMPLE]
    if len(zlib.compress(sample, 1)) > len(sample) * 0.9:
        return plane
    short = zlib.compress(plane, 1)
    return short if len(short) < size else plane


def unpack(body: bytes | memoryview, at: int = 0) -> array[int]:
    """Return the array of ``pack``.

    Raises:
        ValueError: these bytes are something else.
    """
    view = memoryview(body)
    try:
        count, raw_code = _HEAD.unpack_from(view, at)
        code = raw_code.decode()
        if code not in _CODES:
            raise ValueError(f"there are no numbers of type {code!r}")
        values = array(code)
        at += _HEAD.size
        planes = []
        for _ in range(values.itemsize):
            (length,) = _LENGTH.unpack_from(view, at)
            at += _LENGTH.size
            plane = view[at : at + length]
            at += length
            if length != count:
                plane = memoryview(zlib.decompress(plane, bufsize=min(count + 1, _BUFFER)))
            if len(plane) != count:
                raise ValueError(f"{count} numbers have {len(plane)} bytes of one weight")
            planes.append(plane)
        plain = bytearray(count * values.itemsize)
        for weight, plane in enumerate(planes):
            plain[weight :: values.itemsize] = plane
        values.frombytes(plain)
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"an array of numbers cannot be read: {error}") from error
    if _IS_BIG:
        values.byteswap()
    return values
