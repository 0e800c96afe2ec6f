"""Following a store: spans as they end, of runs and from elsewhere."""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from operator import attrgetter
from pathlib import Path

from tailrace.model.ids import RunId
from tailrace.model.span import Span
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.follow_runs import Growth, LateSpans, RunFollower
from tailrace.store.foreign.bodies import spans_of
from tailrace.store.foreign.restore import to_span
from tailrace.store.foreign.traces import ForeignTraces
from tailrace.store.foreign_span import StoredSpan
from tailrace.store.tenants import seen

_CHANGED = """SELECT no, trace_id, root_service, batches, updated FROM foreign_trace
WHERE no > ?1 UNION SELECT no, trace_id, root_service, batches, updated FROM foreign_trace
WHERE segment = 0 AND updated >= ?2 ORDER BY no LIMIT ?3"""
_AT_ONCE = 500
"""Traces from elsewhere that one look reads."""
_REMEMBERED = 20_000
"""Traces from elsewhere whose spans are remembered as told."""


class SpanFollower:
    """Tells each span of a file once, when it has ended; of what is there, only since a time.

    Concurrency: never blocks a writer; serves one thread at a time. What is deleted meanwhile is
    simply not told.

    Args:
        path: the file.
        since_ns: what ended since then is told first, ns since the epoch; None: from now on.
        tenant: of an index: whose traces are the only ones; None: all.
        lazily: spans are made when they are asked for, and before the next look.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        since_ns: int | None = None,
        tenant: str | None = None,
        lazily: bool = False,
    ) -> None:
        self._lazily = lazily
        self._path = Path(path).absolute()
        self._tenant = tenant
        self._db = open_reader(self._path)
        self._runs = RunFollower(self._db, self._path, since_ns)
        self._foreign = _ForeignFollower(self._db, since_ns)
        self._version = -1
        self._is_behind = True

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @property
    def is_behind(self) -> bool:
        """Whether more was there than one look takes; the next look is due at once."""
        return self._is_behind

    def look(self) -> list[Growth]:
        """Return what has ended since the last look, by trace; the first look starts.

        Raises:
            StoreError: the file cannot be read.
        """
        dead = self._runs.dead()
        with translated(self._path, "read"):
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version and not dead and not self._is_behind:
                return []
            self._version = version
            self._db.execute("BEGIN")
            try:
                found = [*self._runs.look(dead), *self._foreign.look()]
                self._is_behind = self._foreign.is_behind
                if self._tenant is not None and found:
                    own = seen(self._db, self._tenant, [growth.trace_id for growth in found])
                    found = [growth for growth in found if growth.trace_id in own]
                for growth in () if self._lazily else found:
                    growth.ended = list(growth.ended)
            finally:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
        return found


class _ForeignFollower:
    def __init__(self, db: sqlite3.Connection, since_ns: int | None) -> None:
        self._db = db
        self._since = since_ns
        self._from = time.time_ns() if since_ns is None else since_ns
        """Of traces that were there before, what ended since then is told."""
        self._traces = ForeignTraces(db)
        self._first = self._newest = -1
        self._updated = 0
        self._told: OrderedDict[int, tuple[tuple[int, int], set[tuple[bytes, int, int]]]]
        self._told = OrderedDict()
        self.is_behind = False

    def look(self) -> Iterator[Growth]:
        """Yield what has come, and has ended, since the last look."""
        if self._first < 0:
            self._begin()
        limits = (self._newest, self._updated, _AT_ONCE)
        rows = self._db.execute(_CHANGED, limits).fetchall()
        self.is_behind = len(rows) == _AT_ONCE and any(row[0] > self._newest for row in rows)
        for no, trace_id, service, batches, updated in rows:
            self._newest = max(self._newest, no)
            if not self.is_behind:
                self._updated = max(self._updated, updated)
            stamp, told = self._told.pop(no, (None, set()))
            self._told[no] = (batches, updated), told
            if stamp != (batches, updated):
                yield from self._grown(no, trace_id, service, told)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _begin(self) -> None:
        query = "SELECT coalesce(max(no), 0), coalesce(max(updated), 0) FROM foreign_trace"
        self._first, self._updated = self._db.execute(query).fetchone()
        self._newest = self._first
        if self._since is not None:
            query = 'SELECT no, trace_id FROM foreign_trace WHERE "end" >= ?'
            first = self._db.execute(query, (self._since,)).fetchone()
            self._newest = self._first if first is None else first[0] - 1
        else:
            query = "SELECT no, batches, updated FROM foreign_trace WHERE segment = 0"
            for no, batches, updated in self._db.execute(query).fetchall():
                self._told[no] = (batches, updated), set()

    def _grown(
        self, no: int, trace_id: str, service: str, told: set[tuple[bytes, int, int]]
    ) -> Iterator[Growth]:
        ended: list[StoredSpan] = []
        for span in spans_of(self._db, no):
            key = span.span_id, span.kind, span.start
            if not span.end or key in told:
                continue
            told.add(key)
            if no > self._first or span.end >= self._from:
                ended.append(span)
        if ended:
            # In order of the ends, of equal ones the latest start first.
            ended.sort(key=attrgetter("start"), reverse=True)
            ended.sort(key=attrgetter("end"))
            late = LateSpans(ended, partial(self._made, RunId(trace_id)), _key)
            yield Growth(trace_id=RunId(trace_id), flow=service, ended=late)

    def _made(self, trace_id: RunId, span: StoredSpan) -> Span:
        resource, scope = self._traces.resource(span.resource), self._traces.scope(span.scope)
        return to_span(span, trace_id, resource, scope)


def _key(span: StoredSpan) -> tuple[str, int]:
    return span.span_id.hex(), span.start
