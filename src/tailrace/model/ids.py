"""Identifiers. A run id is an OpenTelemetry trace id: a UUIDv7 as 32 hex digits."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import NewType

RunId = NewType("RunId", str)
"""32 lower-case hex digits; sorts by creation time (RFC 9562, version 7)."""

SpanId = NewType("SpanId", str)
"""16 lower-case hex digits, never all zero (W3C Trace Context)."""


_STOCK = 512
"""Random bytes."""
_numbers: list[int] = []
os.register_at_fork(after_in_child=_numbers.clear)


def new_run_id() -> RunId:
    """Return a fresh UUIDv7 in hex: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (
        milliseconds << 80
        | 0x7 << 76
        | (_random() & 0xFFF) << 64
        | 0b10 << 62
        | _random() & ((1 << 62) - 1)
    )
    return RunId(f"{value:032x}")


def new_span_base() -> int:
    """Return the random 64-bit number from which the span ids of one execution are counted."""
    return _random()


def _random() -> int:
    """Return a random 64-bit number."""
    while True:
        try:
            return _numbers.pop()
        except IndexError:  # many at once: each time the system is asked, other threads get in
            _numbers.extend(memoryview(os.urandom(_STOCK)).cast("Q"))


def span_id(base: int, ordinal: int) -> SpanId:
    """Return the id of span number ``ordinal`` (from 1) of the execution with that base.

    Two executions of one run (a redelivery on another worker) have different bases, so their
    spans never share an id.
    """
    value = (base + ordinal) & 0xFFFF_FFFF_FFFF_FFFF
    return SpanId(f"{value or base | 1:016x}")


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_BY_BYTE = _CROCKFORD.encode() * 8
"""The character that stands for the last five bits of a byte."""


def new_sortable() -> str:
    """Return a fresh ULID: 26 characters of Crockford's base 32 that sort by creation time.

    48 bits of Unix milliseconds, then 80 random bits. https://github.com/ulid/spec
    """
    milliseconds = time.time_ns() // 1_000_000
    return _instant(milliseconds) + os.urandom(16).translate(_BY_BYTE).decode()


@lru_cache(maxsize=4)
def _instant(milliseconds: int) -> str:
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
