"""Following one run: its spans as they open, change and end, and what is said in them."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tailrace.model.ids import SpanId, span_id
from tailrace.model.span import Span, SpanEvent
from tailrace.store.connection import open_reader
from tailrace.store.fault import translated
from tailrace.store.load import (
    SpanRows,
    load_events,
    load_projection,
    load_tail,
    run_of,
    select_runs,
)
from tailrace.tracing.spans import to_event, to_span
from tailrace.tracing.state import EventAdded, RunState, SpanState


class Said(msgspec.Struct, kw_only=True):
    """An event and the span it belongs to."""

    number: int
    """Of the run's events, from 0 on."""
    span_id: SpanId
    event: SpanEvent


class Step(msgspec.Struct, kw_only=True):
    """What has happened in a run since the last look."""

    spans: list[Span] = msgspec.field(default_factory=list)
    """Those that are new, have other attributes, or have ended, as they stand; without events."""
    said: list[Said] = msgspec.field(default_factory=list)
    """In the order in which it was said."""
    is_over: bool = False
    """Whether the run has ended, and all of it was told."""


class OneRunFollower:
    """Tells what happens in one run, be it there already or still to come.

    Concurrency: never blocks a writer; serves one thread at a time.

    Args:
        path: the file.
        run_id: the run, whole.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """

    def __init__(self, path: Path | str, run_id: str) -> None:
        self._path = Path(path).absolute()
        self._run_id = run_id
        self._db = open_reader(self._path)
        self._rows = SpanRows(self._db)
        self._version = -1
        self._newest = 0
        """Number of the newest span that stands in a row."""
        self._open: set[int] = set()
        """Numbers of spans in rows that have not ended."""
        self._told: dict[int, tuple[int | None, dict[str, Any]]] = {}
        """End and attributes of spans that are open, or have ended beyond the rows."""
        self._next_event = 0

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def look(self) -> Step:
        """Return what has happened since the last look.

        Raises:
            StoreError: the file cannot be read.
        """
        with translated(self._path, "read"):
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return Step()
            self._version = version
            self._db.execute("BEGIN")
            try:
                row = self._db.execute(
                    select_runs("WHERE r.run_id = ?"), (self._run_id,)
                ).fetchone()
                return Step() if row is None else self._step(row[0], run_of(row[2:]))
            finally:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    def _step(self, no: int, run: RunState) -> Step:
        waiting = [*self._rows.pick(no, self._open)]
        new = [*self._rows.select(no, f"AND id > {no << 28 | self._newest}")]
        in_rows = [*waiting, *new]
        self._newest = max((state.number for state in new), default=self._newest)
        self._open = {state.number for state in in_rows if state.end is None}
        ended = {state.number for state in in_rows if state.end is not None}
        events = [*load_events(self._db, no, first=self._next_event)]
        states = in_rows
        if run.end is None:
            states, late = self._with_tail(no, in_rows)
            events += [event for event in late if event.number >= self._next_event]
        self._next_event = max((one.number + 1 for one in events), default=self._next_event)
        spans = [to_span(state, run) for state in states if self._is_news(state)]
        for number in ended:
            self._told.pop(number, None)
        said = [
            Said(number=one.number, span_id=span_id(run.span_base, one.span), event=to_event(one))
            for one in events
        ]
        return Step(spans=spans, said=said, is_over=run.end is not None)

    def _is_news(self, state: SpanState) -> bool:
        before = self._told.get(state.number)
        if before is not None and before[0] == state.end and before[1] == state.attributes:
            return False
        self._told[state.number] = state.end, dict(state.attributes)
        return before is None or before[0] is None

    def _with_tail(
        self, no: int, in_rows: list[SpanState]
    ) -> tuple[list[SpanState], list[EventAdded]]:
        """Return spans as the journal has them beyond the rows, and the events it adds."""
        records = load_tail(self._db, no)
        is_open = [state for state in in_rows if state.end is None]
        projection = load_projection(self._db, no, is_open) if records else None
        if projection is None:
            return in_rows, []
        projection.apply(records)
        changes = projection.drain()
        return [*in_rows, *changes.opened], changes.events
