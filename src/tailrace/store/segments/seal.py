"""Sealing: traces that are over become segments."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from tailrace.store.calm import without_collections
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.foreign.bodies import pack_bodies, sealed_batch
from tailrace.store.foreign_span import encode_spans
from tailrace.store.keys import consecutive, span_range
from tailrace.store.segments.choice import Choice, choose
from tailrace.store.segments.layout import ColumnRow, column_rows
from tailrace.store.segments.loading import TraceLoader
from tailrace.store.segments.rows_block import RowsBlock
from tailrace.store.segments.segment_block import SegmentDamaged
from tailrace.store.segments.units import Unit, named_units
from tailrace.store.sqlite import shared_store
from tailrace.store.writer import Writer

_SEGMENT = """INSERT INTO segment (traces, spans, start, "end", longest, errors)
VALUES (?, ?, ?, ?, ?, ?)"""
_COLUMN = """INSERT INTO segment_column (segment, owner, name, type, least, most, body)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
MOVE_RUN = """UPDATE run SET segment = ?, place = ?
WHERE no = ? AND segment = ? AND place = ? AND "end" IS NOT NULL"""
MOVE_FOREIGN = """UPDATE foreign_trace SET segment = ?, place = ?
WHERE no = ? AND segment = ? AND place = ? AND updated = ? AND batches = ?"""
_DEAD = "INSERT OR IGNORE INTO segment_dead (segment, trace) VALUES (?, ?)"
_BODY = "INSERT INTO segment_body (id, body) VALUES (?, ?)"
_BODY_SIZE = 24_000
"""Bytes of batches that are compressed together; so much is unpacked to read one of them."""
_BATCH = "INSERT INTO foreign_batch (id, body) VALUES (?, ?)"
_FOREIGN_LEAVES = """UPDATE foreign_trace SET segment = 0, place = 0, batches = batches + 1
WHERE segment = ?"""
_BATCHES = "DELETE FROM foreign_batch WHERE id BETWEEN ? AND ?"


class Sealed(msgspec.Struct):
    """What was sealed."""

    segments: int = 0
    traces: int = 0
    spans: int = 0


class _Moved(Exception):  # noqa: N818 - undoes a commit
    """Others have sealed, changed or deleted all of these traces."""


def seal(path: Path | str, *, everything: bool = False) -> Sealed:
    """Seal what is over, where that is worth while.

    Columns are built beside all writers; each segment is written in one commit, which takes only
    traces that are still as they were read. Any number of processes may do this at once.

    Args:
        path: the file.
        everything: also when it is little, and traces from elsewhere that have just got spans.

    Raises:
        StoreError: the file cannot be read or written; what was sealed before stays.
    """
    path = Path(path).absolute()
    done = Sealed()
    with closing(open_reader(path)) as db:
        with _moment(db, path):
            try:
                choice = choose(db, everything=everything)
            except SegmentDamaged:
                return done  # the next search mends it
        for chunk in choice.chunks:
            _seal_chunk(db, path, chunk, choice, done)
    return done


def _seal_chunk(
    db: sqlite3.Connection, path: Path, chunk: list[Unit], choice: Choice, done: Sealed
) -> None:
    with without_collections():
        with _moment(db, path):
            loader = TraceLoader(db, path)
            block = loader.block(chunk)
        if block is None:
            return
        by_id = {unit.trace_id: unit for unit in chunk}
        units = [by_id[trace.trace_id] for trace in block.traces]
        new = NewSegment(block, units, [] if loader.damaged else choice.replaced)
    try:
        shared_store(path).write(lambda writer: new.write(writer, units))
    except _Moved:
        return
    done.segments += 1
    done.traces += len(units)
    done.spans += block.size


