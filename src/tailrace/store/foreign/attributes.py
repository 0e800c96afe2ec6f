"""Attributes as the store keeps them: texts, numbers, booleans, and lists of one of these."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from tailrace.store.foreign.intake import Intake, Limits

LEAST, MOST = -(1 << 63), (1 << 63) - 1
_LARGEST_JSON = 1 << 20
"""Characters of a text made of a mapping; a longer one is cut like any other text."""
_DEEPEST = 32
_PLAIN = frozenset({bool, float})
_encode = msgspec.json.Encoder().encode


class Cleaner:
    """Turns attributes of any program into what the store keeps.

    An empty array and None are no value, an array of one is its element. A mapping, and an array
    of different types, becomes JSON; bytes become base64; an integer of more than 64 bits, and
    whatever else there is, becomes text.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.tally = Intake()

    def clean(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes, the given ones where they are clean; not to be changed.

        Those beyond the bound are counted as dropped.
        """
        longest = self.limits.text
        for value in given.values():  # nearly always all are as they should be
            kind = type(value)
            if kind is str:
                if len(value) > longest:
                    break
            elif kind is int:
                if not LEAST <= value <= MOST:
                    break
            elif kind not in _PLAIN:
                break
        else:
            kept = given if type(given) is dict else dict(given)
            is_fine = len(kept) <= self.limits.attributes and "" not in kept
            return kept if is_fine else self._bounded(kept)
        made = ((key, self._made(value)) for key, value in given.items())
        return self._bounded({str(key): value for key, value in made if value is not None})

    def _bounded(self, kept: dict[str, Any]) -> dict[str, Any]:
        names = [key for key in kept if key][: self.limits.attributes]
        self.tally.dropped_attributes += len(kept) - len(names)
        return {key: kept[key] for key in names}

    def _made(self, value: Any) -> Any:
        match value:
            case None:
                return None
            case list() | tuple() | set() | frozenset():
                return self._array(list(value))
            case Mapping():
                return self.text(_json(value))
            case _:
                return self._scalar(value)

    def _array(self, given: list[Any]) -> Any:
        if len(given) > self.limits.elements:
            given = given[: self.limits.elements]
            self.tally.shortened += 1
        items = [self._scalar(item) if _is_scalar(item) else item for item in given]
        items = [item for item in items if item is not None]
        if not items:
            return None
        if len(items) == 1:
            return items[0] if _is_scalar(items[0]) else self.text(_json(items[0]))
        kinds = {type(item) for item in items}
        if kinds == {int, float}:
            return [float(item) for item in items]
        if len(kinds) == 1 and _is_scalar(items[0]):
            return items
        return self.text(_json(items))

    def _scalar(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(str(value))
            case bool() | float():
                return value
            case int():
                return int(value) if LEAST <= value <= MOST else str(value)
            case bytes() | bytearray() | memoryview():
                return self.text(b64encode(value).decode())
            case _:
                return self.text(str(value))

    def text(self, value: str) -> str:
        """Return the text, cut when it is too long."""
        if len(value) > self.limits.text:
            self.tally.shortened += 1
            return value[: self.limits.text]
        return value


def storable_text(value: str) -> str:
    """Return the text without halves of surrogate pairs, which no encoding knows."""
    return value.encode(errors="replace").decode()


def storable(value: Any) -> Any:
    """Return clean attributes, or one of their values, without such halves."""
    match value:
        case str():
            return storable_text(value)
        case list():
            return [storable(item) for item in value]
        case dict():
            return {storable_text(key): storable(item) for key, item in value.items()}
        case _:
            return value


def json_safe(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return clean attributes for a JSON body, which has no NaN: such numbers become text."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in storable(attributes).items()
    }


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping | list | tuple | set | frozenset | None)


def _json(value: Any) -> str:
    try:
        return _encode(_plain(value, 0)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return str(value)[:_LARGEST_JSON]


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "…"
    match value:
        case Mapping():
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth + 1) for item in value]
        case str():
            return storable_text(value)
        case bytes() | bytearray() | memoryview():
            return b64encode(value).decode()
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | float():
            return value
        case int():
            return int(value) if LEAST <= value <= MOST else str(value)
        case _:
            return str(value)
