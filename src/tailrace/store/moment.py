"""One run at one moment of the file: its rows, and what is not in rows yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator

from tailrace.model.ids import span_id
from tailrace.model.span import Checkpoint, Span, Trace
from tailrace.model.states import SpanStatus, SpanType
from tailrace.store.load import (
    SpanRows,
    load_checkpoints,
    load_events,
    load_lost,
    load_projection,
    load_tail,
)
from tailrace.store.outline import Outline
from tailrace.tracing.spans import interruption, to_event, to_span, to_summary
from tailrace.tracing.state import Changes, EventAdded, RunState, SpanState

_SMALL = 2_000
"""Spans up to which a trace is read whole, whatever the bound on siblings."""
_DECIDING = frozenset({SpanType.RUN, SpanType.CONTAINER, SpanType.BRANCH})
_TURNING = """AND (status <> 0
OR shape IN (SELECT id FROM shape WHERE type IN ('run', 'container', 'branch')))"""
_NOTHING = Changes([], [], [], [], [], [])


class Moment:
    """A run with the tail of its journal folded in.

    The caller holds a read transaction for as long as it is used. With ``dead`` the run is shown
    as the next writer will leave it: ended, INTERRUPTED.
    """

    def __init__(self, db: sqlite3.Connection, no: int, run: RunState, *, dead: bool) -> None:
        self.run = run
        self._db = db
        self._no = no
        self._newer: dict[int, SpanState] = {}
        self._changes = _NOTHING
        if run.end is None:
            self._fold_tail(dead=dead)

    def _fold_tail(self, *, dead: bool) -> None:
        projection = load_projection(self._db, self._no)
        if projection is None or projection.run is None:
            return
        self._newer = dict(projection.open)
        projection.apply(load_tail(self._db, self._no))
        if dead:
            projection.apply([interruption(projection)])
        self._changes = projection.drain()
        self.run = projection.run

    def trace(self, *, events: bool, siblings: int | None = None) -> Trace:
        """Return the run with its spans in the order in which they opened.

        ``siblings`` bounds how many children of one type are read of each parent.
        """
        if siblings is None or self.run.spans <= _SMALL:
            return self._filled(dict(self._spans()), events=events)
        chosen, folded = self._outline().choose(siblings)
        trace = self._filled(dict(self._chosen(chosen)), events=events)
        base = self.run.span_base
        trace.folded = {span_id(base, parent): left for parent, left in folded.items()}
        return trace

    def turning_points(self) -> Trace:
        """Return the run with its own span, containers, branches, and what failed, but no events.

        Spans that have succeeded are not even read, so time depends little on their number.
        """
        newer, run = self._newer, self.run
        spans = {
            row.number: to_span(newer.get(row.number, row), run)
            for row in SpanRows(self._db).select(self._no, _TURNING)
        }
        for span in (*newer.values(), *self._changes.opened):
            if span.shape.type in _DECIDING or span.status is SpanStatus.ERROR:
                spans[span.number] = to_span(span, run)
        return self._filled(spans, events=False)

    def _filled(self, spans: dict[int, Span], *, events: bool) -> Trace:
        spans = dict(sorted(spans.items()))
        for number, count in self._changes.dropped:
            if number in spans:
                spans[number].dropped_events += count
        for event in self.events(spans) if events else ():
            spans[event.span].events.append(to_event(event))
        if 1 in spans and spans[1].trace_state:
            for span in spans.values():
                span.trace_state = spans[1].trace_state
        return Trace(run=to_summary(self.run), spans=list(spans.values()))

    def _outline(self) -> Outline:
        outline = SpanRows(self._db).outline(self._no, self.run.spans)
        for span in (*self._newer.values(), *self._changes.opened):
            failed = span.status is SpanStatus.ERROR
            outline.add(span.number, span.parent, span.shape.type, failed=failed)
        return outline

    def _chosen(self, numbers: list[int]) -> Iterator[tuple[int, Span]]:
        newer = self._newer | {span.number: span for span in self._changes.opened}
        for number in numbers:
            if number in newer:
                yield number, to_span(newer[number], self.run)
        rows = SpanRows(self._db).pick(self._no, (n for n in numbers if n not in newer))
        for row in rows:
            yield row.number, to_span(row, self.run)

    def _spans(self) -> Iterator[tuple[int, Span]]:
        run = self.run
        for span in self.states():
            yield span.number, to_span(span, run)

    def states(self) -> Iterator[SpanState]:
        """Yield the spans as the projection keeps them, in the order in which they opened."""
        for row in SpanRows(self._db).select(self._no):
            yield self._newer.get(row.number, row)
        yield from self._changes.opened

    def events(self, spans: Container[int]) -> Iterator[EventAdded]:
        """Yield the events of these spans as the projection keeps them, in order."""
        yield from load_events(self._db, self._no, spans)
        yield from (event for event in self._changes.events if event.span in spans)

    def inputs(self) -> Checkpoint | None:
        """Return the run's own checkpoint: what it was started with; None where it has none."""
        stored = next(load_checkpoints(self._db, self._no, of_run=True), None)
        return stored or next((kept for kept in self._unwritten() if not kept.path), None)

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints in the order in which they were stored."""
        return [*load_checkpoints(self._db, self._no), *self._unwritten()]

    def lost_outputs(self) -> list[str]:
        """Return the paths of nodes whose output was stored and is there no more."""
        return load_lost(self._db, self._no)

    def _unwritten(self) -> Iterator[Checkpoint]:
        for kept in self._changes.checkpoints:
            yield Checkpoint(
                path=kept.path,
                codec=kept.codec,
                body=kept.body,
                time_ns=kept.time,
                extra=kept.extra,
            )
