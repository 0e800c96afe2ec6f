"""Ending the runs of processes that died."""

from __future__ import annotations

import sqlite3

from tailrace.store.fault import translated
from tailrace.store.keys import journal_range
from tailrace.store.liveness import is_alive, live_folder, remove_stale
from tailrace.store.load import load_projection, load_tail
from tailrace.store.save import write_changes
from tailrace.store.writer import Writer
from tailrace.tracing.spans import interruption

_OPEN_RUNS = """SELECT no, writer FROM run WHERE "end" IS NULL"""


def recover(writer: Writer) -> None:
    """Project what dead processes left in the journal and mark their runs INTERRUPTED.

    Any number of processes may do this at once; each run is ended by one of them.

    Raises:
        StoreError: the file cannot be written, or is damaged.
    """
    folder = live_folder(writer.path)
    with writer.lock:
        with translated(writer.path, "read"):
            runs = writer.cursor.execute(_OPEN_RUNS).fetchall()
        alive = {token for token in {token for _, token in runs} if is_alive(folder, token)}
        for no, token in runs:
            if token not in alive:
                with writer.transaction() as db:
                    _end(db, writer, no)
    remove_stale(folder)


def _end(db: sqlite3.Connection, writer: Writer, no: int) -> None:
    projection = load_projection(db, no)
    if projection is None or projection.run is None or projection.run.end is not None:
        return
    projection.apply(load_tail(db, no))
    projection.apply([interruption(projection)])
    write_changes(db, writer.shapes, no, projection.run, projection.drain())
    db.execute("DELETE FROM journal WHERE id BETWEEN ? AND ?", journal_range(no))
