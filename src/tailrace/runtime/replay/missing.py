"""What stands where a value is not known any more, and how it is found again inside others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct

_DEPTH = 6
"""Nesting that is searched; what loops and joins collect is seldom deeper."""
_ITEMS = 10_000
"""Items of one container that are searched."""


class Missing(Struct, frozen=True):
    """Stands for a value of which nothing was recorded."""

    reason: str
    """Which value, and why it is not known."""

    def __repr__(self) -> str:
        return f"<missing: {self.reason}>"


def reasons_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield why parts of a value are not known; nothing when it is whole."""
    if isinstance(value, Missing):
        yield value.reason
    elif depth < _DEPTH and isinstance(value, Mapping):
        for item in islice(value.values(), _ITEMS):
            yield from reasons_in(item, depth + 1)
    elif depth < _DEPTH and isinstance(value, list | tuple):
        for item in islice(value, _ITEMS):
            yield from reasons_in(item, depth + 1)


def why_missing(value: Any) -> str:
    """Return why a value, or a part of it, is not known; empty when it is whole."""
    reasons = list(dict.fromkeys(reasons_in(value)))
    if not reasons:
        return ""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    inside = "" if isinstance(value, Missing) else "holds what is not known: "
    return f"{inside}{reasons[0]}{more}"
