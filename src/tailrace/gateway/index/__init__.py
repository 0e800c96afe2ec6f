"""The index of a gateway: lists, traces, failures and letters, made from the streams."""

from tailrace.gateway.index.run_index import SqliteRunIndex

__all__ = ["SqliteRunIndex"]
