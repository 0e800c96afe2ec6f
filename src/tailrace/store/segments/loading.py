"""Traces as rows of a block: runs and spans from elsewhere alike."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from tailrace.model.ids import span_id
from tailrace.model.span import NO_SCOPE, InstrumentationScope, SpanLink
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.store.foreign.bodies import resource_body, scope_body, sealed_batches, spans_of
from tailrace.store.foreign_span import StoredEvent, StoredLink, StoredSpan, decode_spans
from tailrace.store.keys import STATUS, consecutive, span_range
from tailrace.store.liveness import is_alive, live_folder
from tailrace.store.load import SpanRows, load_events, run_of, select_runs
from tailrace.store.moment import Moment
from tailrace.store.segments.rows_block import KINDS, Bodies, RowsBlock, TraceRows
from tailrace.store.segments.units import Unit
from tailrace.tracing.links import LINKS, TRACESTATE, links_of, links_of_run
from tailrace.tracing.spans import WITH_PATH, kind_of, scope_of
from tailrace.tracing.state import EventAdded, RunState, SpanState

_INTERNAL = KINDS.index(SpanKind.INTERNAL)
_CODES = {status: code for code, status in enumerate(STATUS)}
_UNSET = SpanStatus.UNSET
_SCOPE = scope_body(InstrumentationScope(name="tailrace"), {})
_OWN_SCOPE = -1
_BATCHES = "SELECT trace, body FROM foreign_batch WHERE id BETWEEN ? AND ? ORDER BY id"
_start_of = attrgetter("start")


class TraceLoader:
    """Reads traces from a file; the caller holds a transaction for as long as it is used.

    Resources and scopes of runs have negative numbers, as they stand in no table.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._live = live_folder(path)
        self._rows = SpanRows(db)
        self._resources: dict[int, str] = {}
        self._scopes: dict[int, str] = {_OWN_SCOPE: _SCOPE}
        self._flows: dict[str, int] = {}
        self._libraries: dict[tuple[str, str], int] = {}
        self._neighbours: dict[tuple[int, int], bytes] = {}
        self._batches: defaultdict[int, list[bytes]] = defaultdict(list)
        self.damaged: list[str] = []
        """Traces that were left out because they cannot be read."""

    def block(self, units: Iterable[Unit], *, now_ns: int | None = None) -> RowsBlock | None:
        """Return the traces as a block, in order of start; None: nothing is left of them."""
        units = list(units)
        self._read_batches(units)
        loaded = []
        for unit in units:
            try:
                trace = self._trace(unit)
            except (ValueError, msgspec.MsgspecError):
                self.damaged.append(unit.trace_id)
                continue
            if trace.spans:
                loaded.append(trace)
        if not loaded:
            return None
        loaded.sort(key=lambda trace: (trace.spans[0].start, trace.trace_id))
        return RowsBlock(loaded, self.bodies(loaded), now_ns=now_ns)

    def _trace(self, unit: Unit) -> TraceRows:
        """Return the spans of a trace in order of start."""
        raw, spans = self._foreign(unit) if unit.foreign else (b"", [])
        if not unit.run:
            return TraceRows(unit.trace_id, spans, raw=raw)
        return self._run(unit, spans, raw)

    def bodies(self, traces: Sequence[TraceRows]) -> Bodies:
        """Return what the spans of traces share."""
        spans = [span for trace in traces for span in trace.spans]
        self._read("resource", self._resources, {span.resource for span in spans})
        self._read("scope", self._scopes, {span.scope for span in spans})
        return Bodies(self._resources, self._scopes)

    def _read(self, table: str, known: dict[int, str], numbers: set[int]) -> None:
        query = f"SELECT body FROM {table} WHERE id = ?"  # noqa: S608 - one of two names
        for number in numbers - known.keys():
            row = self._db.execute(query, (number,)).fetchone()
            if row is None:
                raise ValueError(f"there is no {table} {number}")
            known[number] = row[0]

    def _foreign(self, unit: Unit) -> tuple[bytes, list[StoredSpan]]:
        """Return spans from elsewhere, and the batch that they are where it is only one."""
        if unit.foreign_segment:
            raw = self._sealed(unit.foreign_segment, unit.foreign_place)
        else:
            batches = self._batches.pop(unit.foreign, ())
            if len(batches) != 1:
                return b"", spans_of(self._db, unit.foreign)
            raw = batches[0]
        spans = decode_spans(raw)
        spans.sort(key=_start_of)
        return raw, spans

    def _read_batches(self, units: Iterable[Unit]) -> None:
        """Read what came of traces, those whose numbers follow each other at once."""
        self._batches.clear()
        unsealed = [unit.foreign for unit in units if unit.foreign and not unit.foreign_segment]
        for first, last in consecutive(unsealed):
            for no, body in self._db.execute(_BATCHES, (first << 28, span_range(last)[1])):
                self._batches[no].append(body)

    def _sealed(self, segment: int, place: int) -> bytes:
        """Return the batch of a sealed trace; neighbours are unpacked once."""
        if (segment, place) not in self._neighbours:
            some = sealed_batches(self._db, segment, place)
            self._neighbours = {(segment, number): batch for number, batch in some.items()}
        batch = self._neighbours.get((segment, place))
        if batch is None:
            raise ValueError(f"segment {segment} has no trace {place}")
        return batch

    def _run(self, unit: Unit, foreign: list[StoredSpan], raw: bytes) -> TraceRows:
        no = unit.run
        row = self._db.execute(select_runs("WHERE r.no = ?"), (no,)).fetchone()
        if row is None:
            return TraceRows(unit.trace_id, foreign, raw=raw)
        run = run_of(row[2:])
        states: Iterable[SpanState]
        events: Iterable[EventAdded]
        if run.end is None:
            dead = not is_alive(self._live, row[1])
            moment = Moment(self._db, no, run, dead=dead)
            run, states = moment.run, moment.states()
            events = moment.events(_EVERY) if run.events else ()
        else:
            states = self._rows.select(no)
            events = load_events(self._db, no, _EVERY) if run.events else ()
        known = frozenset(span.span_id.hex() for span in foreign) if run.parent_span_id else ()
        root = bytes.fromhex(span_id(run.span_base, 1))
        spans = [*self._stored(run, states, events, is_inside=run.parent_span_id in known)]
        spans += foreign
        spans.sort(key=_start_of)
        return TraceRows(run.run_id, spans, root, raw)

    def _stored(
        self,
        run: RunState,
        states: Iterable[SpanState],
        events: Iterable[EventAdded],
        *,
        is_inside: bool,
    ) -> Iterator[StoredSpan]:
        """Yield the spans of a run in the form of those from elsewhere.

        Args:
            run: the run.
            states: its spans.
            events: their events.
            is_inside: whether the parent of the run's own span is in the trace.
        """
        by_span: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in events:
            by_span[event.span].append(StoredEvent(event.time, event.name, event.attributes))
        resource = self._resource(run.flow)
        outside = bytes.fromhex(run.parent_span_id) if is_inside else b""
        base = run.span_base
        for state in states:
            number, shape = state.number, state.shape
            attributes = dict(shape.attributes)
            if shape.type in WITH_PATH:
                attributes["tailrace.node.path"] = state.path or state.name
            if state.attributes:
                attributes.update(state.attributes)
            kind, scope = _INTERNAL, _OWN_SCOPE
            if shape.type is SpanType.USER:
                kind, scope = KINDS.index(kind_of(attributes)), self._scope(attributes)
            links: tuple[StoredLink, ...] = ()
            if shape.type is SpanType.RUN:
                links = _stored(links_of_run(attributes))
                attributes.pop(TRACESTATE, None)
            if LINKS in attributes:
                links += _stored(links_of(attributes))
            yield StoredSpan(
                bytes.fromhex(span_id(base, number)),
                bytes.fromhex(span_id(base, state.parent)) if state.parent else outside,
                shape.prefix + state.name,
                kind,
                0 if state.status is _UNSET else _CODES[state.status],
                state.start,
                state.end or 0,
                resource,
                scope,
                attributes,
                state.message,
                tuple(by_span.get(number, ())),
                links,
            )

    def _scope(self, attributes: dict[str, Any]) -> int:
        scope = scope_of(attributes)
        if scope == NO_SCOPE:
            return _OWN_SCOPE
        known = scope.name, scope.version
        number = self._libraries.get(known)
        if number is None:
            number = self._libraries[known] = _OWN_SCOPE - 1 - len(self._libraries)
            self._scopes[number] = scope_body(scope, {})
        return number

    def _resource(self, flow: str) -> int:
        number = self._flows.get(flow)
        if number is None:
            number = self._flows[flow] = -1 - len(self._flows)
            self._resources[number] = resource_body({"service.name": flow})
        return number


class _Every:
    """Holds any number."""

    def __contains__(self, number: object) -> bool:
        return True


_EVERY = _Every()


def _stored(links: Iterable[SpanLink]) -> tuple[StoredLink, ...]:
    return tuple(
        StoredLink(
            bytes.fromhex(link.trace_id),
            bytes.fromhex(link.span_id),
            link.attributes,
            link.trace_state,
        )
        for link in links
    )
