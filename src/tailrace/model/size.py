"""Amounts of bytes, as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MOST = 1 << 50


def parse_size(value: object) -> int:
    """Return bytes: a whole number of them, or such as ``500 MB``, ``2GB`` (1 GB is 1024 MB).

    Raises:
        ValueError: it is no size; the message completes "it must be …".
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        size = -1 if match is None else _bytes(match)
    if not 0 <= size <= _MOST:
        raise ValueError("a size such as 500MB or 2GB, at most 1024 TB")
    return size


def _bytes(match: re.Match[str]) -> int:
    number, unit = match.groups()
    return round(float(number) * (1 << 10 * _POWERS[unit.lower()]))
