"""Exports taken in directly are what their spans, converted one by one, are."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    numbers: dict[str, int] = {}

    def number(body: str) -> int:
        return numbers.setdefault(body, len(numbers) + 1)

    return Converter(Intern(number, number), LIMITS)


@given(lines)
@settings(
    max_examples=times(60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_exports_become_what_their_spans_become(some: list[str]) -> None:
    body = "\n".join(some).encode()
    direct, report = _direct(body)
    slow, expected = ReadReport(), converter()
    file = unpacked(io.BytesIO(body))
    assert direct[0] == expected.convert(read_spans(file, FileFormat.JSON, slow))
    assert direct[1] == expected.tally
    assert report == slow


def _direct(body: bytes) -> tuple[tuple[Traces, Intake], ReadReport]:
    report, made, into = ReadReport(), converter(), Traces()
    reader = ExportReader(made, report)
    file = unpacked(io.BytesIO(body))
    count = sum(reader.read(one, into) for one in read_exports(file, FileFormat.JSON, report))
    assert count == sum(map(len, into.values()))
    return (into, made.tally), report
