"""Spans of runs as they end: rows that are new, rows that were open, and the journals' tails."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from tailrace.model.ids import RunId, span_id
from tailrace.model.span import Span, SpanEvent
from tailrace.store.keys import NUMBER, span_range
from tailrace.store.liveness import is_alive, live_folder
from tailrace.store.load import SpanRows, load_projection, load_tail, run_of, select_runs
from tailrace.tracing.spans import interruption, to_event, to_span
from tailrace.tracing.state import EventAdded, RunState, SpanState

Row = TypeVar("Row")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_EVENTS = """SELECT id, span, time, name, attributes FROM event
WHERE id BETWEEN ? AND ? ORDER BY id"""


class Growth(msgspec.Struct, kw_only=True):
    """What has ended in one trace since the last look, in order of the ends."""

    trace_id: RunId
    flow: str
    """Of a trace from elsewhere the service of its root."""
    ended: Sequence[Span]


class LateSpans(Sequence[Span]):
    """Spans that are made when they are asked for: of a large trace few may be wanted.

    Args:
        rows: what they are made of.
        make: makes one.
        key: tells the id and the start of one without making it.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        make: Callable[[Row], Span],
        key: Callable[[Row], tuple[str, int]],
    ) -> None:
        self._rows = rows
        self._make = make
        self._key = key

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Span]: ...
    def __getitem__(self, index: int | slice) -> Span | Sequence[Span]:
        if isinstance(index, slice):
            return list(map(self._make, self._rows[index]))
        return self._make(self._rows[index])

    def pick(self, wanted: Container[tuple[str, int]]) -> list[Span]:
        """Return those with one of some ids and starts."""
        return [self._make(row) for row in self._rows if self._key(row) in wanted]


class _Live(msgspec.Struct):
    """A run that goes on, as far as it was told."""

    no: int
    writer: str = ""
    last_span: int = 0
    last_event: int = 0
    open: set[int] = msgspec.field(default_factory=set)
    """Numbers of spans whose rows have no end yet."""
    told: set[int] = msgspec.field(default_factory=set)
    """Numbers of spans that were told before they stood in rows as ended."""
    events: defaultdict[int, list[SpanEvent]] = msgspec.field(
        default_factory=lambda: defaultdict(list)
    )
    """Events of open spans that stand in rows."""


def _untold(no: int) -> _Live:
    """Return a run of which nothing was told yet; events are counted from 0, spans from 1."""
    return _Live(no, last_span=no << 28, last_event=(no << 28) - 1)


