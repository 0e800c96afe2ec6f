"""Ids of events, and of the attempts behind them."""

from __future__ import annotations

import os
from hashlib import sha256

from tailrace.events.instants import id_stamp
from tailrace.model.ids import new_sortable

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SHIFTS = tuple(range(70, -1, -10))
_RANDOM_BYTES = 10


def new_event_id(ns: int) -> str:
    """Return ``EVT-YYYYMMDD-HHMMSS-`` and 16 characters that hold 80 random bits."""
    return f"EVT-{id_stamp(ns)}-{_base32(os.urandom(_RANDOM_BYTES))}"


def event_id_of(ns: int, identity: bytes) -> str:
    """Return the id of an imported event: always the same for one line of one file."""
    return f"EVT-{id_stamp(ns)}-{_base32(sha256(identity).digest()[:_RANDOM_BYTES])}"


def new_attempt_id() -> str:
    """Return ``A-`` and 26 characters that sort by time."""
    return f"A-{new_sortable()}"


def _base32(data: bytes) -> str:
    value = int.from_bytes(data, "big")
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])
