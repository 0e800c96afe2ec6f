"""The SQLite store: runs, spans, checkpoints, failures, dead letters and events in one file.

Names are loaded when first used: whoever reads has no use for the writer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.store.dead_letters import SqliteDeadLetters
    from tailrace.store.failure_log import SqliteFailureLog
    from tailrace.store.inspection import StoreStats, inspect_store, verify_store
    from tailrace.store.limits import StoreLimits
    from tailrace.store.locate import find_database
    from tailrace.store.purge import Purged
    from tailrace.store.reader import SqliteTraceReader
    from tailrace.store.redrive_log import SqliteRedriveLog
    from tailrace.store.sqlite import SqliteStore, shared_store

_HOMES = {
    "Purged": "purge",
    "SqliteDeadLetters": "dead_letters",
    "SqliteFailureLog": "failure_log",
    "SqliteRedriveLog": "redrive_log",
    "SqliteStore": "sqlite",
    "SqliteTraceReader": "reader",
    "StoreLimits": "limits",
    "StoreStats": "inspection",
    "find_database": "locate",
    "inspect_store": "inspection",
    "shared_store": "sqlite",
    "verify_store": "inspection",
}
"""The module of this room that defines each name."""

__all__ = [
    "Purged",
    "SqliteDeadLetters",
    "SqliteFailureLog",
    "SqliteRedriveLog",
    "SqliteStore",
    "SqliteTraceReader",
    "StoreLimits",
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
