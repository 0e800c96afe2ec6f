"""Files of spans: every shape that programs write, and what cannot be read."""

from __future__ import annotations

import base64
import gzip
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.model.span import Span
from tailrace.model.states import SpanKind, SpanStatus
from tailrace.tracing.otlp import (
    FileFormat,
    ReadReport,
    encode_export,
    files,
    guess_format,
    read_spans,
    unpacked,
)
from tailrace.tracing.otlp.write_proto import encode_proto

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"


def raw_span(**more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "a",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
    } | more


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def read(body: bytes, format_: FileFormat | None = None) -> tuple[list[Span], ReadReport]:
    report = ReadReport()
    file = unpacked(io.BytesIO(body))
    found = list(read_spans(file, format_ or guess_format(file), report))
    assert len(found) == report.spans
    return found, report


def lines(*bodies: Any) -> bytes:
    return b"\n".join(
        body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies
    )


def names(found: list[Span]) -> list[str]:
    return [span.name for span in found]


def test_a_broken_line_is_told_with_its_number_and_the_rest_is_read() -> None:
    found, report = read(lines(export(raw_span()), b"{nonsense", b"", export(raw_span(name="b"))))
    assert names(found) == ["a", "b"]
    assert [(problem.line, report.broken) for problem in report.problems] == [(2, 1)]


def test_a_broken_first_line_does_not_cost_the_others() -> None:
    found, report = read(lines(b'{"resourceSpans": [', export(raw_span()), export(raw_span())))
    assert len(found) == 2
    assert [problem.line for problem in report.problems] == [1]


def test_a_document_of_many_lines_is_one_export() -> None:
    body = json.dumps([export(raw_span()), export(raw_span(name="b"))], indent=2).encode()
    assert names(read(body)[0]) == ["a", "b"]


def test_a_broken_document_is_told_with_the_line_at_which_it_breaks() -> None:
    body = json.dumps(export(raw_span()), indent=2).encode().replace(b'"kind": 2', b'"kind": +')
    found, report = read(body)
    line = 1 + body[: body.index(b"+")].count(b"\n")
    assert not found
    assert [problem.line for problem in report.problems] == [line]


@pytest.mark.parametrize("body", [b"[1, 2]", b'{"spans": []}', b'"text"', b"7", b"\xff\xfe{"])
def test_what_is_no_export_is_refused_with_a_reason(body: bytes) -> None:
    found, report = read(body, FileFormat.JSON)
    assert not found
    assert report.problems


@pytest.mark.parametrize("body", [b"", b"\n\n", b"{}", b'{"resourceLogs": []}'])
def test_an_export_without_spans_is_no_fault(body: bytes) -> None:
    assert read(body) == ([], ReadReport())


def test_hostile_depth_is_refused_with_a_reason() -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(40):
        value = {"arrayValue": {"values": [value]}}
    nested = export(raw_span(attributes=[{"key": "k", "value": value}]))
    found, report = read(lines(deep, nested, export(raw_span())))
    assert names(found) == ["a"]
    assert "deep" in report.problems[0].reason
    assert any("nested" in reason for reason in report.refused)


def test_a_line_beyond_the_bound_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_EXPORT", 1_000)
    huge = export(raw_span(name="x" * 5_000))
    found, report = read(lines(export(raw_span()), huge, export(raw_span(name="b"))))
    assert names(found) == ["a", "b"]
    assert [problem.line for problem in report.problems] == [2]


def test_a_compressed_file_is_read_as_far_as_it_is_whole() -> None:
    body = gzip.compress(lines(*[export(raw_span(name=f"{n} {n**50}")) for n in range(200)]))
    assert len(read(body)[0]) == 200
    found, report = read(body[:-200])
    assert len(found) < 200
    assert "damaged" in report.problems[-1].reason


def test_both_spellings_enums_and_ids_are_read() -> None:
    snake = {
        "trace_id": base64.b64encode(bytes.fromhex(TRACE)).decode(),
        "span_id": base64.b64encode(bytes.fromhex(SPAN)).decode(),
        "parent_span_id": "AAAAAAAAAAA=",
        "name": "snake",
        "kind": "SPAN_KIND_CLIENT",
        "start_time_unix_nano": 1_544_712_660_000_000_000,
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "attributes": [{"key": "n", "value": {"int_value": 7}}],
        "unknown": {"x": [1]},
    }
    body = {"resource_spans": [{"scope_spans": [{"scope": {"name": "lib"}, "spans": [snake]}]}]}
    (span,), report = read(json.dumps(body).encode())
    assert not report.refused
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, SPAN, None)
    assert (span.kind, span.status, span.message) == (SpanKind.CLIENT, SpanStatus.ERROR, "no")
    assert (span.attributes, span.end_ns, span.scope.name) == ({"n": 7}, None, "lib")


