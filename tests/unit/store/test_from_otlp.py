"""Exports taken in directly are what their spans, converted one by one, are."""

from __future__ import annotations

import io
import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from effort import times
from tailrace.store.foreign.convert import Converter, Intern, Traces
from tailrace.store.foreign.from_otlp import ExportReader
from tailrace.store.foreign.intake import Intake, Limits
from tailrace.tracing.otlp import FileFormat, ReadReport, read_exports, read_spans, unpacked

LIMITS = Limits(attributes=3, text=2_000, elements=2, events=2, links=1)
TRACES = ("5b8efff798038103d269b633813fc60c", "5B8EFFF798038103D269B633813FC60C", "0" * 32, "ab",
          "W47/95gDgQPSabYzgTz2DA==", "1" * 32)  # fmt: skip
SPANS = ("eee19b7ec3c1b174", "EEE19B7EC3C1B174", "0" * 16, "zz", "7uGbfsPBsXQ=", "00000000000000aa",
         " ee19b7ec3c1b17 ")  # fmt: skip
TIMES = ("1544712660000000000", "1544712661000000000", "0", "", "0000000000000000005", "x",
         "8999999999999999999")  # fmt: skip

any_value: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"stringValue": "a"}, {"stringValue": ""}, {"stringValue": "b" * 2_001}, {"intValue": "7"},
        {"intValue": "-7"}, {"intValue": 7}, {"intValue": "9" * 19}, {"doubleValue": 1.5},
        {"doubleValue": "NaN"}, {"boolValue": True}, {"boolValue": False}, {}, None,
        {"bytesValue": "AAA="}, {"arrayValue": {"values": [{"intValue": "1"}, {"intValue": "2"}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        {"stringValue": "a", "intValue": "1"}, {"arrayValue": {}},
    ]
)  # fmt: skip
pairs = st.lists(
    st.builds(
        lambda key, value: {"key": key, "value": value},
        st.sampled_from(["a", "b", "c", "d", ""]),
        any_value,
    ),
    max_size=5,
)
events = st.builds(
    lambda time, some: {"timeUnixNano": time, "name": "e", "attributes": some},
    st.sampled_from(TIMES[:4]),
    pairs,
)
links = st.builds(
    lambda trace, span: {"traceId": trace, "spanId": span},
    st.sampled_from(TRACES),
    st.sampled_from(SPANS),
)
spans = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from((*TRACES, *TRACES[:1] * 6)),
        "spanId": st.sampled_from((*SPANS, *SPANS[:1] * 6)),
        "startTimeUnixNano": st.sampled_from((*TIMES, *TIMES[:1] * 6)),
        "endTimeUnixNano": st.sampled_from((*TIMES, *TIMES[1:2] * 6)),
        "name": st.sampled_from(["GET", ""]),
        "attributes": pairs,
    },
    optional={
        "parentSpanId": st.sampled_from(("", *SPANS)),
        "kind": st.integers(-1, 7),
        "status": st.sampled_from([{}, {"code": 2, "message": "no"}, {"code": 9}]),
        "events": st.lists(events, max_size=3),
        "links": st.lists(links, max_size=2),
        "traceState": st.just("a=b"),
        "droppedEventsCount": st.integers(0, 3),
        "odd": st.just(1),
    },
)
groups = st.builds(
    lambda resource, scope, some: {
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": some}],
    },
    pairs,
    st.sampled_from([{}, {"name": "lib", "version": "1"}, {"name": 3}]),
    st.lists(spans, max_size=4),
)
lines = st.lists(
    st.lists(groups, max_size=2).map(lambda some: json.dumps({"resourceSpans": some}))
    | st.sampled_from(["", "{", "[]", '{"resourceSpans": 3}']),
    max_size=4,
)


def converter() -> Converter:
    def number(body: str) -> int:
        return zlib.crc32(body.encode())

    return Converter(Intern(number, number), LIMITS)


