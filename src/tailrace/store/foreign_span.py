"""Spans from elsewhere as the store keeps them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class StoredEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event; ``time`` is ns since the epoch."""

    time: int
    name: str
    attributes: dict[str, Any]


class StoredLink(Struct, frozen=True, array_like=True, gc=False):
    """A link; ids are bytes, attributes plain."""

    trace_id: bytes
    span_id: bytes
    attributes: dict[str, Any]
    trace_state: str = ""


class StoredSpan(Struct, frozen=True, array_like=True, gc=False, omit_defaults=True):
    """A span without its trace id; times are ns since the epoch."""

    span_id: bytes
    parent_id: bytes
    """Empty: a root."""
    name: str
    kind: int
    """As in OTLP: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    status: int
    """As in OTLP: 0 unset, 1 ok, 2 error."""
    start: int
    end: int
    """0: it is open."""
    resource: int
    """Row of ``resource``."""
    scope: int
    """Row of ``scope``."""
    attributes: dict[str, Any]
    """Strings, integers, floats, booleans, and lists of one of these."""
    message: str = ""
    events: tuple[StoredEvent, ...] = ()
    links: tuple[StoredLink, ...] = ()
    trace_state: str = ""
    dropped_events: int = 0


encode_spans = msgspec.msgpack.Encoder().encode
"""Of a list of spans."""
decode_spans = msgspec.msgpack.Decoder(list[StoredSpan]).decode