@contextmanager
def _moment(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    with translated(path, "read"):
        db.execute("BEGIN")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


class NewSegment:
    """A segment that is ready to be written.

    Args:
        block: its traces.
        units: where those stand in the file, in the same order.
        replaced: segments all of whose traces are among these.
    """

    def __init__(self, block: RowsBlock, units: Sequence[Unit], replaced: Sequence[int]) -> None:
        self._replaced = replaced
        with ThreadPoolExecutor(1) as beside:
            bodies = [
                (first, beside.submit(pack_bodies, batches))
                for first, batches in _together(block, units)
            ]
            self._columns: list[ColumnRow] = list(column_rows(block))
        self._bodies = [(first, packed.result()) for first, packed in bodies]
        heads = block.heads
        self._row = (
            len(heads),
            block.size,
            heads[0].start_ns,
            heads[-1].start_ns,
            max(head.duration_ns for head in heads),
            sum(head.errors for head in heads),
        )

    def write(self, writer: Writer, units: Sequence[Unit]) -> None:
        """Write the segment, inside the caller's transaction.

        Args:
            writer: holds the transaction.
            units: where the traces stood in the file when they were read, in the same order.

        Raises:
            _Moved: none of its traces is as it was.
        """
        db = writer.db
        number = db.execute(_SEGMENT, self._row).lastrowid or 0
        kept = _move(db, number, units)
        gone = [place for place, unit in enumerate(units) if unit.trace_id not in kept]
        if len(gone) == len(units):
            raise _Moved
        db.executemany(
            _COLUMN,
            [(number, *column[:5], bytearray(column.body)) for column in self._columns],
        )
        db.executemany(_DEAD, [(number, place) for place in gone])
        db.executemany(
            _BODY, [(number << 28 | first, bytearray(body)) for first, body in self._bodies]
        )
        unsealed = [
            unit.foreign
            for unit in units
            if unit.foreign and not unit.foreign_segment and unit.trace_id in kept
        ]
        db.executemany(
            _BATCHES,
            [(first << 28, span_range(last)[1]) for first, last in consecutive(unsealed)],
        )
        db.executemany("DELETE FROM segment WHERE id = ?", [(old,) for old in self._replaced])
        left = [place for unit in units if unit.trace_id in kept for place in unit.places]
        db.executemany(_DEAD, [place for place in left if place[0] not in self._replaced])


def _move(db: sqlite3.Connection, number: int, units: Sequence[Unit]) -> frozenset[str]:
    """Give the traces their place, and return the ids of those that were as expected."""
    both = [unit.trace_id for unit in units if unit.run and unit.foreign]
    same = frozenset(named_units(db, both)) if both else frozenset()
    runs, foreign = [], []
    expected: set[str] = set()
    for place, unit in enumerate(units):
        if unit.run and unit.foreign and unit not in same:
            continue
        if not unit.run and not unit.foreign:
            continue
        expected.add(unit.trace_id)
        if unit.run:
            runs.append((number, place, unit.run, unit.run_segment, unit.run_place))
        if unit.foreign:
            stamp = unit.foreign_segment, unit.foreign_place, unit.updated, unit.batches
            foreign.append((number, place, unit.foreign, *stamp))
    moved = db.executemany(MOVE_RUN, runs).rowcount if runs else 0
    moved += db.executemany(MOVE_FOREIGN, foreign).rowcount if foreign else 0
    if moved == len(runs) + len(foreign):
        return frozenset(expected)
    there = named_units(db, sorted(expected))
    return frozenset(unit.trace_id for unit in there if (number in _segments_of(unit)))


def _segments_of(unit: Unit) -> set[int]:
    return {segment for segment, _ in unit.places}


def _together(block: RowsBlock, units: Sequence[Unit]) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield the batches of some traces by their places, and the first place."""
    batches: dict[int, bytes] = {}
    size = 0
    for place, (trace, unit) in enumerate(zip(block.traces, units, strict=True)):
        if not unit.foreign:
            continue
        batch = trace.raw or encode_spans([span for span in trace.spans if span.resource > 0])
        batches[place] = batch
        size += len(batch)
        if size > _BODY_SIZE:
            yield min(batches), batches
            batches, size = {}, 0
    if batches:
        yield min(batches), batches


def unseal(writer: Writer, segment: int) -> None:
    """Drop a segment, inside the caller's transaction; its traces are to be sealed again."""
    db = writer.db
    query = "SELECT no, place, batches FROM foreign_trace WHERE segment = ?"
    for no, place, batches in db.execute(query, (segment,)).fetchall():
        batch = sealed_batch(db, segment, place)
        if batch is not None:
            db.execute(_BATCH, (no << 28 | batches, bytearray(batch)))
    db.execute(_FOREIGN_LEAVES, (segment,))
    db.execute("UPDATE run SET segment = 0, place = 0 WHERE segment = ?", (segment,))
    db.execute("DELETE FROM segment WHERE id = ?", (segment,))