class RunFollower:
    """Follows all runs of a file; those that are over already are not read.

    Args:
        db: a connection that reads; the caller holds a transaction during ``look``.
        path: the file.
        since_ns: what ended since then is told, too; None: only what ends from now on.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, since_ns: int | None) -> None:
        self._db = db
        self._folder = live_folder(path)
        self._rows = SpanRows(db)
        self._since = since_ns
        self._live: dict[int, _Live] = {}
        self._newest = 0
        self._begun = False

    def dead(self) -> set[int]:
        """Return the runs whose processes have died; to be called before the transaction."""
        return {live.no for live in self._live.values() if not self._lives(live)}

    def _lives(self, live: _Live) -> bool:
        return not live.writer or is_alive(self._folder, live.writer)

    def look(self, dead: set[int]) -> Iterator[Growth]:
        """Yield what has ended since the last look.

        Args:
            dead: what ``dead`` has given before the transaction began.
        """
        if not self._begun:
            self._begin()
        query = "SELECT no FROM run WHERE no > ?"
        for (no,) in self._db.execute(query, (self._newest,)).fetchall():
            self._live[no] = _untold(no)
            self._newest = no
        for live in [*self._live.values()]:
            row = self._db.execute(select_runs("WHERE r.no = ?"), (live.no,)).fetchone()
            if row is None:  # deleted
                del self._live[live.no]
                continue
            live.writer, run = row[1], run_of(row[2:])
            ended = self._ended(live, run, is_dead=live.no in dead)
            if run.end is not None or live.no in dead:
                del self._live[live.no]
            if ended:
                yield Growth(trace_id=RunId(run.run_id), flow=run.flow, ended=ended)

    def _begin(self) -> None:
        """Take note of what is there: what goes on is followed, the rest only since a time."""
        self._begun = True
        self._newest = self._db.execute("SELECT coalesce(max(no), 0) FROM run").fetchone()[0]
        if self._since is not None:
            query = 'SELECT no FROM run WHERE "end" IS NULL OR "end" >= ?'
            for (no,) in self._db.execute(query, (self._since,)).fetchall():
                self._live[no] = _untold(no)
            return
        query = 'SELECT no, writer FROM run WHERE "end" IS NULL'
        for no, writer in self._db.execute(query).fetchall():
            if is_alive(self._folder, writer):
                self._live[no] = self._present(no, writer)

    def _present(self, no: int, writer: str) -> _Live:
        """Return a run that goes on, with all that has ended by now as told."""
        first, last = span_range(no)
        live = _untold(no)
        live.writer = writer
        query = "SELECT coalesce(max(id), ?) FROM span WHERE id BETWEEN ? AND ?"
        live.last_span = self._db.execute(query, (first, first, last)).fetchone()[0]
        states = [*self._rows.select(no, "AND duration IS NULL")]
        live.open = {state.number for state in states}
        self._keep_events(live, first - 1, live.open)
        live.told = {state.number for state in self._tail(live, states)[0] if state.end is not None}
        return live

    def _ended(self, live: _Live, run: RunState, *, is_dead: bool) -> LateSpans:
        before = live.last_event
        new = [*self._rows.select(live.no, f"AND id > {live.last_span}")]
        newest = max((state.number for state in new), default=0)
        waiting = [*self._rows.pick(live.no, live.open)]
        self._keep_events(live, before)
        states = [*waiting, *new]
        live.last_span = max(live.last_span, live.no << 28 | newest)
        live.open = {state.number for state in states if state.end is None}
        in_rows = {state.number for state in states if state.end is not None}
        late: list[EventAdded] = []
        if run.end is None:
            still = [state for state in states if state.end is None]
            opened, late = self._tail(live, still, is_dead=is_dead)
            states = [*(state for state in states if state not in still), *opened]
        news = sorted(self._news(live, states), key=lambda state: state.end or 0)
        events = {
            state.number: live.events.pop(state.number)
            for state in news
            if state.number in live.events
        }
        for event in late:
            events.setdefault(event.span, []).append(to_event(event))
        live.told = (live.told | {s.number for s in states if s.end is not None}) - in_rows

        def make(state: SpanState) -> Span:
            span = to_span(state, run)
            span.events = events.get(state.number, [])
            return span

        return LateSpans(
            news, make, lambda state: (span_id(run.span_base, state.number), state.start)
        )

    def _news(self, live: _Live, states: Iterable[SpanState]) -> Iterator[SpanState]:
        since = self._since or 0
        for state in sorted(states, key=lambda one: -one.number):  # children before their parents
            if state.end is not None:
                if state.number not in live.told and state.end >= since:
                    yield state
                else:
                    live.events.pop(state.number, None)

    def _tail(
        self, live: _Live, spans: list[SpanState], *, is_dead: bool = False
    ) -> tuple[list[SpanState], list[EventAdded]]:
        """Return open spans, and new ones, with what the journal has beyond the rows."""
        records = load_tail(self._db, live.no)
        if not records and not is_dead:
            return spans, []
        projection = load_projection(self._db, live.no, spans)
        if projection is None:
            return spans, []
        projection.apply(records)
        if is_dead:
            projection.apply([interruption(projection)])
        changes = projection.drain()
        return [*spans, *changes.opened], changes.events

    def _keep_events(self, live: _Live, after: int, wanted: set[int] | None = None) -> None:
        """Read the events that are new in rows."""
        last = span_range(live.no)[1]
        for key, number, time, name, attributes in self._db.execute(_EVENTS, (after + 1, last)):
            live.last_event = key
            if number in live.told or (wanted is not None and number not in wanted):
                continue
            event = EventAdded(key & NUMBER, number, time, name, _decode(attributes))
            live.events[number].append(to_event(event))
