"""Files for Perfetto and for Jaeger's page."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.tracing.otlp import chrome_trace, jaeger_trace

START = 1_700_000_000_000_000_000


def span(like: Span, number: int, start: int, end: int | None, parent: int = 0) -> Span:
    return replace(
        like,
        span_id=SpanId(f"{number:016x}"),
        parent_id=SpanId(f"{parent:016x}") if parent else None,
        name=f"s{number}",
        start_ns=START + start,
        end_ns=None if end is None else START + end,
        events=[],
    )


def chrome(*traces: list[Span]) -> list[dict[str, Any]]:
    document = json.loads(chrome_trace(traces))
    events: list[dict[str, Any]] = document["traceEvents"]
    return events


def complete(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in events if event["ph"] == "X"}


def overlaps(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return pairs of one track that neither lie apart nor inside each other."""
    tracks = defaultdict(list)
    for event in complete(events).values():
        tracks[event["pid"], event["tid"]].append(event)
    wrong = []
    for members in tracks.values():
        for one in members:
            for other in members:
                start, end = one["ts"], one["ts"] + one["dur"]
                if start < other["ts"] < end < other["ts"] + other["dur"]:
                    wrong.append((one["name"], other["name"]))
    return wrong


def test_numbers_that_json_lacks_are_named(a_span: Span) -> None:
    odd = replace(span(a_span, 1, 0, 9), attributes={"n": math.nan, "l": [math.inf, 1.0]})
    args = complete(chrome([odd]))["s1"]["args"]
    assert (args["n"], args["l"]) == ("NaN", '["Infinity",1.0]')


def test_children_lie_on_the_track_of_their_parent_and_concurrent_ones_beside(a_span: Span) -> None:
    events = chrome(
        [
            span(a_span, 1, 0, 100_000),
            span(a_span, 2, 1_000, 40_000, 1),
            span(a_span, 3, 2_000, 30_000, 1),
            span(a_span, 4, 3_000, 4_000, 3),
            span(a_span, 5, 50_000, 60_000, 1),
        ]
    )
    tracks = {name: event["tid"] for name, event in complete(events).items()}
    assert tracks == {"s1": 1, "s2": 1, "s3": 2, "s4": 2, "s5": 1}
    assert complete(events)["s2"] | {"args": {}} == {
        "ph": "X", "pid": 1, "tid": 1, "name": "s2", "cat": "internal", "ts": 1.0, "dur": 39.0,
        "args": {},
    }  # fmt: skip


times = st.tuples(st.integers(0, 50), st.none() | st.integers(0, 60), st.integers(0, 12))


@given(st.lists(times, max_size=12))
@settings(deadline=None)
def test_no_two_spans_of_a_track_cut_into_each_other(
    shapes: list[tuple[int, int | None, int]],
) -> None:
    like = Span(
        trace_id=RunId("1" * 32),
        span_id=SpanId("1" * 16),
        parent_id=None,
        name="",
        type=SpanType.FOREIGN,
        start_ns=0,
    )
    spans = [
        span(like, number, start * 1000, None if end is None else end * 1000, parent)
        for number, (start, end, parent) in enumerate(shapes, 1)
    ]
    events = chrome(spans)
    assert len(complete(events)) == len(spans)
    assert not overlaps(events)


def test_each_service_is_a_process_and_events_are_instants(a_span: Span) -> None:
    other = replace(span(a_span, 2, 5_000, 6_000, 1), resource={"service.name": "bank"})
    other.events.append(SpanEvent(time_ns=START + 5_500, name="retry", attributes={"n": 1}))
    events = chrome([span(a_span, 1, 0, 10_000), other])
    processes = [one["args"]["name"] for one in events if one["name"] == "process_name"]
    assert [name.split()[0] for name in processes] == ["shop", "bank"]
    (instant,) = [one for one in events if one["ph"] == "i"]
    assert (instant["ts"], instant["pid"], instant["args"]) == (5.5, 2, {"n": 1})


def test_an_open_span_ends_with_its_trace(a_span: Span) -> None:
    events = complete(chrome([span(a_span, 1, 0, None), span(a_span, 2, 0, 7_000, 1)]))
    assert events["s1"]["dur"] == 7.0
    assert events["s1"]["args"]["open"] is True


def test_jaeger_gets_references_tags_logs_and_processes(a_span: Span) -> None:
    a_span.parent_id = SpanId("00000000000000b2")
    a_span.kind, a_span.status, a_span.message = SpanKind.SERVER, SpanStatus.ERROR, "no"
    a_span.attributes = {"ok": True, "n": 3, "f": 1.5, "l": ["a"], "nan": float("nan")}
    a_span.events = [SpanEvent(time_ns=START, name="retry", attributes={})]
    a_span.links = [SpanLink(trace_id=a_span.trace_id, span_id=SpanId("00000000000000c3"))]
    (trace,) = json.loads(jaeger_trace([[a_span]]))["data"]
    (found,) = trace["spans"]
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in found["tags"]}
    assert trace["processes"][found["processID"]]["serviceName"] == "shop"
    assert (found["startTime"], found["duration"]) == (START // 1000, 1000)
    assert [one["refType"] for one in found["references"]] == ["CHILD_OF", "FOLLOWS_FROM"]
    assert tags["ok"] == ("bool", True)
    assert tags["n"] == ("int64", 3)
    assert tags["f"] == ("float64", 1.5)
    assert tags["l"] == ("string", '["a"]')
    assert tags["nan"] == ("string", "NaN")
    assert tags["error"] == ("bool", True)
    assert tags["span.kind"] == ("string", "server")
    assert found["logs"][0]["fields"][0] == {"key": "event", "type": "string", "value": "retry"}
