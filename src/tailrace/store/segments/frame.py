"""What the bodies of a segment are called, and how each is kept from being misread."""

from __future__ import annotations

import zlib
from enum import StrEnum

_SUM_SIZE = 4
BLOCK = "block"
"""Owner of what is no column of values."""


class Part(StrEnum):
    """Names of what ``BLOCK`` owns."""

    HEADS = "heads"
    STARTS = "starts"
    DURATIONS = "durations"
    BY_DURATION = "by_duration"
    PARENTS = "parents"
    SPAN_IDS = "span_ids"
    ORPHANS = "orphans"
    ORPHAN_PARENTS = "orphan_parents"
    EVENT_SPANS = "event_spans"
    LINK_SPANS = "link_spans"
    RESOURCES = "resources"
    SCOPES = "scopes"


def framed(body: bytes) -> bytes:
    """Return the bytes with a check sum before them."""
    return zlib.crc32(body).to_bytes(_SUM_SIZE, "little") + body


def unframed(body: bytes) -> bytes:
    """Return the bytes of ``framed``.

    Raises:
        ValueError: they have changed.
    """
    content = body[_SUM_SIZE:]
    if len(body) < _SUM_SIZE or zlib.crc32(content) != int.from_bytes(body[:_SUM_SIZE], "little"):
        raise ValueError("its check sum does not fit")
    return content
