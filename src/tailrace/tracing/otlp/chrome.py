"""Spans as Chrome's trace events, which Perfetto and ``chrome://tracing`` open.

Events of one track must lie inside each other or apart, so spans that overlap in time without that
get tracks of their own.
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

import msgspec

from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus, SpanType
from tailrace.tracing.attributes import attribute, plain


def chrome_trace(traces: Sequence[Sequence[Span]]) -> bytes:
    """Return traces as one document of trace events; each service of a trace is a process.

    Times count in microseconds from the start of the earliest span, because a browser's numbers
    cannot hold nanoseconds since 1970.
    """
    start = min((span.start_ns for spans in traces for span in spans), default=0)
    events: list[dict[str, Any]] = []
    process = 0
    for spans in traces:
        end = max((span.end_ns or span.start_ns for span in spans), default=start)
        for service, members in _by_service(spans).items():
            process += 1
            trace_id = members[0].trace_id
            events += _names(process, f"{service or 'unknown'} {trace_id}")
            events += _events(members, process, start, end)
    document = {
        "displayTimeUnit": "ms",
        "traceEvents": events,
        "otherData": {"start_unix_nano": str(start), "producer": "tailrace"},
    }
    return msgspec.json.encode(document)


def _by_service(spans: Sequence[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(str(span.resource.get("service.name", "")), []).append(span)
    return found


def _names(process: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": name}}


def _events(spans: list[Span], process: int, start: int, end: int) -> Iterator[dict[str, Any]]:
    tracks = _Tracks(spans, end)
    for span, track in tracks.placed():
        begin = (span.start_ns - start) / 1000
        yield {
            "ph": "X",
            "pid": process,
            "tid": track,
            "name": span.name,
            "cat": span.kind.value if span.type is SpanType.FOREIGN else span.type.value,
            "ts": begin,
            "dur": (tracks.end_of(span) - span.start_ns) / 1000,
            "args": _args(span),
        }
        for event in span.events:
            yield {
                "ph": "i",
                "s": "t",
                "pid": process,
                "tid": track,
                "name": event.name,
                "ts": (event.time_ns - start) / 1000,
                "args": _plain(event.attributes),
            }
    for track in range(1, tracks.count + 1):
        name = "main" if track == 1 else f"concurrent {track - 1}"
        body = {"ph": "M", "pid": process, "tid": track, "args": {"name": name}}
        yield {**body, "name": "thread_name"}
        yield {**body, "name": "thread_sort_index", "args": {"sort_index": track}}


def _args(span: Span) -> dict[str, Any]:
    args: dict[str, Any] = {"span_id": span.span_id}
    if span.parent_id is not None:
        args["parent_id"] = span.parent_id
    if span.status is not SpanStatus.UNSET:
        args["status"] = span.status.value
    if span.message:
        args["message"] = span.message
    if span.end_ns is None:
        args["open"] = True
    return {**args, **_plain(span.attributes)}


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    cleaned: Mapping[str, Any] = plain(attributes)
    return {
        key: attribute(value) if isinstance(value, float | list) else value
        for key, value in cleaned.items()
    }


class _Tracks:
    """Tracks of one process, and which spans are open on each while time goes on."""

    def __init__(self, spans: list[Span], latest: int) -> None:
        self._latest = latest
        self._by_id = {span.span_id: span for span in spans}
        self._depths: dict[SpanId, int] = {}
        self._spans = sorted(spans, key=lambda span: (span.start_ns, self._depth(span)))
        self._stacks: list[list[Span]] = []
        self._track_of: dict[SpanId, int] = {}
        self._busy: list[tuple[int, int]] = []
        """(end of the outermost span, track)."""
        self._free: list[int] = []

    @property
    def count(self) -> int:
        """How many tracks there are; they count from 1."""
        return len(self._stacks)

    def end_of(self, span: Span) -> int:
        """Return when the span ends; one that is open ends with the trace."""
        end = self._latest if span.end_ns is None else span.end_ns
        return max(end, span.start_ns)

    def placed(self) -> Iterator[tuple[Span, int]]:
        """Yield spans with their tracks, in the order of their starts."""
        for span in self._spans:
            track = self._track(span)
            self._stacks[track].append(span)
            self._track_of[span.span_id] = track
            yield span, track + 1

    def _track(self, span: Span) -> int:
        """Return the parent's track if the span lies within the parent there, else a free one."""
        start = span.start_ns
        while self._busy and self._busy[0][0] <= start:
            heappush(self._free, heappop(self._busy)[1])
        above = None if span.parent_id is None else self._track_of.get(span.parent_id)
        if above is not None and self._lies_within(span, self._stacks[above]):
            return above
        if self._free:
            track = heappop(self._free)
            self._stacks[track].clear()
        else:
            track = len(self._stacks)
            self._stacks.append([])
        heappush(self._busy, (max(self.end_of(span), start + 1), track))
        return track

    def _lies_within(self, span: Span, stack: list[Span]) -> bool:
        while stack and stack[-1].span_id != span.parent_id:
            if self.end_of(stack[-1]) > span.start_ns:
                return False
            stack.pop()
        return bool(stack) and self.end_of(span) <= self.end_of(stack[-1])

    def _depth(self, span: Span) -> int:
        """Return how many ancestors a span has here; a cycle ends the count."""
        chain: list[SpanId] = []
        seen: set[SpanId] = set()
        present: Span | None = span
        while present is not None and present.span_id not in self._depths:
            if present.span_id in seen:
                break
            seen.add(present.span_id)
            chain.append(present.span_id)
            parent = present.parent_id
            present = None if parent is None else self._by_id.get(parent)
        base = 0 if present is None else self._depths.get(present.span_id, 0)
        for one in reversed(chain):
            base += 1
            self._depths[one] = base
        return self._depths[span.span_id]
