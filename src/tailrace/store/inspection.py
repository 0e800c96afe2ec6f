"""What a store holds, and whether its file is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec import Struct

from tailrace.store.blobs import blob_folder, count_blobs, verify_blobs
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.foreign.verify import verify_traces

_COUNTS = """SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(events), 0),
(SELECT count(*) FROM checkpoint), min(start), max(start) FROM run"""
_FAILURE_COUNTS = """SELECT (SELECT count(*) FROM failure), (SELECT count(*) FROM failure_group),
(SELECT count(*) FROM dead_letter), (SELECT count(*) FROM stream_event)"""
_TRACE_COUNTS = """SELECT count(*), coalesce(sum(spans), 0),
(SELECT count(*) FROM segment), (SELECT coalesce(sum(spans), 0) FROM segment)
FROM foreign_trace"""
_TABLE_SIZES = """SELECT m.tbl_name, sum(s.pgsize) FROM dbstat AS s
JOIN sqlite_master AS m ON m.name = s.name WHERE s.aggregate = 1
GROUP BY m.tbl_name ORDER BY 2 DESC, 1"""
_SPAN_BODIES = """SELECT
(SELECT total(length(body)) FROM segment_column) + (SELECT total(length(body)) FROM segment_body)
+ (SELECT total(length(body)) FROM foreign_batch)"""
_SPAN_TABLES = """SELECT total(s.pgsize) FROM sqlite_master AS m
CROSS JOIN dbstat AS s ON s.name = m.name WHERE s.aggregate = 1 AND m.tbl_name IN
('span', 'shape', 'event', 'resource', 'scope', 'foreign_trace', 'segment', 'segment_dead')"""
_PROBLEMS_SHOWN = 100


class StoreStats(Struct, frozen=True, kw_only=True):
    """Counts and sizes of one store. Instants are ns since the epoch, sizes bytes."""

    path: Path
    schema: int
    runs: int
    spans: int
    events: int
    checkpoints: int
    failures: int
    """Failures with a record of their own."""
    groups: int
    """Groups of equal failures."""
    letters: int
    """Dead letters, whatever became of them."""
    stream_events: int
    """Events of the resilient stream."""
    foreign_traces: int
    """Traces from elsewhere."""
    foreign_spans: int
    """Their spans."""
    segments: int
    """Parts of the store that queries read as columns."""
    sealed_spans: int
    """Spans in those, of runs and traces that are over."""
    blobs: int
    """Large outputs, in files beside the database."""
    blob_size: int
    """Bytes of those files."""
    size: int
    """Bytes of the file and its write-ahead log."""
    free: int
    """Bytes of the file that hold nothing now."""
    first_ns: int | None
    """Start of the oldest run."""
    last_ns: int | None
    """Start of the newest run."""
    tables: Mapping[str, int]
    """Bytes of each table with its indexes, largest first; empty: not asked for, or not known."""

    span_bytes: int | None
    """Bytes that spans take, of runs and from elsewhere, with their events, columns and indexes;
    None: SQLite was built without the table that knows."""

    @property
    def span_size(self) -> float | None:
        """Bytes for each span; None: there is none, or that is not known."""
        spans = self.spans + self.foreign_spans
        return self.span_bytes / spans if spans and self.span_bytes is not None else None


def inspect_store(path: Path, *, tables: bool = False) -> StoreStats:
    """Return what the store holds.

    Args:
        path: the file.
        tables: add up the pages of each table, which reads all of them.

    Raises:
        StoreError: there is no such file, or it cannot be read, is foreign, or too new.
    """
    with _reading(path) as db:
        runs, spans, events, checkpoints, first, last = db.execute(_COUNTS).fetchone()
        failures, groups, letters, stream_events = db.execute(_FAILURE_COUNTS).fetchone()
        foreign_traces, foreign_spans, segments, sealed = db.execute(_TRACE_COUNTS).fetchone()
        sizes = _table_sizes(db) if tables else {}
        span_bytes = _span_bytes(db)
        page = _number(db, "PRAGMA page_size")
        free = _number(db, "PRAGMA freelist_count")
        blobs = count_blobs(db)
        schema = _number(db, "PRAGMA user_version")
    files = (path, path.with_name(f"{path.name}-wal"))
    return StoreStats(
        path=path,
        schema=schema,
        runs=runs,
        spans=spans,
        events=events,
        checkpoints=checkpoints,
        failures=failures,
        groups=groups,
        letters=letters,
        stream_events=stream_events,
        foreign_traces=foreign_traces,
        foreign_spans=foreign_spans,
        segments=segments,
        sealed_spans=sealed,
        blobs=blobs.count,
        blob_size=blobs.size,
        size=sum(file.stat().st_size for file in files if file.exists()),
        free=free * page,
        first_ns=first,
        last_ns=last,
        tables=sizes,
        span_bytes=span_bytes,
    )


def _table_sizes(db: sqlite3.Connection) -> dict[str, int]:
    """Return bytes by table; nothing where SQLite was built without the table that knows."""
    try:
        return dict(db.execute(_TABLE_SIZES).fetchall())
    except sqlite3.OperationalError:
        return {}


def _span_bytes(db: sqlite3.Connection) -> int | None:
    # The lengths of large bodies are known without reading these.
    try:
        return _number(db, _SPAN_BODIES) + _number(db, _SPAN_TABLES)
    except sqlite3.OperationalError:
        return None


def verify_store(path: Path) -> list[str]:
    """Return what is wrong: damaged pages, broken references, files that are gone; empty if sound.

    Traces from elsewhere have as many spans as is said, segments the traces they name.

    Raises:
        StoreError: there is no such file, or it cannot be read, is foreign, or too new.
    """
    with _reading(path) as db:
        rows = db.execute(f"PRAGMA integrity_check({_PROBLEMS_SHOWN})").fetchall()
        problems = [str(row[0]) for row in rows if row[0] != "ok"]
        broken = db.execute("PRAGMA foreign_key_check").fetchmany(_PROBLEMS_SHOWN)
        problems += [
            f"row {row} of {table} refers to a row of {parent} that is gone"
            for table, row, parent, _ in broken
        ]
        problems += islice(verify_blobs(db, blob_folder(path)), _PROBLEMS_SHOWN)
        if not problems:  # it reads what a damaged page may hold
            problems += islice(verify_traces(db), _PROBLEMS_SHOWN)
    return problems


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    db = open_reader(path)
    try:
        with translated(path, "read"):
            yield db
    finally:
        db.close()


def _number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])
