"""The fast way for what JSON holds exactly: None, bool, int, float, str, list, dict by str."""

from __future__ import annotations

from itertools import chain
from math import isfinite
from typing import Any

import msgspec

MAX_DEPTH = 128
"""Levels of nesting that are encoded."""

_encode = msgspec.json.Encoder().encode
_SCALARS = frozenset({type(None), bool, int, float, str})
_CONTAINERS = frozenset({list, dict})
_PLAIN = _SCALARS | _CONTAINERS
_TEXT_KEYS = frozenset({str})


def encode_plain(value: Any) -> bytes | None:
    """Return compact JSON that decodes to an equal value of equal types; None when it would not."""
    kind = type(value)
    if kind in _SCALARS:
        if kind is float and not isfinite(value):
            return None
    elif kind not in _CONTAINERS or not _holds_plain(value):
        return None
    try:
        body = _encode(value)
    except (UnicodeEncodeError, ValueError, OverflowError, RecursionError):
        return None  # a lone surrogate, or an integer beyond the digits Python prints
    if kind in _CONTAINERS and b"null" in body and not _holds_plain(value, finite=True):
        return None  # a number that is not finite becomes null, too
    return body


def _holds_plain(root: Any, *, finite: bool = False) -> bool:
    """Look at all values level by level, with loops that run in C.

    With ``finite``, floats are looked at as well.
    """
    level = [root]
    for _ in range(MAX_DEPTH):
        values = _values(level)
        if values is None:
            return False
        types = set(map(type, values))
        if not types <= _PLAIN:
            return False
        if finite and not all(isfinite(item) for item in values if type(item) is float):
            return False
        if types <= _SCALARS:
            return True
        level = [item for item in values if type(item) in _CONTAINERS]
        if len(level) > 1 and len(set(map(id, level))) < len(level):
            return False  # shared or cyclic: the careful way counts what it writes
    return False


def _values(level: list[Any]) -> Any:
    """Return what the containers of one level hold; None when a dict has a key that is no str."""
    if len(level) == 1:
        only = level[0]
        if type(only) is list:
            return only
        return only.values() if set(map(type, only)) <= _TEXT_KEYS else None
    kinds = set(map(type, level))
    if dict not in kinds:
        return list(chain.from_iterable(level))
    dicts = level if len(kinds) == 1 else [item for item in level if type(item) is dict]
    if not set(map(type, chain.from_iterable(dicts))) <= _TEXT_KEYS:
        return None
    values = list(chain.from_iterable(map(dict.values, dicts)))
    if len(kinds) > 1:
        values += chain.from_iterable(item for item in level if type(item) is list)
    return values
