"""The SQLite store: runs, spans, events and checkpoints in one file.

Names are loaded when first used: whoever reads has no use for the writer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.store.inspection import StoreStats, inspect_store, verify_store
    from tailrace.store.locate import find_database
    from tailrace.store.reader import SqliteTraceReader
    from tailrace.store.sqlite import SqliteStore, shared_store

_HOMES = {
    "SqliteStore": "sqlite",
    "SqliteTraceReader": "reader",
    "StoreStats": "inspection",
    "find_database": "locate",
    "inspect_store": "inspection",
    "shared_store": "sqlite",
    "verify_store": "inspection",
}
"""The module of this room that defines each name."""

__all__ = [
    "SqliteStore",
    "SqliteTraceReader",
    "StoreStats",
    "find_database",
    "inspect_store",
    "shared_store",
    "verify_store",
]


if not TYPE_CHECKING:  # a checker must not take every name for one that exists

    def __getattr__(name: str) -> Any:
        module = _HOMES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
