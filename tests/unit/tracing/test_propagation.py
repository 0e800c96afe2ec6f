"""W3C trace context in headers and environments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.ids import RunId, SpanId
from tailrace.tracing.propagation import (
    TraceContext,
    extract,
    from_environment,
    inject,
    parse_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"

contexts = st.builds(
    TraceContext,
    trace_id=st.integers(1, 2**128 - 1).map(lambda value: RunId(f"{value:032x}")),
    span_id=st.integers(1, 2**64 - 1).map(lambda value: SpanId(f"{value:016x}")),
    sampled=st.booleans(),
    state=st.sampled_from(["", "a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]),
)


@given(contexts)
def test_what_is_injected_is_extracted(context: TraceContext) -> None:
    headers: dict[str, str] = {}
    inject(headers, context)
    assert extract(headers) == context
    assert extract([(name.upper().encode(), value.encode()) for name, value in headers.items()])
    assert extract({name.title(): [value] for name, value in headers.items()}) == context


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
def test_any_text_is_a_context_or_none(text: str) -> None:
    found = parse_traceparent(text)
    assert found is None or parse_traceparent(found.traceparent) == found


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}x-{SPAN}-01",
    ],
)
def test_a_wrong_header_counts_as_none(wrong: str) -> None:
    assert parse_traceparent(wrong) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings")
    assert found is not None
    assert found.traceparent == PARENT


def test_two_parents_are_none_and_states_are_joined() -> None:
    assert extract([("traceparent", PARENT), ("traceparent", PARENT)]) is None
    found = extract([("traceparent", PARENT), ("tracestate", "a=1"), ("TraceState", "b=2")])
    assert found is not None
    assert found.state == "a=1,b=2"


def test_nothing_is_written_for_no_context() -> None:
    headers: dict[str, str] = {}
    inject(headers, None)
    assert headers == {}


def test_the_environment_carries_it_too() -> None:
    found = from_environment({"TRACEPARENT": PARENT, "TRACESTATE": "a=1"})
    assert found is not None
    assert (found.trace_id, found.span_id, found.state) == (TRACE, SPAN, "a=1")
    assert from_environment({}) is None
