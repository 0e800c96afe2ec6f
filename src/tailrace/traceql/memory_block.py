"""Spans of a list as a block."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from tailrace.model.family import find_parents
from tailrace.model.span import Span, SpanEvent, SpanLink
from tailrace.model.states import SpanStatus, SpanType
from tailrace.traceql.block import Block, OfTraces, Owner, TraceHead, Values, of_heads
from tailrace.traceql.column_builder import ColumnBuilder
from tailrace.traceql.tree import IntrinsicName, Type

_N = IntrinsicName
_OF_SPAN: dict[IntrinsicName, tuple[Type, Callable[[Span], str]]] = {
    _N.NAME: (Type.STRING, lambda span: span.name),
    _N.STATUS: (Type.STATUS, lambda span: span.status.value),
    _N.STATUS_MESSAGE: (Type.STRING, lambda span: span.message),
    _N.KIND: (Type.KIND, lambda span: span.kind.value),
    _N.INSTRUMENTATION_NAME: (Type.STRING, lambda span: span.scope.name),
    _N.INSTRUMENTATION_VERSION: (Type.STRING, lambda span: span.scope.version),
}
_OF_EVENT: dict[IntrinsicName, tuple[Type, Callable[[Span, SpanEvent], str | int]]] = {
    _N.EVENT_NAME: (Type.STRING, lambda _, event: event.name),
    _N.EVENT_TIME_SINCE_START: (Type.DURATION, lambda span, event: event.time_ns - span.start_ns),
}
_OF_LINK: dict[IntrinsicName, tuple[Type, Callable[[SpanLink], str]]] = {
    _N.LINK_TRACE_ID: (Type.STRING, lambda link: link.trace_id),
    _N.LINK_SPAN_ID: (Type.STRING, lambda link: link.span_id),
}


def memory_block(spans: Iterable[Span], *, now_ns: int | None = None) -> Block:
    """Return spans as a block; traces in the order of their first span in the list.

    Args:
        spans: of any traces, in any order.
        now_ns: when open spans are taken to end; None: now.
    """
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    for some in traces.values():
        some.sort(key=lambda span: span.start_ns)
    return _MemoryBlock(list(traces.values()), time.time_ns() if now_ns is None else now_ns)


class _MemoryBlock:
    def __init__(self, traces: list[list[Span]], now_ns: int) -> None:
        self._traces = traces
        self.spans = [span for trace in traces for span in trace]
        self._now = now_ns
        self._columns: dict[tuple[Owner, str], Sequence[Values]] = {}

    @property
    def size(self) -> int:
        return len(self.spans)

    @cached_property
    def firsts(self) -> Sequence[int]:
        ends = list(accumulate(len(trace) for trace in self._traces))
        return [0, *ends[:-1]] if ends else []

    @cached_property
    def heads(self) -> Sequence[TraceHead]:
        return [self._head(trace) for trace in self._traces]

    def of_traces(self, name: IntrinsicName) -> OfTraces:
        return of_heads(self.heads, name)

    def _head(self, trace: list[Span]) -> TraceHead:
        root = next((span for span in trace if not span.parent_id), None)
        start = min(span.start_ns for span in trace)
        return TraceHead(
            trace_id=trace[0].trace_id,
            start_ns=start,
            duration_ns=max(max(self._end(span) for span in trace) - start, 0),
            root_name=root.name if root else "",
            root_service=str(root.resource.get("service.name", "")) if root else "",
            spans=len(trace),
            errors=sum(span.status is SpanStatus.ERROR for span in trace),
            is_run=any(span.type is SpanType.RUN for span in trace),
        )

    def _end(self, span: Span) -> int:
        return self._now if span.end_ns is None else span.end_ns

    @cached_property
    def _family(self) -> tuple[list[int], list[int]]:
        parents: list[int] = []
        orphans: list[int] = []
        for first, trace in zip(self.firsts, self._traces, strict=True):
            some, lost = find_parents(
                [span.span_id for span in trace],
                [span.parent_id or "" for span in trace],
                [span.kind for span in trace],
                first,
            )
            parents += some
            orphans += lost
        return parents, orphans

    @property
    def parents(self) -> Sequence[int]:
        return self._family[0]

    @property
    def orphans(self) -> Sequence[int]:
        return self._family[1]

    @cached_property
    def starts(self) -> Sequence[int]:
        return [span.start_ns for span in self.spans]

    @cached_property
    def durations(self) -> Sequence[int]:
        return [max(self._end(span) - span.start_ns, 0) for span in self.spans]

    @cached_property
    def by_duration(self) -> Sequence[int]:
        return sorted(range(self.size), key=self.durations.__getitem__)

    @cached_property
    def span_ids(self) -> Sequence[str]:
        return [span.span_id for span in self.spans]

    @cached_property
    def parent_ids(self) -> Sequence[str]:
        return [span.parent_id or "" for span in self.spans]

    @cached_property
    def event_spans(self) -> Sequence[int]:
        return [number for number, span in enumerate(self.spans) for _ in span.events]

    @cached_property
    def link_spans(self) -> Sequence[int]:
        return [number for number, span in enumerate(self.spans) for _ in span.links]

    def column(self, owner: Owner, name: str) -> Sequence[Values]:
        known = self._columns.get((owner, name))
        if known is None:
            builder = ColumnBuilder()
            if owner is Owner.INTRINSIC:
                for row, (kind, value) in enumerate(self._intrinsic(IntrinsicName(name))):
                    builder.add_typed(row, kind, value)
            else:
                for row, attributes in enumerate(self._attributes(owner)):
                    if name in attributes:
                        builder.add(row, attributes[name])
            known = self._columns[owner, name] = builder.finish()
        return known

    def shared(self, owner: Owner) -> None:  # noqa: ARG002 - as the protocol has it
        return None

    def names(self, owner: Owner) -> Sequence[str]:
        if owner is Owner.INTRINSIC:
            return [*_OF_SPAN, *_OF_EVENT, *_OF_LINK]
        found = {name: None for attributes in self._attributes(owner) for name in attributes}
        return [name for name in found if self.column(owner, name)]

    def _attributes(self, owner: Owner) -> Iterator[Mapping[str, Any]]:
        for span in self.spans:
            match owner:
                case Owner.SPAN:
                    yield span.attributes
                case Owner.RESOURCE:
                    yield span.resource
                case Owner.INSTRUMENTATION:
                    yield span.scope.attributes
                case Owner.EVENT:
                    for event in span.events:
                        yield event.attributes
                case _:
                    for link in span.links:
                        yield link.attributes

    def _intrinsic(self, name: IntrinsicName) -> Iterator[tuple[Type, str | int]]:
        of_span = _OF_SPAN.get(name)
        if of_span is not None:
            kind, read = of_span
            return ((kind, read(span)) for span in self.spans)
        if name in _OF_EVENT:
            kind, read_event = _OF_EVENT[name]
            return ((kind, read_event(span, one)) for span in self.spans for one in span.events)
        kind, read_link = _OF_LINK[name]
        return ((kind, read_link(one)) for span in self.spans for one in span.links)
