"""Traces in memory as a block: what is not sealed yet, and what is about to be."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, compress
from operator import add, attrgetter, ge, sub
from typing import Any

import msgspec

from tailrace.model.family import find_parents
from tailrace.model.states import SpanKind, SpanStatus
from tailrace.store.foreign.bodies import read_resource, service_of
from tailrace.store.foreign_span import StoredEvent, StoredLink, StoredSpan
from tailrace.store.segments.column import sorted_values
from tailrace.store.segments.facts import (
    OF_SCOPES,
    STORED_INTRINSICS,
    scope_attributes,
    scope_facts,
)
from tailrace.store.segments.grouping import Piece, collect, grouped_values, values_of
from tailrace.store.segments.shared import Shared
from tailrace.traceql.block import OfTraces, Owner, TraceHead, Values, of_heads
from tailrace.traceql.tree import IntrinsicName, Type

STATUSES = (SpanStatus.UNSET.value, SpanStatus.OK.value, SpanStatus.ERROR.value)
KINDS = (
    SpanKind.UNSPECIFIED.value,
    SpanKind.INTERNAL.value,
    SpanKind.SERVER.value,
    SpanKind.CLIENT.value,
    SpanKind.PRODUCER.value,
    SpanKind.CONSUMER.value,
)
"""By OTLP's numbers."""
_ERROR = STATUSES.index(SpanStatus.ERROR)
_N = IntrinsicName
_attributes_of = attrgetter("attributes")


class TraceRows(msgspec.Struct, frozen=True):
    """One trace; its spans are in order of start."""

    trace_id: str
    spans: list[StoredSpan]
    root: bytes = b""
    """Id of the span of the run; empty: it is no run, its root is the first without a parent."""
    raw: bytes = b""
    """Its spans from elsewhere as a batch; empty: there are none, or several batches of them."""


class Bodies(msgspec.Struct, frozen=True):
    """What the numbers ``resource`` and ``scope`` of spans stand for, as JSON."""

    resources: Mapping[int, str]
    scopes: Mapping[int, str]


