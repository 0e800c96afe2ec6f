"""Numbers over time as one small bar each."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_-=+*%#@"
_NONE = {True: "·", False: "."}


def sparkline(values: Sequence[int], *, unicode: bool = True) -> str:
    """Return one sign per value, as high as its share of the largest; none at all is a dot."""
    most = max(values, default=0)
    signs = _BLOCKS if unicode else _ASCII
    last = len(signs) - 1
    return "".join(signs[value * last // most] if value > 0 else _NONE[unicode] for value in values)