@pytest.mark.no_cover
@given(lines)
@settings(
    max_examples=times(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_exports_become_what_their_spans_become(some: list[str]) -> None:
    body = "\n".join(some).encode()
    direct, report = _direct(body)
    slow, expected = ReadReport(), converter()
    file = unpacked(io.BytesIO(body))
    assert direct[0] == expected.convert(read_spans(file, FileFormat.JSON, slow))
    assert direct[1] == expected.tally
    assert report == slow


def _direct(
    body: bytes, form: FileFormat = FileFormat.JSON
) -> tuple[tuple[Traces, Intake], ReadReport]:
    report, made, into = ReadReport(), converter(), Traces()
    reader = ExportReader(made, report)
    file = unpacked(io.BytesIO(body))
    count = sum(reader.read(one, into) for one in read_exports(file, form, report))
    assert count == sum(map(len, into.values()))
    return (into, made.tally), report


proto_times = st.sampled_from(
    [1544712660000000000, 1544712661000000000, 0, 5, 9 * 10**18, 2**63, 2**64 - 1]
    + [1544712660000000000] * 5
)
proto_values = st.sampled_from(
    [
        AnyValue(string_value="a"), AnyValue(string_value=""), AnyValue(string_value="b" * 2_001),
        AnyValue(int_value=7), AnyValue(int_value=0), AnyValue(int_value=-(2**63)), AnyValue(),
        AnyValue(double_value=1.5), AnyValue(double_value=0.0), AnyValue(double_value=-math.inf),
        AnyValue(bool_value=True), AnyValue(bool_value=False), AnyValue(bytes_value=b"a"),
        AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(int_value=2)])),
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k")])),
    ]
)  # fmt: skip
proto_pairs = st.lists(
    st.builds(KeyValue, key=st.sampled_from(["a", "b", "c", "d", ""]), value=proto_values),
    max_size=5,
)
proto_spans = st.builds(
    Span,
    trace_id=st.sampled_from([bytes(16), b"\1" * 16, b"\2" * 16, b"ab"]),
    span_id=st.sampled_from([b"\3" * 8, b"\4" * 8, b"\5" * 8, bytes(8), b"a"]),
    parent_span_id=st.sampled_from([b"", bytes(8), b"\3" * 8, b"a", bytes(3)]),
    name=st.sampled_from(["GET", ""]),
    kind=st.sampled_from([0, 1, 5]),
    status=st.builds(Status, code=st.sampled_from([0, 1, 2]), message=st.sampled_from(["", "no"])),
    start_time_unix_nano=proto_times,
    end_time_unix_nano=proto_times,
    attributes=proto_pairs,
    events=st.lists(
        st.builds(
            Span.Event, time_unix_nano=proto_times, name=st.just("e"), attributes=proto_pairs
        ),
        max_size=3,
    ),
    links=st.lists(
        st.builds(Span.Link, trace_id=st.just(b"\1" * 16), span_id=st.just(b"\3" * 8)), max_size=2
    ),
    trace_state=st.sampled_from(["", "a=b"]),
    dropped_events_count=st.integers(0, 3),
)
proto_groups = st.builds(
    lambda resource, scope, some: ResourceSpans(
        resource=Resource(attributes=resource), scope_spans=[ScopeSpans(scope=scope, spans=some)]
    ),
    st.lists(
        st.builds(
            KeyValue, key=st.sampled_from("ab"), value=st.just(AnyValue(string_value="shop"))
        ),
        max_size=2,
    ),
    st.builds(InstrumentationScope, name=st.sampled_from(["", "lib"])),
    st.lists(proto_spans, max_size=4),
)


@pytest.mark.no_cover
@given(st.lists(st.lists(proto_groups, max_size=2), max_size=3))
@settings(max_examples=times(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_exports_in_protobuf_become_what_their_spans_become(
    some: list[list[ResourceSpans]],
) -> None:
    bodies = [ExportTraceServiceRequest(resource_spans=one).SerializeToString() for one in some]
    body = b"".join(len(one).to_bytes(4, "big") + one for one in bodies)
    direct, report = _direct(body, FileFormat.PROTO)
    slow, expected = ReadReport(), converter()
    file = unpacked(io.BytesIO(body))
    assert direct[0] == expected.convert(read_spans(file, FileFormat.PROTO, slow))
    assert direct[1] == expected.tally
    assert report == slow
