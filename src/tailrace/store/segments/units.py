"""Which traces are not sealed, and where those stand that are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator

import msgspec

_COLUMNS = """coalesce(r.no, 0), coalesce(f.no, 0), coalesce(r.run_id, f.trace_id),
min(coalesce(r.start, f.start), coalesce(f.start, r.start)),
coalesce(r.spans, 0) + coalesce(f.spans, 0),
r.no IS NULL OR r."end" IS NOT NULL, coalesce(f.updated, 0), coalesce(f.batches, 0),
coalesce(r.segment, 0), coalesce(r.place, 0), coalesce(f.segment, 0), coalesce(f.place, 0)"""
RUNS = f"""SELECT {_COLUMNS} FROM run AS r
LEFT JOIN foreign_trace AS f ON f.trace_id = r.run_id WHERE r.segment = 0"""  # noqa: S608 - constant
FOREIGN = f"""SELECT {_COLUMNS} FROM foreign_trace AS f
LEFT JOIN run AS r ON r.run_id = f.trace_id
WHERE f.segment = 0 AND coalesce(r.segment, 1) > 0"""  # noqa: S608 - constant
NAMED_RUNS = f"""SELECT {_COLUMNS} FROM json_each(?) AS wanted
JOIN run AS r ON r.run_id = wanted.value
LEFT JOIN foreign_trace AS f ON f.trace_id = r.run_id"""  # noqa: S608 - constant
NAMED_FOREIGN = f"""SELECT {_COLUMNS} FROM json_each(?) AS wanted
JOIN foreign_trace AS f ON f.trace_id = wanted.value
LEFT JOIN run AS r ON r.run_id = f.trace_id WHERE r.no IS NULL"""  # noqa: S608 - constant

UNSEALED_RUNS = 'SELECT spans FROM run WHERE segment = 0 AND "end" IS NOT NULL'
UNSEALED_FOREIGN = "SELECT spans FROM foreign_trace WHERE segment = 0"


class Unit(msgspec.Struct, frozen=True):
    """One trace: a run, spans from elsewhere, or both under one id."""

    run: int
    """Number of the run, or 0."""
    foreign: int
    """Number of the foreign trace, or 0."""
    trace_id: str
    start: int
    spans: int
    """About so many."""
    is_over: bool
    """False: it is a run that goes on."""
    updated: int
    """When the last spans from elsewhere came, ns since the epoch."""
    batches: int
    run_segment: int
    run_place: int
    foreign_segment: int
    foreign_place: int

    @property
    def places(self) -> set[tuple[int, int]]:
        """Where it stands in segments: (segment, place)."""
        both = {
            (self.run_segment, self.run_place),
            (self.foreign_segment, self.foreign_place),
        }
        return {(segment, place) for segment, place in both if segment}

    @property
    def is_sealed(self) -> bool:
        """Whether all of it stands in one place of a segment."""
        run = self.run_segment, self.run_place
        foreign = self.foreign_segment, self.foreign_place
        if not self.run:
            return bool(self.foreign_segment)
        return bool(self.run_segment) and (not self.foreign or run == foreign)


def unsealed_units(db: sqlite3.Connection) -> list[Unit]:
    """Return the traces that are not sealed, newest first."""
    rows = [*db.execute(RUNS), *db.execute(FOREIGN)]
    return sorted(map(_unit, rows), key=_newest, reverse=True)


def named_units(db: sqlite3.Connection, trace_ids: Collection[str]) -> list[Unit]:
    """Return the traces with these ids, newest first."""
    wanted = json.dumps(sorted(trace_ids))
    rows = [*db.execute(NAMED_RUNS, (wanted,)), *db.execute(NAMED_FOREIGN, (wanted,))]
    return sorted(map(_unit, rows), key=_newest, reverse=True)


def chunks(units: Iterable[Unit], most: int) -> Iterator[list[Unit]]:
    """Yield the traces in lists of at most so many spans, or of one trace."""
    chunk: list[Unit] = []
    size = 0
    for unit in units:
        if chunk and size + unit.spans > most:
            yield chunk
            chunk, size = [], 0
        chunk.append(unit)
        size += unit.spans
    if chunk:
        yield chunk


def _unit(row: Iterable[object]) -> Unit:
    return Unit(*row)  # type: ignore[arg-type]


def _newest(unit: Unit) -> tuple[int, str]:
    return unit.start, unit.trace_id


def unsealed_spans(db: sqlite3.Connection, most: int) -> int:
    """Return how many spans of traces that are over are not sealed; counted up to a bound."""
    count = 0
    spans: int
    for query in (UNSEALED_RUNS, UNSEALED_FOREIGN):
        for (spans,) in db.execute(query):
            count += spans
            if count >= most:
                return count
    return count