@pytest.mark.parametrize(
    "wrong",
    [
        {"traceId": "0" * 32},
        {"traceId": None},
        {"spanId": "xyz"},
        {"spanId": ["a"]},
        {"parentSpanId": "12"},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": 2**64},
        {"kind": "SPAN_KIND_LOUD"},
        {"name": 7},
        {"attributes": {"k": "v"}},
        {"attributes": [{"key": "k", "value": {"intValue": "x"}}]},
        {"events": [1]},
        {"links": [{"traceId": TRACE}]},
        {"status": "ok"},
    ],
)
def test_a_span_that_cannot_be_read_is_counted_by_reason_and_the_rest_is_read(wrong: Any) -> None:
    found, report = read(lines(export(raw_span(**wrong), raw_span(name="b"))))
    assert names(found) == ["b"]
    assert sum(report.refused.values()) == 1


def test_an_integer_beyond_64_bits_is_its_digits() -> None:
    pairs = [{"key": "k", "value": {"intValue": str(2**64)}}]
    found, report = read(lines(export(raw_span(attributes=pairs))))
    assert (found[0].attributes, report.refused) == ({"k": str(2**64)}, {})


def test_protobuf_is_read_as_one_export_and_as_the_collector_writes_files(a_span: Span) -> None:
    body = encode_proto([a_span])
    assert read(body)[0] == [a_span]
    framed = len(body).to_bytes(4, "big") + body
    assert read(framed * 3)[0] == [a_span] * 3
    found, report = read(framed + framed[:-3])
    assert found == [a_span]
    assert [problem.line for problem in report.problems] == [2]


def test_protobuf_without_its_package_names_the_extra(
    a_span: Span, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = encode_proto([a_span])
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    with pytest.raises(SettingsError, match="opentelemetry-proto") as raised:
        read(body)
    assert raised.value.code == "TR196"
    assert "tailrace[otlp]" in str(raised.value.hint)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_file_is_a_crash(body: bytes) -> None:
    for format_ in (FileFormat.JSON, FileFormat.PROTO, None):
        report = ReadReport()
        file = unpacked(io.BytesIO(body))
        list(read_spans(file, format_ or guess_format(file), report))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(raw_span())), json_values, max_size=4), json_values)
@settings(deadline=None)
def test_no_export_is_a_crash(more: dict[str, Any], other: Any) -> None:
    read(lines(export(raw_span(**more)), {"resourceSpans": other}))


def test_many_reasons_do_not_fill_the_memory(a_span: Span) -> None:
    spans = [raw_span(kind=f"KIND {number}") for number in range(500)]
    report = read(lines(export(*spans)))[1]
    assert sum(report.refused.values()) == 500
    assert len(report.refused) < 100
    assert encode_export([a_span])


def any_values() -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(-(2**63), 2**64)
    real = st.floats(allow_nan=False, allow_infinity=False)
    plain = st.one_of(
        st.builds(lambda text: {"stringValue": text}, st.text(max_size=4)),
        st.builds(lambda value: {"intValue": value}, number | st.builds(str, number)),
        st.builds(lambda value: {"boolValue": value}, st.booleans()),
        st.builds(
            lambda value: {"doubleValue": value},
            real | st.integers(-9, 9) | st.sampled_from(["NaN", "-Infinity", "1.5", "x"]),
        ),
        st.sampled_from([{}, {"bytesValue": "AQI="}, {"bytesValue": "?"}, {"intValue": "1x"}]),
    )
    listed = st.builds(lambda some: {"arrayValue": {"values": some}}, st.lists(plain, max_size=2))
    return plain | listed


@settings(max_examples=150)
@given(
    st.dictionaries(st.text(max_size=3), any_values(), max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "parentSpanId": st.sampled_from(["", "0" * 16, SPAN, SPAN.upper(), "x"]),
            "kind": st.sampled_from([-1, 0, 3, 9, "SPAN_KIND_SERVER", None]),
            "status": st.sampled_from([{}, {"code": 2, "message": "m"}, {"code": "ok"}, None]),
            "endTimeUnixNano": st.sampled_from(["0", "", 7, "x", "1544712661000000000"]),
            "traceState": st.sampled_from(["", "a=b"]),
            "events": st.just([{"timeUnixNano": "1544712660000000001", "name": "e"}]),
            "links": st.just([{"traceId": TRACE, "spanId": SPAN}]),
            "droppedEventsCount": st.integers(-1, 3),
            "unknown": st.none(),
        },
    ),
)
def test_what_is_written_as_specified_is_read_like_anything_else(
    attributes: dict[str, Any], more: dict[str, Any]
) -> None:
    pairs = [{"key": key, "value": value} for key, value in attributes.items()]
    body = export(raw_span(attributes=pairs, **more), raw_span(name="b"))
    text = json.dumps(body).encode()
    group = body["resourceSpans"][0] | {"more": 1}
    tolerant = json.dumps({"resourceSpans": [group]}).encode()
    (quick, first), (slow, second) = read(text), read(tolerant)
    assert repr(quick) == repr(slow)
    assert first == second
