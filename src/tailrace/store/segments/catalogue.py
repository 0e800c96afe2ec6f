"""The segments of a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

SEGMENTS = """SELECT id, traces, spans, start, "end", longest, errors, dead FROM segment
ORDER BY "end" DESC, id DESC"""
DEAD = "SELECT trace FROM segment_dead WHERE segment = ?"


class Segment(msgspec.Struct, frozen=True):
    """A row of ``segment``; instants are ns since the epoch."""

    id: int
    traces: int
    spans: int
    earliest: int
    """Of the starts of its traces."""
    latest: int
    longest: int
    """Nanoseconds of its longest trace."""
    errors: int
    dead: int
    """Traces that are gone from it."""

    @property
    def living_spans(self) -> int:
        """About how many spans its living traces have."""
        return self.spans * (self.traces - self.dead) // max(self.traces, 1)


def segments(db: sqlite3.Connection) -> Iterator[Segment]:
    """Yield the segments, those with the newest traces first."""
    for row in db.execute(SEGMENTS).fetchall():
        yield Segment(*row)


def dead_traces(db: sqlite3.Connection, segment: int) -> frozenset[int]:
    """Return the numbers of the traces that are gone from a segment."""
    return frozenset(trace for (trace,) in db.execute(DEAD, (segment,)))
