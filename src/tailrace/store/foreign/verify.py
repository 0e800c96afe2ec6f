"""Whether traces from elsewhere, and the segments of all traces, are what their rows say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from tailrace.store.foreign.bodies import spans_of

_TRACES = "SELECT no, trace_id, spans FROM foreign_trace ORDER BY no"
_PLACES = """SELECT segment, place FROM run WHERE segment > 0
UNION SELECT segment, place FROM foreign_trace WHERE segment > 0"""
_NAMED = f"SELECT segment, count(*) FROM ({_PLACES}) GROUP BY segment"  # noqa: S608 - constant text
_BOTH = f"""SELECT count(*) FROM ({_PLACES}) AS p
JOIN segment_dead AS d ON d.segment = p.segment AND d.trace = p.place"""  # noqa: S608 - likewise
_SEGMENTS = """SELECT id, traces,
(SELECT count(*) FROM segment_dead AS d WHERE d.segment = s.id) FROM segment AS s ORDER BY id"""


def verify_traces(db: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with traces from elsewhere and with segments."""
    for no, trace_id, count in db.execute(_TRACES).fetchall():
        try:
            found = len(spans_of(db, no))
        except (ValueError, msgspec.MsgspecError) as error:
            yield f"trace {trace_id} cannot be read: {error}"
            continue
        if found != count:
            yield f"trace {trace_id} has {found} spans where its row says {count}"
    yield from _verify_segments(db)


def _verify_segments(db: sqlite3.Connection) -> Iterator[str]:
    named: dict[int, int] = dict(db.execute(_NAMED).fetchall())
    for segment, traces, dead in db.execute(_SEGMENTS).fetchall():
        alive = named.pop(segment, 0)
        if alive + dead != traces:
            yield (
                f"segment {segment} holds {traces} traces, but {alive} name it and {dead} are gone"
                " from it"
            )
    for segment, count in named.items():
        yield f"{count} traces name segment {segment}, which is gone"
    for (count,) in db.execute(_BOTH).fetchall():
        if count:
            yield f"{count} traces name a place of a segment from which they are gone"
