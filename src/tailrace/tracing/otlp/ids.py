"""Ids of traces and spans as programs write them: hex by the specification, base64 by some."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tailrace.tracing.otlp.refused import Broken

_TRACE = re.compile(r"[0-9a-f]{32}").fullmatch
_SPAN = re.compile(r"[0-9a-f]{16}").fullmatch
NO_TRACE = "0" * 32
NO_SPAN = "0" * 16


def trace_id_of(value: Any) -> str:
    """Return a trace id as 32 lower-case hex digits.

    Raises:
        Broken: it is none, or all zero.
    """
    found = value if isinstance(value, str) and _TRACE(value) else _hex(value, 16)
    if found is None or found == NO_TRACE:
        raise Broken("the trace id is not 32 hex digits (or 16 bytes of base64)")
    return str(found)


def span_id_of(value: Any) -> str:
    """Return a span id as 16 lower-case hex digits.

    Raises:
        Broken: it is none, or all zero.
    """
    found = value if isinstance(value, str) and _SPAN(value) else _hex(value, 8)
    if found is None or found == NO_SPAN:
        raise Broken("the span id is not 16 hex digits (or 8 bytes of base64)")
    return str(found)


def parent_id_of(value: Any) -> str | None:
    """Return a parent's id; None: there is no parent.

    Raises:
        Broken: it is neither an id nor empty.
    """
    if not value or value == NO_SPAN:
        return None
    try:
        return span_id_of(value)
    except Broken:
        if _hex(value, 8) == NO_SPAN:
            return None
        raise Broken("the parent's span id is not 16 hex digits (or 8 bytes of base64)") from None


def _hex(value: Any, size: int) -> str | None:
    """Return hex digits of an id in capitals or in base64; None: it is neither."""
    if not isinstance(value, str):
        return None
    pattern = _TRACE if size == 16 else _SPAN
    if pattern(value.lower()):
        return value.lower()
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        body = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return body.hex() if len(body) == size else None
