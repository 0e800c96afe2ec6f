"""Spans that a task opens with ``ctx.span``, in a real file."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from tailrace import Context, Flow, Span, SqliteTraceReader, task
from tailrace.errors import StoreError
from tailrace.model import SpanType
from waiting import wait_until


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "spans.db"


def spans_of(db: Path, run_id: str) -> list[Span]:
    with closing(SqliteTraceReader(db)) as reader:
        return [span for span in reader.trace(run_id).spans if span.type is SpanType.USER]


@pytest.mark.no_cover
def test_of_very_many_spans_none_is_lost(db: Path) -> None:
    @task
    def work(ctx: Context) -> None:
        for number in range(12_000):
            with ctx.span("one", number=number) as span:
                span.set_attribute("twice", 2 * number)

    result = Flow("many", work).run(db=db)
    spans = spans_of(db, result.run_id)
    assert [span.attributes["number"] for span in spans] == list(range(12_000))
    assert all(span.attributes["twice"] == 2 * span.attributes["number"] for span in spans)
    assert all(span.end_ns is not None and not span.message for span in spans)


def test_a_value_is_kept_as_it_was_when_it_was_set(db: Path) -> None:
    @task
    def work(ctx: Context) -> None:
        names, counts = ["a"], {"x": 1}
        with ctx.span("outer", names=names, counts=counts) as span:
            span.set_attribute("later", names)
            ctx.event("seen", names=names)
            names.append("b")
            counts["x"] = 2
        span.set_attribute("later", "too late")

    result = Flow("frozen", work).run(db=db)
    (span,) = spans_of(db, result.run_id)
    assert span.attributes == {
        "names": ["a"],
        "counts": '{"x":1}',
        "later": ["a"],
        "tailrace.state": "SUCCEEDED",
    }
    with closing(SqliteTraceReader(db)) as reader:
        (event,) = [event for one in reader.trace(result.run_id).spans for event in one.events]
    assert event.attributes == {"names": ["a"]}


def test_a_span_is_seen_while_it_is_open_and_ends_once(db: Path) -> None:
    seen = threading.Event()

    @task
    def work(ctx: Context) -> None:
        with ctx.span("outer"), ctx.span("inner", step=1) as inner:
            seen.wait(30)
            inner.set_attribute("done", True)
        with ctx.span("short"):
            pass

    handle = Flow("open", work).start(db=db)

    def are_open() -> bool:
        try:
            found = spans_of(db, handle.run_id)
        except StoreError:  # the file is not there yet
            return False
        return [(span.name, span.end_ns) for span in found] == [("outer", None), ("inner", None)]

    wait_until(are_open, "both spans are seen open")
    seen.set()
    result = handle.result(30)
    outer, inner, short = spans_of(db, result.run_id)
    assert (outer.name, inner.name, short.name) == ("outer", "inner", "short")
    assert inner.parent_id == outer.span_id != short.parent_id == outer.parent_id
    assert inner.attributes["done"] is True
    assert outer.end_ns is not None
    assert inner.end_ns is not None
    assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns


def test_a_failed_block_marks_its_span_and_those_around_it(db: Path) -> None:
    @task
    def work(ctx: Context) -> str:
        try:
            with ctx.span("outer"), ctx.span("inner"):
                return str(int("x"))
        except ValueError:
            return "good"

    result = Flow("failing", work).run(db=db)
    outer, inner = spans_of(db, result.run_id)
    for span in (outer, inner):
        assert (span.status, span.message[:16]) == ("error", "invalid literal ")
        assert span.attributes["error.type"] == "ValueError"


def test_a_span_is_entered_once_and_may_be_left_in_another_context(db: Path) -> None:
    @task
    def work(ctx: Context) -> str:
        def steps() -> Generator[None, None, None]:
            with ctx.span("in a generator"):
                yield

        thread_steps = steps()
        thread = threading.Thread(target=next, args=(thread_steps,))
        thread.start()
        thread.join()
        thread_steps.close()
        span = ctx.span("twice")
        with span:
            pass
        with pytest.raises(RuntimeError, match="entered before"), span:
            pass
        with ctx.span("afterwards"):
            return "good"

    result = Flow("contexts", work).run(db=db)
    spans = spans_of(db, result.run_id)
    assert [span.name for span in spans] == ["in a generator", "twice", "afterwards"]
    assert len({span.parent_id for span in spans}) == 1
    assert all(span.end_ns is not None for span in spans)
