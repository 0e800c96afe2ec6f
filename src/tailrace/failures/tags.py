"""Words that a failure carries along: bounded in number and size, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.failures.naming import encodable
from tailrace.model.secret import REDACTED, is_secret, redact_text

RESERVED = ("component", "endpoint", "transport")
"""Keys that come from an exception's ``metadata``, in the order they are kept."""
MOST_TAGS = 64
_MAX_KEY = 64
_MAX_VALUE = 256

Tags = tuple[tuple[str, str], ...]

_limit = 8


def use_tag_limit(limit: int) -> None:
    """Keep at most so many tags of a failure from now on, 0 to ``MOST_TAGS``."""
    global _limit  # noqa: PLW0603 - one process has one settings tree
    _limit = min(max(limit, 0), MOST_TAGS)


def select_tags(
    tags: Mapping[Any, Any],
    *,
    component: str = "",
    endpoint: str = "",
    transport: str = "",
    limit: int | None = None,
) -> tuple[Tags, int]:
    """Return the tags that are kept, and how many were dropped.

    ``component``, ``endpoint`` and ``transport`` come first, then the others by key. One of
    ``tags`` that has the name of those is dropped. Keys are cut to 64 characters, values to 256;
    values under secret names are hidden.

    Args:
        tags: the user's own; keys and values are taken as texts.
        component: part of the system that failed.
        endpoint: what it was talking to.
        transport: how.
        limit: most tags that are kept; None: as the settings say (8 by default).
    """
    most = _limit if limit is None else limit
    first = [
        (key, _value(key, value))
        for key, value in zip(RESERVED, (component, endpoint, transport), strict=True)
        if value
    ]
    own: dict[str, str] = {}
    for key, value in tags.items():
        read = _read(key, value)
        if read is not None and read[0] not in RESERVED:
            own[read[0]] = read[1]
    kept = (*first, *sorted(own.items()))[:most]
    return kept, len(first) + len(tags) - len(kept)


def tags_of(error: BaseException) -> tuple[Tags, int]:
    """Return the tags that an exception carries in ``tags`` and ``metadata``, and those dropped."""
    tags = getattr(error, "tags", None)
    metadata = getattr(error, "metadata", None)
    if tags is None and metadata is None:
        return (), 0
    own = tags if isinstance(tags, Mapping) else {}
    if not isinstance(metadata, Mapping):
        return select_tags(own) if own else ((), 0)
    component, endpoint, transport = (str(metadata.get(key) or "") for key in RESERVED)
    return select_tags(own, component=component, endpoint=endpoint, transport=transport)


def has_secret(tags: Tags) -> bool:
    """Tell whether the value of a tag was hidden."""
    return any(REDACTED in value for _, value in tags)


def _read(key: Any, value: Any) -> tuple[str, str] | None:
    try:
        return _plain(str(key), _MAX_KEY), _value(str(key), value)
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return None


def _value(key: str, value: Any) -> str:
    if is_secret(key, value):
        return REDACTED
    return _plain(redact_text(str(value)), _MAX_VALUE)


def _plain(text: str, limit: int) -> str:
    return encodable(text[:limit])[:limit]
