"""Making any value one that JSON holds: nothing is lost silently, and no secret is kept."""

from __future__ import annotations

import base64
import hashlib
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from tailrace.model.secret import REDACTED, is_secret, redact_text

MOST_BYTES = 256 * 1024
"""Bytes of JSON that one key of an event may take."""
_MOST_DEPTH = 64
_MOST_FLAGS = 64
_PREVIEW = 1024
_REDACTED_AT_ONCE = 4096
"""Characters of a text that ``redact_text`` looks at."""
_WIDEST = 64
"""Bits of the integers that every reader of JSON takes."""

encode_json = msgspec.json.Encoder().encode


class Cleaned(NamedTuple):
    """A value that JSON holds, and what had to be done to it."""

    value: Any
    flags: dict[str, str]
    """By place (``$.a[0]``): ``nan``, ``base64``, ``surrogate``, ``key``, ``int``, ``text``,
    ``redacted``, ``cut``, or ``lost: …`` for what has no JSON form at all."""

    @property
    def lost(self) -> str:
        """Where a value has no JSON form, and of what type it is; empty when there is none."""
        for place, flag in self.flags.items():
            if flag.startswith("lost"):
                name = "it" if place == "$" else place
                return f"{name} is {flag.removeprefix('lost: ')}"
        return ""


def clean(value: Any) -> Cleaned:
    """Return the value as JSON holds it. Never raises, whatever the value's own code does.

    Numbers that are not finite become null, bytes base64, lone surrogates are escaped, values
    under secret names and secrets within texts are replaced, and what has no JSON form becomes a
    text that names its type. Each is flagged with its place.
    """
    flags: dict[str, str] = {}
    return Cleaned(_clean(value, "$", 0, flags), flags)


def clean_text(text: str) -> str:
    """Return a text that UTF-8 can hold, without the secrets in it."""
    return _clean_text(text, "$", {})


def cut(value: Any) -> Any:
    """Return the value, or what is kept of it when its JSON is longer than ``MOST_BYTES``.

    That is a mapping of ``cut`` (True), ``size`` (bytes), ``digest`` (``sha256:…``) and
    ``preview`` (the first 1,024 characters of the JSON).
    """
    body = encode_json(value)
    if len(body) <= MOST_BYTES:
        return value
    return {
        "cut": True,
        "size": len(body),
        "digest": f"sha256:{hashlib.sha256(body).hexdigest()}",
        "preview": body[: 4 * _PREVIEW].decode("utf-8", "ignore")[:_PREVIEW],
    }


def _clean(value: Any, place: str, depth: int, flags: dict[str, str]) -> Any:
    kind = type(value)
    if kind is str:
        return _clean_text(value, place, flags)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if value.bit_length() < _WIDEST else _wide(value, place, flags)
    if kind is float:
        if isfinite(value):
            return value
        _flag(flags, place, "nan")
        return None
    if depth >= _MOST_DEPTH:
        return _lost(value, place, flags, "nested too deep")
    if kind is dict:
        return _clean_mapping(value, place, depth, flags)
    if kind is list or kind is tuple:
        return [
            _clean(item, f"{place}[{index}]", depth + 1, flags) for index, item in enumerate(value)
        ]
    return _clean_other(value, place, depth, flags)


def _clean_mapping(
    value: dict[Any, Any], place: str, depth: int, flags: dict[str, str]
) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str and key.isascii() else _key(key, place, flags)
        inner = f"{place}.{name}"
        if is_secret(name, item):
            _flag(flags, inner, "redacted")
            cleaned[name] = REDACTED
        else:
            cleaned[name] = _clean(item, inner, depth + 1, flags)
    return cleaned


def _key(key: Any, place: str, flags: dict[str, str]) -> str:
    if isinstance(key, str):
        return _clean_text(str(key), f"{place} (a key)", flags)
    _flag(flags, f"{place} (a key)", "key")
    try:
        return clean_text(str(key))
    except Exception:  # noqa: BLE001 - __str__ of a foreign key may raise anything
        return f"({type(key).__name__})"


def _clean_other(value: Any, place: str, depth: int, flags: dict[str, str]) -> Any:
    """Clean what is of no type that JSON has a word for."""
    try:
        if isinstance(value, Enum):
            return _clean(value.value, place, depth + 1, flags)
        if isinstance(value, str | int | float | dict | list | tuple):
            return _clean(_plain(value), place, depth + 1, flags)
        if isinstance(value, bytes | bytearray | memoryview):
            _flag(flags, place, "base64")
            return base64.b64encode(bytes(value)).decode()
        if isinstance(value, datetime | date):
            _flag(flags, place, "text")
            return value.isoformat()
        if isinstance(value, Decimal | UUID | PurePath):
            _flag(flags, place, "text")
            return _clean_text(str(value), place, flags)
    except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
        return _lost(value, place, flags, f"unreadable: {type(error).__name__}")
    return _lost(value, place, flags)


def _plain(value: Any) -> Any:
    """Return an instance of a subclass as one of the builtin."""
    kinds: tuple[Any, ...] = (str, int, float, dict, list, tuple)
    return next(kind for kind in kinds if isinstance(value, kind))(value)


def _wide(value: int, place: str, flags: dict[str, str]) -> str:
    _flag(flags, place, "int")
    try:
        return str(value)
    except ValueError:  # more digits than Python prints
        return hex(value)


def _lost(value: Any, place: str, flags: dict[str, str], why: str = "") -> str:
    name = type(value).__qualname__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    _flag(flags, place, f"lost: {article} {name}{why and f', {why}'}", must=True)
    return f"({name})"


def _clean_text(text: str, place: str, flags: dict[str, str]) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            _flag(flags, place, "surrogate")
            text = text.encode("utf-8", "backslashreplace").decode()
    shown = hide_secrets(text)
    if shown != text:
        _flag(flags, place, "redacted")
    return shown


def hide_secrets(text: str) -> str:
    """Return a text of any length with the secrets in it hidden.

    It is looked at piece by piece, each ending at a white space where there is one.
    """
    if len(text) <= _REDACTED_AT_ONCE:
        return redact_text(text)
    parts = []
    start = 0
    while start < len(text):
        end = min(start + _REDACTED_AT_ONCE, len(text))
        if end < len(text):
            border = max(text.rfind("\n", start, end), text.rfind(" ", start, end))
            end = border + 1 if border > start else end
        parts.append(redact_text(text[start:end]))
        start = end
    return "".join(parts)


def _flag(flags: dict[str, str], place: str, flag: str, *, must: bool = False) -> None:
    if must or len(flags) < _MOST_FLAGS:
        flags.setdefault(place, flag)
