"""Tracers see what a run does as it happens, and do not hold it up."""

from __future__ import annotations

import threading
from typing import Any

from tailrace import Context, Flow, Span, task
from tailrace.testing import MemoryStore


class Seen:
    """Remembers what it was told; waits in the first of some spans."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.spans: dict[str, Span] = {}
        self.inner = threading.Event()
        self.closed = False

    def on_start(self, span: Span) -> None:
        self.told.append(("start", span.name))
        if span.name == "inner":
            self.inner.set()

    def on_end(self, span: Span) -> None:
        self.told.append(("end", span.name))
        self.spans[span.name] = span

    def close(self) -> None:
        self.closed = True


def test_a_tracer_sees_an_open_span_while_the_task_goes_on() -> None:
    seen = Seen()

    @task
    def work(ctx: Context) -> None:
        with ctx.span("outer", n=1) as outer:
            outer.set_attribute("later", 2)
            with ctx.span("inner"):
                assert seen.inner.wait(30)
            ctx.event("done")

    store = MemoryStore()
    result = Flow("f", work).run(store=store, tracers=[seen])
    order: list[tuple[str, Any]] = [
        ("start", "run f"), ("start", "node work"), ("start", "attempt work"),
        ("start", "outer"), ("start", "inner"), ("end", "inner"), ("end", "outer"),
        ("end", "attempt work"), ("end", "node work"), ("end", "run f"),
    ]  # fmt: skip
    assert seen.told == order
    assert seen.closed
    assert seen.spans["outer"].attributes == {"n": 1, "later": 2, "tailrace.state": "SUCCEEDED"}
    assert [event.name for event in seen.spans["attempt work"].events] == ["done"]
    names = [span.name for span in store.trace(result.run_id).spans]
    assert names == ["run f", "node work", "attempt work", "outer", "inner"]


def test_a_tracer_that_waits_does_not_hold_up_the_task_that_opens_spans() -> None:
    go_on = threading.Event()
    many = 500

    class Slow(Seen):
        def on_start(self, span: Span) -> None:
            if span.name == "one":
                go_on.wait(30)
            super().on_start(span)

    seen = Slow()

    @task
    def work(ctx: Context) -> None:
        for _ in range(many):
            with ctx.span("one"):
                pass
        go_on.set()

    Flow("f", work).run(store=MemoryStore(), tracers=[seen])
    assert seen.told.count(("end", "one")) == many
