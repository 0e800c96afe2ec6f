"""Giving room that a store no longer needs back to the disk."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct

from tailrace.model.states import Durability
from tailrace.store.blobs import Blobs, blob_folder, count_blobs, remove_orphans
from tailrace.store.connection import open_reader, open_writer
from tailrace.store.fault import translated
from tailrace.store.segments.seal import seal
from tailrace.store.sqlite import shared_store
from tailrace.store.writer import Writer

_DEAD_SIZE = """SELECT coalesce(sum(s.dead * (
  (SELECT coalesce(sum(length(c.body)), 0) FROM segment_column AS c WHERE c.segment = s.id) +
  (SELECT coalesce(sum(length(b.body)), 0) FROM segment_body AS b
    WHERE b.id BETWEEN s.id << 28 AND ((s.id + 1) << 28) - 1)) / s.traces), 0)
FROM segment AS s WHERE s.dead > 0"""
_PAGES = 2_000
"""Free pages given back in a commit."""
_PATIENCE = 0.5
"""Seconds that the log may be in use."""
_PAUSE = 0.01


class Vacuumed(Struct, frozen=True, kw_only=True):
    """What was given back. Sizes are bytes of the file on the disk."""

    size: int
    size_after: int
    blobs: Blobs
    """Large outputs that nothing named any longer."""


def vacuum_store(path: Path, *, full: bool = False) -> Vacuumed:
    """Seal what is over, give free pages back, and remove large outputs that nothing names.

    Args:
        path: the file.
        full: write the whole file anew, in order; this takes as much room again for as long as it
            lasts, and whoever writes waits for it.

    Raises:
        StoreError: there is no such file, or it cannot be written.
    """
    seal(path, everything=True)
    with closing(open_reader(path)) as db:
        blobs = remove_orphans(db, blob_folder(path))
    empty_log(path)
    size = path.stat().st_size
    if full:
        with closing(open_writer(path, Durability.PROCESS)) as db, translated(path, "write"):
            db.execute("VACUUM")
    else:
        store = shared_store(path)
        while store.write(give_back):
            pass
    empty_log(path)
    return Vacuumed(size=size, size_after=path.stat().st_size, blobs=blobs)


def give_back(writer: Writer) -> bool:
    """Give free pages back to the disk; return whether more can be."""
    free = "PRAGMA freelist_count"
    before = writer.db.execute(free).fetchone()[0]
    writer.db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return 0 < int(writer.db.execute(free).fetchone()[0]) < int(before)


def empty_log(path: Path) -> None:
    """Empty the write-ahead log where no reader needs it."""
    until = time.monotonic() + _PATIENCE
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=_PATIENCE)) as db:
        while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                return
            time.sleep(_PAUSE)  # another checkpoint is under way, which SQLite does not wait for


def dead_size(db: sqlite3.Connection) -> int:
    """Return about how many bytes of segments belong to traces that are gone from them."""
    return int(db.execute(_DEAD_SIZE).fetchone()[0])


def size_of(db: sqlite3.Connection) -> int:
    """Return the bytes that the database holds, and its large outputs."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page) + count_blobs(db).size
