"""A checked query as plain data for programs."""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec import Struct

from tailrace.traceql.checked import CheckedQuery, Regex
from tailrace.traceql.render import render


def to_document(query: CheckedQuery) -> dict[str, Any]:
    """Return a checked query as JSON types; every node is an object with its ``node`` name."""
    return {
        "query": render(query.source),
        "dialect": query.source.dialect.value,
        "gives": "metrics" if query.is_metrics else "traces",
        "hints": dict(query.hints),
        "ignored_hints": list(query.ignored_hints),
        "columns": list(query.source.columns),
        "limit": query.source.limit,
        "tree": _plain(query.plan),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Regex):
        return value.pattern
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Struct):
        body = {
            name: _plain(getattr(value, name))
            for name in value.__struct_fields__
            if name != "place"
        }
        return {"node": type(value).__name__, **body}
    return value
