"""Journal records as bytes: one MessagePack array per append."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from tailrace.model.journal import AnyRecord
from tailrace.tracing.attributes import plain

_ENCODER = msgspec.msgpack.Encoder()


def encode_into(records: Sequence[AnyRecord], buffer: bytearray) -> None:
    """Replace the buffer's content by the records; values MessagePack lacks become text."""
    try:
        _ENCODER.encode_into(records, buffer)
    except Exception:  # noqa: BLE001 - a user's attribute may hold anything
        _ENCODER.encode_into([_reduced(record) for record in records], buffer)


def encode(records: Sequence[AnyRecord]) -> bytes:
    """Return the records as bytes; values that MessagePack lacks become text."""
    buffer = bytearray()
    encode_into(records, buffer)
    return bytes(buffer)


def decode(body: bytes) -> list[AnyRecord]:
    """Return the records.

    Raises:
        msgspec.DecodeError: the bytes are no records.
    """
    return _decoder().decode(body)


def join(batches: Sequence[bytes]) -> bytes:
    """Return several encoded lists of records as one."""
    if len(batches) == 1:
        return batches[0]
    count, bodies = 0, []
    for batch in batches:
        number, start = _head(batch)
        count += number
        bodies.append(memoryview(batch)[start:])
    return b"".join((b"\xdd", count.to_bytes(4, "big"), *bodies))


@cache
def _decoder() -> msgspec.msgpack.Decoder[list[AnyRecord]]:
    """Made when a journal is first read: it has to look at every kind of record."""
    return msgspec.msgpack.Decoder(list[AnyRecord])


def _head(batch: bytes) -> tuple[int, int]:
    """Return the number of items of a MessagePack array, and where the first one begins."""
    match batch[0]:
        case 0xDC:
            return int.from_bytes(batch[1:3], "big"), 3
        case 0xDD:
            return int.from_bytes(batch[1:5], "big"), 5
        case small:
            return small & 0x0F, 1


def _reduced(record: AnyRecord) -> Any:
    values = [getattr(record, name) for name in record.__struct_fields__]
    kept = [value if isinstance(value, bytes) else plain(value) for value in values]
    return [record.__struct_config__.tag, *kept]