class RowsBlock:
    """A block of traces in memory; each column is built when it is first asked for.

    Args:
        traces: at least one; each has at least one span.
        bodies: what their spans share.
        now_ns: until when open spans of live traces have lasted; None: until their trace ended.
    """

    def __init__(
        self, traces: Sequence[TraceRows], bodies: Bodies, *, now_ns: int | None = None
    ) -> None:
        self.traces = traces
        self._bodies = bodies
        self._now = now_ns
        self.spans = list(chain.from_iterable(trace.spans for trace in traces))
        self._columns: dict[tuple[Owner, str], Sequence[Values]] = {}

    @property
    def size(self) -> int:
        """How many spans."""
        return len(self.spans)

    @cached_property
    def firsts(self) -> Sequence[int]:
        """The first span of each trace."""
        return list(accumulate((len(trace.spans) for trace in self.traces[:-1]), initial=0))

    @cached_property
    def heads(self) -> Sequence[TraceHead]:
        """The traces."""
        return [
            self._head(trace, first) for trace, first in zip(self.traces, self.firsts, strict=True)
        ]

    def of_traces(self, name: IntrinsicName) -> OfTraces:
        """Return an intrinsic of the trace for each trace."""
        return of_heads(self.heads, name)

    def _head(self, trace: TraceRows, first: int) -> TraceHead:
        spans = trace.spans
        root: StoredSpan | None
        if trace.root:
            root = next((span for span in spans if span.span_id == trace.root), None)
        elif spans[0].parent_id:
            root = next((span for span in spans if not span.parent_id), None)
        else:
            root = spans[0]
        of = slice(first, first + len(spans))
        start = spans[0].start
        end = max(self._ends[of])
        return TraceHead(
            trace_id=trace.trace_id,
            start_ns=start,
            duration_ns=end - start,
            root_name="" if root is None else root.name,
            root_service="" if root is None else self._services[root.resource],
            spans=len(spans),
            errors=self._statuses.count(_ERROR, of.start, of.stop),
            is_run=bool(trace.root),
        )

    @cached_property
    def _ends(self) -> list[int]:
        return list(map(add, self.starts, self.durations))

    @cached_property
    def _services(self) -> Mapping[int, str]:
        return {
            number: service_of(read_resource(body))
            for number, body in self._bodies.resources.items()
        }

    @cached_property
    def _statuses(self) -> bytes:
        return bytes([span.status for span in self.spans])

    @cached_property
    def _family(self) -> tuple[array[int], list[int]]:
        """Return parents and orphans."""
        parents: array[int] = array("i")
        orphans: list[int] = []
        for trace, first in zip(self.traces, self.firsts, strict=True):
            spans = trace.spans
            found = _parents_of(spans, first)
            if found is None:
                span_ids = [span.span_id.hex() for span in spans]
                parent_ids = [span.parent_id.hex() for span in spans]
                kinds = [KINDS[span.kind] for span in spans]
                found, _ = find_parents(span_ids, parent_ids, kinds, first)
            parents.extend(found)
            if found.count(-1) > 1 or spans[0].parent_id:
                orphans += [
                    number
                    for number, span in enumerate(spans, first)
                    if span.parent_id and parents[number] < 0
                ]
        return parents, orphans

    @property
    def parents(self) -> array[int]:
        """For each span the number of its parent."""
        return self._family[0]

    @property
    def orphans(self) -> Sequence[int]:
        """Spans that name a parent but have none here."""
        return self._family[1]

    @cached_property
    def starts(self) -> array[int]:
        """For each span its start."""
        return array("q", [span.start for span in self.spans])

    @cached_property
    def durations(self) -> array[int]:
        """For each span its duration."""
        ends = [span.end for span in self.spans]
        found = array("q", map(sub, ends, self.starts))
        if min(found) < 0:
            found = array("q", [max(duration, 0) for duration in found])
        if 0 in ends:
            self._close(found)
        return found

    def _close(self, durations: array[int]) -> None:
        """Give open spans a duration."""
        for trace, first in zip(self.traces, self.firsts, strict=True):
            spans = trace.spans
            end = self._now or max(max(span.start, span.end) for span in spans)
            for number, span in enumerate(spans, first):
                if not span.end:
                    durations[number] = max(end - span.start, 0)

    @cached_property
    def by_duration(self) -> Sequence[int]:
        """All spans, the shortest first."""
        return sorted(range(self.size), key=self.durations.__getitem__)

    @cached_property
    def span_ids(self) -> Sequence[str]:
        """For each span its id."""
        return [span.span_id.hex() for span in self.spans]

    @cached_property
    def parent_ids(self) -> Sequence[str]:
        """For each span its parent's id as it came."""
        return [span.parent_id.hex() for span in self.spans]

    @cached_property
    def event_spans(self) -> Sequence[int]:
        """For each event its span."""
        return [number for number, span in enumerate(self.spans) for _ in span.events]

    @cached_property
    def link_spans(self) -> Sequence[int]:
        """For each link its span."""
        return [number for number, span in enumerate(self.spans) for _ in span.links]

    @cached_property
    def _events(self) -> list[StoredEvent]:
        return [event for span in self.spans for event in span.events]

    @cached_property
    def _links(self) -> list[StoredLink]:
        return [link for span in self.spans for link in span.links]

    @cached_property
    def _span_pieces(self) -> Mapping[str, list[Piece]]:
        return attribute_pieces(list(map(_attributes_of, self.spans)))

    @cached_property
    def _event_pieces(self) -> Mapping[str, list[Piece]]:
        return attribute_pieces(list(map(_attributes_of, self._events)))

    @cached_property
    def _link_pieces(self) -> Mapping[str, list[Piece]]:
        return attribute_pieces(list(map(_attributes_of, self._links)))

    @cached_property
    def resource_bodies(self) -> Values:
        """The resources, as texts of JSON, with the spans of each."""
        return self._grouped(self._bodies.resources, [span.resource for span in self.spans])

    @cached_property
    def scope_bodies(self) -> Values:
        """The instrumentation scopes, as texts of JSON, with the spans of each."""
        return self._grouped(self._bodies.scopes, [span.scope for span in self.spans])

    def _grouped(self, bodies: Mapping[int, str], numbers: Sequence[int]) -> Values:
        texts: dict[str, list[int]] = {}
        for number, rows in self._groups(numbers).items():
            known = texts.setdefault(bodies[number], rows)
            if known is not rows:
                known.extend(rows)
                known.sort()
        return grouped_values(Type.STRING, texts)

    def _groups(self, numbers: Sequence[int]) -> Mapping[int, list[int]]:
        """Return the spans of each number."""
        distinct = set(numbers)
        if len(distinct) == 1:
            return {distinct.pop(): self._rows}
        places: defaultdict[int, list[int]] = defaultdict(list)
        collect(places, numbers, self._rows)
        return places

    @cached_property
    def _rows(self) -> list[int]:
        """All rows: numbers that exist once need not be made for each column anew."""
        return list(range(self.size))

    @cached_property
    def _resources(self) -> Shared:
        return Shared(self.resource_bodies, read_resource)

    @cached_property
    def _scopes(self) -> Shared:
        return Shared(self.scope_bodies, scope_attributes)

    @cached_property
    def _scope_facts(self) -> Shared:
        return Shared(self.scope_bodies, scope_facts)

    def column(self, owner: Owner, name: str) -> Sequence[Values]:
        """Return the values of an attribute or a stored intrinsic by type."""
        key = owner, name
        known = self._columns.get(key)
        if known is None:
            known = self._columns[key] = self._built(owner, name)
        return known

    def _built(self, owner: Owner, name: str) -> Sequence[Values]:
        match owner:
            case Owner.SPAN:
                return sorted_values(self._span_pieces.get(name, ()))
            case Owner.EVENT:
                return sorted_values(self._event_pieces.get(name, ()))
            case Owner.LINK:
                return sorted_values(self._link_pieces.get(name, ()))
            case Owner.RESOURCE:
                return self._resources.column(name)
            case Owner.INSTRUMENTATION:
                return self._scopes.column(name)
            case Owner.INTRINSIC:
                return self._intrinsic(IntrinsicName(name))

    def _intrinsic(self, name: IntrinsicName) -> Sequence[Values]:
        if name in OF_SCOPES:
            return self._scope_facts.column(name.value)
        if name is _N.STATUS:
            return [self._named(Type.STATUS, STATUSES, self._statuses)]
        if name is _N.KIND:
            return [self._named(Type.KIND, KINDS, bytes([span.kind for span in self.spans]))]
        type_, items, value = self._facts(name)
        given = list(map(value, items))
        rows = self._rows if items is self.spans else range(len(items))
        if name is _N.STATUS_MESSAGE:  # most have none
            rows = list(compress(rows, given))
            given = list(filter(None, given))
        return [values_of(type_, [(rows, given)])] if given else []

    def _named(self, type_: Type, names: Sequence[str], codes: Sequence[int]) -> Values:
        groups = self._groups(codes)
        return grouped_values(type_, {names[code]: rows for code, rows in groups.items()})

    def _facts(self, name: IntrinsicName) -> tuple[Type, Sequence[Any], Callable[[Any], Any]]:
        """Return the type of an intrinsic, what has it, and how it is read off."""
        match name:
            case _N.NAME:
                return Type.STRING, self.spans, attrgetter("name")
            case _N.STATUS_MESSAGE:
                return Type.STRING, self.spans, attrgetter("message")
            case _N.EVENT_NAME:
                return Type.STRING, self._events, attrgetter("name")
            case _N.EVENT_TIME_SINCE_START:
                starts = self.starts
                since = [
                    event.time - starts[span]
                    for event, span in zip(self._events, self.event_spans, strict=True)
                ]
                return Type.DURATION, since, int
            case _N.LINK_TRACE_ID:
                return Type.STRING, self._links, lambda link: link.trace_id.hex()
            case _N.LINK_SPAN_ID:
                return Type.STRING, self._links, lambda link: link.span_id.hex()
            case _:
                return Type.STRING, (), str

    def shared(self, owner: Owner) -> Shared | None:
        """Return columns by body, of owners that have bodies."""
        if owner is Owner.RESOURCE:
            return self._resources
        return self._scopes if owner is Owner.INSTRUMENTATION else None

    def names(self, owner: Owner) -> Sequence[str]:
        """Return the names of all columns of an owner."""
        match owner:
            case Owner.SPAN:
                return sorted(self._span_pieces)
            case Owner.EVENT:
                return sorted(self._event_pieces)
            case Owner.LINK:
                return sorted(self._link_pieces)
            case Owner.RESOURCE:
                return self._resources.names()
            case Owner.INSTRUMENTATION:
                return self._scopes.names()
            case Owner.INTRINSIC:
                return [name for name in STORED_INTRINSICS if self.column(owner, name)]


def attribute_pieces(given: Sequence[dict[str, Any]]) -> Mapping[str, list[Piece]]:
    """Return the values of each name with their rows.

    Rows of the same names in the same order are turned into columns at once.
    """
    shapes: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    collect(shapes, map(tuple, given), range(len(given)))
    shapes.pop((), None)
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for names, rows in shapes.items():
        having = given if len(rows) == len(given) else map(given.__getitem__, rows)
        flat = list(chain.from_iterable(map(dict.values, having)))
        for place, name in enumerate(names):
            pieces[name].append((rows, flat[place :: len(names)]))
    return pieces


def _parents_of(spans: Sequence[StoredSpan], first: int) -> list[int] | None:
    """Return the parents of a trace whose ids differ and whose parents begin before; else None."""
    numbers = range(first, first + len(spans))
    places = dict(zip([span.span_id for span in spans], numbers, strict=True))
    if len(places) < len(spans):
        return None
    parents = [places.get(span.parent_id, -1) for span in spans]
    return None if any(map(ge, parents, numbers)) else parents
