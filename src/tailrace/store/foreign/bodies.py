"""How spans from elsewhere, and what many of them share, stand in the file."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tailrace.model.span import InstrumentationScope
from tailrace.store.foreign_span import StoredSpan, decode_spans
from tailrace.store.keys import span_range

_LEVEL = 1
"""Of zlib: higher ones take three times as long for a tenth less."""
_SERVICE = "service.name"
_PLACE = "SELECT segment, place FROM foreign_trace WHERE no = ? AND segment > 0"
BODY = "SELECT body FROM segment_body WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode_bodies = msgspec.msgpack.Encoder().encode
_decode_bodies = msgspec.msgpack.Decoder(dict[int, bytes]).decode

Key = tuple[bytes, int, int]
"""What makes two spans of a trace the same one: id, kind and start.

A client and its server may share an id, and broken programs use one again; both are kept.
"""


def key_of(span: StoredSpan) -> Key:
    """Return what tells the span from others of its trace."""
    return span.span_id, span.kind, span.start


def resource_body(attributes: Mapping[str, Any]) -> str:
    """Return what stands in ``resource`` for these clean attributes; equal ones give one text."""
    return _encode(attributes).decode()


def scope_body(scope: InstrumentationScope, attributes: Mapping[str, Any]) -> str:
    """Return what stands in ``scope`` for a library whose clean attributes are these."""
    body = {"name": scope.name, "version": scope.version, "attributes": attributes}
    return _encode(body).decode()


def read_resource(body: str) -> dict[str, Any]:
    """Return the attributes of a row of ``resource``."""
    return _decode(body)


def read_scope(body: str) -> InstrumentationScope:
    """Return the library of a row of ``scope``."""
    return InstrumentationScope(**_decode(body))


def service_of(resource: Mapping[str, Any]) -> str:
    """Return the name of the service; empty where it has none."""
    name = resource.get(_SERVICE, "")
    return name if isinstance(name, str) else str(name)


def pack_bodies(batches: Mapping[int, bytes]) -> bytes:
    """Return the batches of some traces of a segment, by their places, as one body."""
    return zlib.compress(_encode_bodies(batches), _LEVEL)


def sealed_batch(db: sqlite3.Connection, segment: int, place: int) -> bytes | None:
    """Return a sealed trace as the batch it would be; None: there is no such trace.

    Raises:
        ValueError: it is damaged.
    """
    return sealed_batches(db, segment, place).get(place)


def sealed_batches(db: sqlite3.Connection, segment: int, place: int) -> dict[int, bytes]:
    """Return a sealed trace and its neighbours, by their places.

    Raises:
        ValueError: they are damaged.
    """
    row = db.execute(BODY, (segment << 28, segment << 28 | place)).fetchone()
    if row is None:
        return {}
    try:
        return _decode_bodies(zlib.decompress(row[0]))
    except zlib.error as error:
        raise ValueError(f"the body of a trace: {error}") from error


def spans_of(db: sqlite3.Connection, no: int) -> list[StoredSpan]:
    """Return the spans of a trace in order of their starts, each once, sealed or not.

    Raises:
        ValueError: a body is damaged.
    """
    return merged(all_spans(db, no))


def all_spans(db: sqlite3.Connection, no: int) -> Iterable[StoredSpan]:
    """Yield the spans of a trace in the order in which they came, repeated ones too."""
    row = db.execute(_PLACE, (no,)).fetchone()
    if row is not None and (body := sealed_batch(db, *row)) is not None:
        yield from decode_spans(body)
    query = "SELECT body FROM foreign_batch WHERE id BETWEEN ? AND ? ORDER BY id"
    for (body,) in db.execute(query, span_range(no)).fetchall():
        yield from decode_spans(body)


def merged(spans: Iterable[StoredSpan]) -> list[StoredSpan]:
    """Return each span once, as it was told last, in order of start."""
    latest: dict[Key, StoredSpan] = {}
    for span in spans:
        key = key_of(span)
        if replaces(span, latest.get(key)):
            latest[key] = span
    return sorted(latest.values(), key=_start)


def replaces(span: StoredSpan, known: StoredSpan | None) -> bool:
    """Return whether what came later about a span is news: a span that is over stays so."""
    return known is None or bool(span.end) or not known.end


def _start(span: StoredSpan) -> int:
    return span.start
