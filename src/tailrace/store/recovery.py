"""Ending the runs of processes that died, and giving their dead letters back."""

from __future__ import annotations

import sqlite3
import time
from functools import partial

from tailrace.store.fault import translated
from tailrace.store.keys import journal_range
from tailrace.store.liveness import CLAIMERS, OPEN_RUNS, is_alive, live_folder, remove_stale
from tailrace.store.load import load_projection, load_tail
from tailrace.store.save import write_changes
from tailrace.store.writer import Writer
from tailrace.tracing.spans import interruption


def recover(writer: Writer) -> None:
    """Project what dead processes left in the journal and mark their runs INTERRUPTED.

    What was under way fails as ``worker_lost``, and each run leaves a dead letter, or settles the
    one it redrove. Letters that were claimed for a redrive which never started are open again.
    Any number of processes may do this at once; each run is ended by one of them.

    Raises:
        StoreError: the file cannot be written, or is damaged.
    """
    folder = live_folder(writer.path)
    with writer.lock:
        with translated(writer.path, "read"):
            runs = writer.cursor.execute(OPEN_RUNS).fetchall()
        alive = {token for token in {token for _, token in runs} if is_alive(folder, token)}
        for no, token in runs:
            if token not in alive:
                with writer.transaction(lasting=True) as db:
                    _end(db, writer, no)
        with translated(writer.path, "read"):
            claimers = writer.cursor.execute(CLAIMERS).fetchall()
        if not all(is_alive(folder, token) for (token,) in claimers):
            _release(writer)
    remove_stale(folder)


def _end(db: sqlite3.Connection, writer: Writer, no: int) -> None:
    projection = load_projection(db, no)
    if projection is None or projection.run is None or projection.run.end is not None:
        return
    from tailrace.store.failures import Suppressed  # noqa: PLC0415 - processes seldom die
    from tailrace.store.fallout import Fallout  # noqa: PLC0415 - likewise

    fallout = Fallout(writer, no, Suppressed())
    tail = load_tail(db, no)
    projection.apply(tail)
    fallout.write(tail)
    if projection.run.end is None:
        fallout.lose(projection, end := [interruption(projection)])
        projection.apply(end)
    write_changes(db, writer.shapes, no, projection.run, projection.drain())
    db.execute("DELETE FROM journal WHERE id BETWEEN ? AND ?", journal_range(no))


def _release(writer: Writer) -> None:
    from tailrace.store.letter_changes import release_letters  # noqa: PLC0415 - as above

    alive = partial(is_alive, live_folder(writer.path))
    with writer.transaction(lasting=True) as db:
        release_letters(db, alive, time.time_ns())
