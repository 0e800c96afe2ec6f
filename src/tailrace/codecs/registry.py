"""The codecs by name, and which of them a value gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tailrace.codecs.files import FILE, read_file
from tailrace.codecs.plain import encode_plain
from tailrace.codecs.tagged import CannotEncode, decode_tagged, encode_tagged
from tailrace.errors import StoreError


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A value as bytes."""

    codec: str
    """``json``, ``json-tagged`` or ``pickle``; in stores also ``file:`` before one of these."""
    body: bytes


class Unencodable(msgspec.Struct, frozen=True, gc=False):
    """A value that has no bytes form, and why."""

    reason: str
    """Such as ``[3].conn is a sqlite3.Connection, which no codec knows``."""


def encode(value: Any, *, mode: str = "auto") -> Encoded | Unencodable:
    """Return the value as bytes, or why that cannot be. Never raises.

    Args:
        value: anything.
        mode: ``auto`` (JSON, with tags where JSON has no word for a type), ``pickle`` (pickle
            where that is not enough) or ``none`` (nothing is encoded).
    """
    if mode == "none":
        return Unencodable("none")
    try:
        body = encode_plain(value)
        if body is not None:
            return Encoded("json", body)
        return Encoded("json-tagged", encode_tagged(value))
    except CannotEncode as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - even the type of a foreign value may raise
        reason = f"a {type(value).__name__} cannot be read: {type(error).__name__}"
    return _pickled(value) if mode == "pickle" else Unencodable(reason)


MISSING = "none"
"""Stands as the codec of a value that could not be encoded; its body says why."""

LOST = "lost"
"""Stands as the codec of what was stored and is there no more."""


def missing(value: Unencodable) -> Encoded:
    """Return what is stored in place of a value that has no bytes form: why it has none."""
    return Encoded(MISSING, value.reason.encode("utf-8", "backslashreplace"))


def decode(codec: str, body: bytes) -> Any:
    """Return the value that was encoded.

    ``pickle`` runs code that the body names, and a class is imported by its name: only bodies of
    the local store may be given.

    Raises:
        StoreError: the codec is unknown here, or the body is not of that codec (TR507); the value
            stands in a file that is missing (TR519) or damaged (TR520).
    """
    if codec == MISSING:
        why = body.decode("utf-8", "replace")
        raise StoreError(f"it could not be stored: {why}", code="TR507")
    if codec == LOST:
        raise StoreError("somebody has deleted it from the store", code="TR507")
    if codec.startswith(FILE):
        return decode(codec.removeprefix(FILE), read_file(body))
    decoder = _DECODERS.get(codec)
    if decoder is None:
        known = ", ".join(_DECODERS)
        raise StoreError(f"unknown codec {codec!r} (known: {known})", code="TR507")
    try:
        return decoder(body)
    except Exception as error:
        raise StoreError(
            f"a checkpoint cannot be read as {codec}: {error}",
            code="TR507",
            hint="Run the node again; if its type has a codec of your own, import that first.",
        ) from error


def _pickled(value: Any) -> Encoded | Unencodable:
    import pickle  # noqa: PLC0415 - only for tasks that ask for it

    try:
        return Encoded("pickle", pickle.dumps(value, protocol=5))
    except Exception as error:  # noqa: BLE001 - __reduce__ of a foreign type may raise anything
        return Unencodable(f"pickle: {type(error).__name__}: {error}"[:300])


def _unpickled(body: bytes) -> Any:
    import pickle  # noqa: PLC0415 - as above

    return pickle.loads(body)  # noqa: S301 - bodies of the local store only, as ``decode`` says


_DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    "json": msgspec.json.Decoder().decode,
    "json-tagged": decode_tagged,
    "pickle": _unpickled,
}
