"""Whole traces that become a segment as they come in, without standing in batches before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from tailrace.store.foreign.convert import encodable
from tailrace.store.foreign.rows import each_once
from tailrace.store.foreign_span import StoredSpan
from tailrace.store.segments.loading import TraceLoader
from tailrace.store.segments.rows_block import RowsBlock, TraceRows
from tailrace.store.segments.seal import NewSegment
from tailrace.store.segments.units import Unit
from tailrace.store.writer import Writer

_KNOWN = """SELECT value FROM json_each(?)
WHERE value IN (SELECT trace_id FROM foreign_trace) OR value IN (SELECT run_id FROM run)"""
_start_of = attrgetter("start")


class DirectSegment:
    """A segment of traces that are not in the file yet.

    Args:
        db: reads the file, in a transaction.
        path: the file.
        traces: spans by trace id, none of them empty.
    """

    def __init__(
        self, db: sqlite3.Connection, path: Path, traces: Mapping[str, Sequence[StoredSpan]]
    ) -> None:
        rows = [_trace(trace_id, spans) for trace_id, spans in traces.items()]
        rows.sort(key=lambda trace: (trace.spans[0].start, trace.trace_id))
        block = RowsBlock(rows, TraceLoader(db, path).bodies(rows))
        self._ids = [trace.trace_id for trace in rows]
        self._segment = NewSegment(block, [_unit(trace_id, 1, 0) for trace_id in self._ids], ())

    def write(self, writer: Writer, numbers: Mapping[str, int], now: int) -> None:
        """Write the segment, inside the transaction that has written the rows of its traces.

        Args:
            writer: holds the transaction.
            numbers: those of the traces that are new; others are left out.
            now: when the rows were written.
        """
        if numbers:
            units = [_unit(trace_id, numbers.get(trace_id, 0), now) for trace_id in self._ids]
            self._segment.write(writer, units)


def known_ids(db: sqlite3.Connection, ids: Iterable[str]) -> frozenset[str]:
    """Return those of some trace ids that are in the file."""
    return frozenset(one for (one,) in db.execute(_KNOWN, (json.dumps([*ids]),)))


def _trace(trace_id: str, spans: Sequence[StoredSpan]) -> TraceRows:
    found, raw = encodable(sorted(each_once(spans), key=_start_of))
    return TraceRows(trace_id, found, raw=raw)


def _unit(trace_id: str, no: int, now: int) -> Unit:
    return Unit(
        run=0, foreign=no, trace_id=trace_id, start=0, spans=0, is_over=True, updated=now,
        batches=0, run_segment=0, run_place=0, foreign_segment=0, foreign_place=0,
    )  # fmt: skip
