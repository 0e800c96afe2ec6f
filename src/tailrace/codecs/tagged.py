"""JSON for the rest: what JSON has no word for is written as ``{"$t": tag, "v": data}``.

A dict that has a key ``$t`` itself, or a key that is no text, is written as tagged pairs, so data
of users never reads as a tag.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from tailrace.codecs.families import family_by_tag, family_of
from tailrace.codecs.plain import MAX_DEPTH
from tailrace.codecs.types import BY_TAG, BY_TYPE, NotThisValue

_TAG = "$t"
_DATA = "v"
_MAX_REPEATS = 1_000_000
"""Containers written once more than they exist: sharing can unfold to any size."""
_MAX_BITS = 4096
"""Integers beyond it are written in hex, which takes linear time."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class CannotEncode(Exception):  # noqa: N818 - reads as the answer it is
    """No codec knows a value; the message names its place and its type."""


def encode_tagged(value: Any) -> bytes:
    """Return JSON with tags.

    Raises:
        CannotEncode: a value inside is of a type without codec, is part of itself, or the whole is
            nested too deeply or too large.
    """
    try:
        return _encode(_Writer().write(value, ""))
    except RecursionError:
        raise CannotEncode("it is nested too deeply to be encoded") from None


def decode_tagged(body: bytes) -> Any:
    """Return the value of a body of ``encode_tagged``.

    Raises:
        ValueError: it is no such body, or has a tag that is not registered here.
    """
    return _read(_decode(body))


class _Writer:
    """One walk over one value."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._repeats = 0
        self._kept: list[Any] = []

    def write(self, value: Any, path: str) -> Any:
        """Return the value made of what JSON knows."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value.bit_length() <= _MAX_BITS else _tagged("int", hex(value))
        if kind is float:
            return value if isfinite(value) else _tagged("float", repr(value))
        if kind is str:
            return _text(value)
        return self._container(value, kind, path)

    def _container(self, value: Any, kind: type, path: str) -> Any:
        self._check(value, path)
        self._open.add(id(value))
        try:
            if kind is list:
                return self._items(value, path)
            return self._dict(value, path) if kind is dict else self._other(value, kind, path)
        finally:
            self._open.discard(id(value))

    def _check(self, value: Any, path: str) -> None:
        if id(value) in self._open:
            raise CannotEncode(f"{_place(path)} is part of itself")
        if len(self._open) >= MAX_DEPTH:
            raise CannotEncode(f"it is nested deeper than {MAX_DEPTH} levels")
        if id(value) in self._seen:
            self._repeats += 1
            if self._repeats > _MAX_REPEATS:
                raise CannotEncode(f"shared parts unfold to more than {_MAX_REPEATS:,} values")
        self._seen.add(id(value))

    def _items(self, values: Any, path: str) -> list[Any]:
        return [self.write(item, f"{path}[{index}]") for index, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if _TAG not in value and all(type(key) is str and _is_clean(key) for key in value):
            return {key: self.write(item, f"{path}.{key}") for key, item in value.items()}
        pairs = [
            [self.write(key, f"{path}.keys"), self.write(item, f"{path}[{_shown(key)}]")]
            for key, item in value.items()
        ]
        return _tagged("dict", pairs)

    def _other(self, value: Any, kind: type, path: str) -> Any:
        place = _place(path)
        try:
            found = _taken_apart(value, kind)
        except NotThisValue as error:
            raise CannotEncode(f"{place} is a {_name(kind)} {error}") from None
        except Exception as error:
            raise CannotEncode(
                f"{place}: the codec of {_name(kind)} raised {type(error).__name__}"
            ) from error
        if found is None:
            raise CannotEncode(f"{place} is a {_name(kind)}, which no codec knows")
        tag, name, data = found
        self._kept.append(data)  # so that no other value gets its id during this walk
        written = self.write(data, path)
        return _tagged(tag, written if name is None else [name, written])


def _taken_apart(value: Any, kind: type) -> tuple[str, str | None, Any] | None:
    """Return the tag of a value, the name that its family gives it, and its data."""
    codec = BY_TYPE.get(kind)
    if codec is not None:
        return codec.tag, None, codec.to_data(value)
    family = family_of(kind)
    return None if family is None else (family.tag, *family.to_data(value))


def _place(path: str) -> str:
    return path.removeprefix(".") or "the value"


def _tagged(tag: str, data: Any) -> dict[str, Any]:
    return {_TAG: tag, _DATA: data}


def _is_clean(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: str) -> Any:
    if _is_clean(text):
        return text
    return _tagged("str", text.encode("utf-16-be", "surrogatepass").hex())


def _shown(key: Any) -> str:
    return repr(key)[:40] if type(key) in (int, str, float, bool) else f"a {_name(type(key))}"


def _name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _read(data: Any) -> Any:
    match data:
        case list():
            return [_read(item) for item in data]
        case {"$t": str(tag)}:
            return _read_tagged(tag, data[_DATA])
        case dict():
            return {key: _read(item) for key, item in data.items()}
        case _:
            return data


def _read_tagged(tag: str, data: Any) -> Any:
    known = _BUILT_IN.get(tag)
    if known is not None:
        return known(data)
    codec = BY_TAG.get(tag)
    if codec is None:
        family = family_by_tag(tag)
        if family is not None:
            name, body = data
            return family.from_data(name, _read(body))
        raise ValueError(f"no codec is registered for {tag!r}")
    return codec.from_data(_read(data))


_BUILT_IN: dict[str, Callable[[Any], Any]] = {
    "int": lambda data: int(data, 16),
    "float": float,
    "str": lambda data: bytes.fromhex(data).decode("utf-16-be", "surrogatepass"),
    "dict": lambda data: {_read(key): _read(item) for key, item in data},
}
