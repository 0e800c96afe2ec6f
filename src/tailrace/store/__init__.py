"""The SQLite store: runs, spans, events and checkpoints in one file."""

from tailrace.store.inspection import StoreStats, inspect_store, verify_store
from tailrace.store.locate import find_database
from tailrace.store.reader import SqliteTraceReader
from tailrace.store.sqlite import SqliteStore, shared_store

__all__ = [
    "SqliteStore",
    "SqliteTraceReader",
    "StoreStats",
    "find_database",
    "inspect_store",
    "shared_store",
    "verify_store",
]
