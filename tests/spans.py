"""Spans of any kind, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind, SpanStatus, SpanType

texts = st.text(max_size=20)
times = st.integers(0, 2**63 - 1)
trace_ids = st.integers(1, 2**128 - 1).map(lambda value: RunId(f"{value:032x}"))
span_ids = st.integers(1, 2**64 - 1).map(lambda value: SpanId(f"{value:016x}"))
scalars: st.SearchStrategy[Any] = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=12),
    st.none(),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=4)
events = st.builds(SpanEvent, time_ns=times, name=texts, attributes=attributes)
links = st.builds(
    SpanLink, trace_id=trace_ids, span_id=span_ids, attributes=attributes, trace_state=texts
)
scopes = st.builds(InstrumentationScope, name=texts, version=texts, attributes=attributes)
spans = st.builds(
    Span,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_id=st.none() | span_ids,
    name=texts,
    type=st.just(SpanType.FOREIGN),
    start_ns=times,
    end_ns=st.none() | st.integers(1, 2**63 - 1),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from(SpanStatus),
    message=texts,
    attributes=attributes,
    events=st.lists(events, max_size=2),
    links=st.lists(links, max_size=2),
    dropped_events=st.integers(0, 2**32 - 1),
    resource=attributes,
    scope=scopes,
    trace_state=texts,
)
traces = st.lists(spans, max_size=5, unique_by=lambda span: span.span_id)
