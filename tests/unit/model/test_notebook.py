"""What notebooks show is whole HTML in which nothing of a user's data acts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from spans import traces
from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import (
    FoundSet,
    FoundSpan,
    FoundTrace,
    MetricSeries,
    MetricsResult,
    SearchResult,
)
from tailrace.model.span import RunSummary, Span, Trace
from tailrace.model.states import RunStatus, SpanStatus

HOSTILE = '</td><script>alert("x")</script>\x1b[2J\u202e'


class Tags(HTMLParser):
    """Checks that tags close in order, and collects their names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        self.seen.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - likewise
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(html: str) -> set[str]:
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def trace_of(spans: list[Span]) -> Trace:
    run = RunSummary(
        run_id=RunId("a" * 32),
        flow=HOSTILE,
        status=RunStatus.FAILED,
        start_ns=1,
        end_ns=5_000,
        spans=len(spans),
        reason=HOSTILE,
    )
    return Trace(run=run, spans=spans)


@pytest.mark.no_cover
@settings(max_examples=times(30), deadline=None)
@given(traces)
def test_a_trace_of_anything_is_well_formed(spans: list[Span]) -> None:
    html = trace_of(spans)._repr_html_()
    assert "script" not in tags_of(html)
    assert "\x1b" not in html
    assert "\u202e" not in html


@pytest.mark.no_cover
def test_a_long_value_is_cut_and_a_long_trace_says_so() -> None:
    span = Span(
        trace_id=RunId("a" * 32),
        span_id=SpanId("b" * 16),
        parent_id=None,
        name="op",
        type="foreign",  # type: ignore[arg-type]
        start_ns=1,
        end_ns=2,
        attributes={"big": "z" * 1_000_000},
    )
    html = trace_of([span] * 1_200)._repr_html_()
    assert "200 more spans are not shown" in html
    assert "z" * 3_000 not in html


def found(**changes: object) -> SearchResult:
    span = FoundSpan(
        span_id=SpanId("b" * 16),
        name=HOSTILE,
        service=HOSTILE,
        start_ns=1,
        duration_ns=1_500_000,
        status=SpanStatus.ERROR,
        values={HOSTILE: HOSTILE},
    )
    trace = FoundTrace(
        trace_id=RunId("a" * 32),
        root_name=HOSTILE,
        root_service=HOSTILE,
        start_ns=1,
        duration_ns=2_000_000_000,
        spans=3,
        errors=1,
        matched=1,
        sets=[FoundSet(matched=1, spans=[span], values={"count()": 1, "by(.a)": True})],
        is_run=False,
    )
    return SearchResult(traces=[trace], complete=False, reason=HOSTILE)


def test_what_a_search_found_is_a_table() -> None:
    html = found()._repr_html_()
    assert "script" not in tags_of(html)
    assert "count() = 1" in html
    assert "2 s" in html


@given(st.lists(st.none() | st.floats(), max_size=9))
def test_metrics_are_a_table_with_curves(values: list[float | None]) -> None:
    series = MetricSeries(labels={HOSTILE: HOSTILE, "p": None}, values=values)
    result = MetricsResult(times=[*range(len(values))], step_ns=1, series=[series])
    assert "script" not in tags_of(result._repr_html_())


@pytest.mark.parametrize(
    ("ns", "text"), [(5, "5 ns"), (1_500, "1.5 µs"), (2_000_000, "2 ms"), (90_000_000_000, "90 s")]
)
def test_durations_have_their_unit(ns: int, text: str) -> None:
    trace = trace_of([])
    trace.run.start_ns, trace.run.end_ns = 0, ns
    assert text in trace._repr_html_()
