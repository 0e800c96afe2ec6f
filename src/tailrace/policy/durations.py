"""Durations: seconds as a number, or text with a unit."""

from __future__ import annotations

import math
import re
from typing import Any

ALLOWED = "seconds as a number, or text such as '250ms', '5s', '1.5m', '2h', '1d'"
"""What a duration may be, as messages say it."""
LONGEST = 366 * 86_400.0
"""Seconds of the longest duration; more is taken for a mistake of unit."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TEXT = re.compile(r"(\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(ms|s|m|h|d)", re.ASCII)


def parse_duration(value: Any) -> float:
    """Return seconds; 0 is off.

    Raises:
        ValueError: it is no duration, negative, not finite, or longer than 366 days. The message
            says what is allowed; the caller names the field.
    """
    match value:
        case bool():
            raise ValueError(f"{value} is a boolean; a duration is {ALLOWED}")
        case int() | float():
            return _bounded(value)
        case str():
            found = _TEXT.fullmatch(value.strip())
            if found is None:
                raise ValueError(f"{value[:60]!r} is no duration; write {ALLOWED}")
            return _bounded(float(found[1]) * _UNITS[found[2]])
        case _:
            raise ValueError(f"{type(value).__name__} is no duration; write {ALLOWED}")


def _bounded(seconds: float) -> float:
    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise ValueError(f"it is not finite; write {ALLOWED}, or 0 for off")
    if seconds < 0:
        raise ValueError(f"it is negative; write {ALLOWED}, or 0 for off")
    if seconds > LONGEST:
        raise ValueError("it is longer than 366d, the longest duration; a number counts seconds")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """Return the shortest text of a duration, such as ``500ms``, ``90s``, ``2h``."""
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{_digits(seconds * 1000)}ms"
    for unit in ("d", "h", "m"):
        count = seconds / _UNITS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{_digits(seconds)}s"


def _digits(number: float) -> str:
    text = f"{number:.12g}"
    return text if "e" not in text else f"{number:.15f}".rstrip("0")
