"""Which traces are sealed together."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from tailrace.store.segments.catalogue import Segment, dead_traces, segments
from tailrace.store.segments.segment_block import SegmentBlock
from tailrace.store.segments.units import Unit, chunks, named_units, unsealed_units

SEGMENT_SPANS = 65_536
"""Spans of a segment, about; a trace is never parted."""
WORTHWHILE = 5_000
"""Unsealed spans below which a query reads them as they are."""
QUIET_NS = 5_000_000_000
"""How long no spans may have come for a trace from elsewhere to count as over."""


class Choice(msgspec.Struct):
    """What is to be sealed."""

    chunks: list[list[Unit]]
    """Each becomes a segment; in order of start."""
    replaced: list[int]
    """Segments whose traces are all in the only chunk."""


def choose(db: sqlite3.Connection, *, everything: bool) -> Choice:
    """Return what to seal now; the caller holds a read transaction.

    Small segments, and those more than half dead, are put together with what is new, the smaller
    ones first, so that each span is rewritten a few times at most.

    Args:
        db: a connection.
        everything: also when it is little, and traces that have just got spans.
    """
    quiet = time.time_ns() if everything else time.time_ns() - QUIET_NS
    over = [unit for unit in unsealed_units(db) if unit.is_over and unit.updated <= quiet]
    size = sum(unit.spans for unit in over)
    if not everything and size < WORTHWHILE:
        return Choice([], [])
    if size < SEGMENT_SPANS:
        together = [*_to_replace(db, size)] if size else [*_half_dead(db)]
        by_id = {unit.trace_id: unit for unit in over}
        for segment in together:
            by_id |= {unit.trace_id: unit for unit in _living(db, segment)}
        found = [*chunks(sorted(by_id.values(), key=_start), 2 * SEGMENT_SPANS)]
        return Choice(found, [segment.id for segment in together] if len(found) == 1 else [])
    over.sort(key=_start)
    found = [*chunks(over, SEGMENT_SPANS)]
    rest = sum(unit.spans for unit in found[-1])
    if rest < WORTHWHILE and not everything:
        found.pop()
    elif rest < min(WORTHWHILE, SEGMENT_SPANS // 8) and len(found) > 1:
        found[-2:] = [found[-2] + found[-1]]
    return Choice(found, [])


def _start(unit: Unit) -> tuple[int, str]:
    return unit.start, unit.trace_id


def _to_replace(db: sqlite3.Connection, size: int) -> list[Segment]:
    chosen = []
    for segment in sorted(segments(db), key=_living_spans):
        spans = segment.living_spans
        if spans > size or size + spans > SEGMENT_SPANS:
            break
        chosen.append(segment)
        size += spans
    return chosen


def _half_dead(db: sqlite3.Connection) -> list[Segment]:
    chosen = []
    size = 0
    for segment in sorted(segments(db), key=_living_spans):
        size += segment.living_spans
        if segment.dead * 2 <= segment.traces or size > SEGMENT_SPANS:
            continue
        chosen.append(segment)
    return chosen


def _living_spans(segment: Segment) -> int:
    return segment.living_spans


def _living(db: sqlite3.Connection, segment: Segment) -> list[Unit]:
    """Return the traces of a segment that are not gone from it."""
    dead = dead_traces(db, segment.id)
    heads = SegmentBlock(db, segment.id, segment.spans).heads
    ids = [heads.trace_id(place) for place in range(len(heads)) if place not in dead]
    return [
        unit
        for unit in named_units(db, ids)
        if any(one == segment.id and place not in dead for one, place in unit.places)
    ]
