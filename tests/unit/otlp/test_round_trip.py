"""What is written as OTLP is read back as it was."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from effort import times
from spans import traces
from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanType
from tailrace.tracing.otlp import FileFormat, ReadReport, encode_export, read_spans
from tailrace.tracing.otlp.sdk_spans import sdk_span
from tailrace.tracing.otlp.write_proto import encode_proto


def read(body: bytes, format_: FileFormat) -> list[Span]:
    report = ReadReport()
    found = list(read_spans(io.BufferedReader(io.BytesIO(body)), format_, report))
    assert not report.problems
    assert not report.refused
    return found


def by_id(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span.span_id)


@given(traces)
@settings(deadline=None, max_examples=times(25))
def test_json_gives_back_every_span_with_all_it_had(spans: list[Span]) -> None:
    assert by_id(read(encode_export(spans), FileFormat.JSON)) == by_id(spans)


@pytest.mark.no_cover
@given(traces)
@settings(deadline=None, max_examples=times(20))
def test_protobuf_gives_back_every_span_with_all_it_had(spans: list[Span]) -> None:
    assert by_id(read(encode_proto(spans), FileFormat.PROTO)) == by_id(spans)


@pytest.mark.no_cover
@given(traces)
@settings(deadline=None, max_examples=times(20))
def test_protobuf_and_json_say_the_same(spans: list[Span]) -> None:
    again = read(encode_proto(spans), FileFormat.PROTO)
    assert encode_export(again) == encode_export(read(encode_export(spans), FileFormat.JSON))


def test_numbers_that_json_lacks_are_written_by_name(a_span: Span) -> None:
    a_span.attributes = {"low": float("-inf"), "none": float("nan"), "big": 2**63 - 1}
    (found,) = read(encode_export([a_span]), FileFormat.JSON)
    assert repr(found.attributes) == repr(a_span.attributes)


def test_a_text_that_is_no_unicode_is_written_escaped(a_span: Span) -> None:
    a_span.name = "lone \ud800"
    (found,) = read(encode_export([a_span]), FileFormat.JSON)
    assert found.name == r"lone \ud800"


@pytest.mark.parametrize("parent", [None, SpanId("00000000000000b2")])
@pytest.mark.parametrize("kind", [SpanType.RUN, SpanType.NODE])
def test_whether_the_parent_is_in_another_program_is_told_as_the_sdk_tells_it(
    a_span: Span, kind: SpanType, parent: SpanId | None
) -> None:
    a_span.type, a_span.parent_id = kind, parent
    told = json.loads(encode_export([a_span]))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    sent = encode_spans([sdk_span(a_span, Resource({}))]).resource_spans[0].scope_spans[0].spans[0]
    assert told["flags"] == sent.flags
    assert bool(told["flags"] & 0x200) == (kind is SpanType.RUN and parent is not None)


def test_of_spans_from_elsewhere_nobody_knows_that(a_span: Span) -> None:
    assert b'"flags"' not in encode_export([a_span])


@pytest.mark.parametrize("write", [encode_export, encode_proto])
def test_spans_of_equal_resources_share_one_group(write: object, a_span: Span) -> None:
    assert callable(write)
    one = write([a_span])
    assert len(write([a_span] * 11)) - len(write([a_span])) < 10 * len(one)
