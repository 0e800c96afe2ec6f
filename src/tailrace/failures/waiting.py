"""How long the other side asks to be left alone: ``Retry-After`` and what resembles it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

LONGEST_WISH = 1e9
"""Seconds (31 years) up to which a wish is kept; whether it is obeyed is for a policy to say."""


def retry_after(error: BaseException) -> float | None:
    """Return the seconds to wait that an exception or its response asks for, from now on.

    Read from ``retry_after`` of the exception, else from the header ``Retry-After``: seconds, or
    an HTTP date (RFC 9110, section 10.2.3).
    """
    wish = getattr(error, "retry_after", None)
    if wish is None:
        response = getattr(error, "response", None)
        headers = _headers(error if response is None else response)
        if headers is None:
            return None
        wish = _header(headers)
    seconds = _seconds(wish)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WISH)


def read_wish(wish: float | str | None) -> float | None:
    """Return the seconds that a value of ``Retry-After`` stands for; None when it is none."""
    seconds = _seconds(wish)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WISH)


def _headers(holder: object) -> object:
    if isinstance(holder, Mapping):
        metadata = holder.get("ResponseMetadata")
        return metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    return getattr(holder, "headers", None)


def _header(headers: object) -> object:
    get = getattr(headers, "get", None)
    if not callable(get):
        return None
    wish = get("Retry-After")
    return get("retry-after") if wish is None else wish


def _seconds(wish: object) -> float | None:
    match wish:
        case bool() | None:
            return None
        case int():
            return float(min(wish, int(LONGEST_WISH)))
        case float():
            return wish if wish == wish else None  # noqa: PLR0124 - NaN is no wish
        case timedelta():
            return wish.total_seconds()
        case str():
            return _of_text(wish.strip())
        case _:
            return None


def _of_text(wish: str) -> float | None:
    if wish.isascii() and wish.replace(".", "", 1).isdigit():
        return float(wish)
    return _until(wish)


def _until(date: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed

    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
