"""The SQLite store: runs, spans, checkpoints, failures, dead letters and events in one file.

Names are loaded when first used: whoever reads has no use for the writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.store.dead_letters import SqliteDeadLetters
    from tailrace.store.failure_log import SqliteFailureLog
    from tailrace.store.inspection import StoreStats, inspect_store, verify_store
    from tailrace.store.limits import StoreLimits
    from tailrace.store.locate import find_database
    from tailrace.store.prune import Pruned, plan_prune, prune_store, prune_when_due
    from tailrace.store.purge import Purged
    from tailrace.store.queries import SQLiteTraceReader
    from tailrace.store.reader import SqliteTraceReader
    from tailrace.store.redrive_log import SqliteRedriveLog
    from tailrace.store.retention import Retention
    from tailrace.store.search import SqliteSearch
    from tailrace.store.sqlite import SqliteStore, shared_store
    from tailrace.store.tracer import SQLiteTracer
    from tailrace.store.vacuum import vacuum_store

_HOMES = {
    "Pruned": "prune",
    "Purged": "purge",
    "Retention": "retention",
    "SQLiteTraceReader": "queries",
    "SQLiteTracer": "tracer",
    "SqliteDeadLetters": "dead_letters",
    "SqliteFailureLog": "failure_log",
    "SqliteRedriveLog": "redrive_log",
    "SqliteSearch": "search",
    "SqliteStore": "sqlite",
    "SqliteTraceReader": "reader",
    "StoreLimits": "limits",
    "StoreStats": "inspection",
    "find_database": "locate",
    "inspect_store": "inspection",
    "plan_prune": "prune",
    "prune_store": "prune",
    "prune_when_due": "prune",
    "shared_store": "sqlite",
    "vacuum_store": "vacuum",
    "verify_store": "inspection",
}
"""The module of this room that defines each name."""

__all__ = [
    "Pruned",
    "Purged",
    "Retention",
    "SQLiteTraceReader",
    "SQLiteTracer",
    "SqliteDeadLetters",
    "SqliteFailureLog",
    "SqliteRedriveLog",
    "SqliteSearch",
    "SqliteStore",
    "SqliteTraceReader",
    "StoreLimits",
    "StoreStats",
    "find_database",
    "inspect_store",
    "plan_prune",
    "prune_store",
    "prune_when_due",
    "shared_store",
    "vacuum_store",
    "verify_store",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
