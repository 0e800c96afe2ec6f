"""A run that goes on elsewhere, from its journal cut at any place, ends as if nothing had been."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace import (
    Context,
    Flow,
    OnError,
    Policy,
    Retry,
    foreach,
    route,
    subflow,
    switch,
    task,
    until,
)
from tailrace.engine import Run, RunEnd, RunRequest
from tailrace.engine.continuation import HANDED_BACK, WORKER_LOST, JournalState
from tailrace.failures.supervision import Escalation
from tailrace.flows.compile import compile_flow
from tailrace.model import (
    AttemptFailed,
    NodeFinished,
    NodeStarted,
    RunContinued,
    RunFinished,
    RunStarted,
    RunStatus,
    SpanStatus,
    new_run_id,
)
from tailrace.model.journal import AnyRecord, Noted
from tailrace.tracing.spans import fold
from tailrace.tracing.wire import decode, encode, join

RUN_ID = new_run_id()
done: list[str] = []


class Batches:
    """A journal that keeps its batches, as bytes."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self._notes: list[AnyRecord] = []

    def append(self, records: Sequence[AnyRecord]) -> None:
        self.kept.append(encode([*self._notes, *records]))
        self._notes.clear()

    def note(self, record: Noted) -> None:
        record.take(self._notes)

    def close(self) -> None:
        pass


def run(flow: Flow, earlier: Sequence[bytes] = (), *, reason: str = WORKER_LOST) -> Any:
    """Run a flow, or go on with it; return (end, batches)."""
    journal = Batches()
    options: dict[str, Any] = {}
    if earlier:
        state = JournalState()
        state.apply(decode(join(earlier)))
        options = {
            "continued": state.go_on(worker_id="w2", claim=2, reason=reason, before="w1"),
            "reuse": state.reuse(),
        }
    request = RunRequest(plan=compile_flow(flow), run_id=RUN_ID, seed=1, **options)
    end = asyncio.run(Run(request, journal).execute())
    return end, journal.kept


def does(name: str, value: Any = None) -> Any:
    done.append(name)
    return name if value is None else value


@task
def first() -> Any:
    return does("first", [1, 2, 3])


@task
def each(item: int) -> Any:
    return does(f"each {item}", item * 10)


@task
def left(first: list[int]) -> Any:
    return does("left")


@task
def right(ctx: Context) -> Any:
    ctx.scratch["right"] = 7
    return does("right")


@task
def joined(left: str, right: str, ctx: Context) -> Any:
    return does("joined", f"{left} {right} {ctx.scratch['right']}")


@task
def choose() -> Any:
    return does("choose", "b")


@task
def a() -> Any:
    return does("a")


@task
def b() -> Any:
    return does("b")


@task
def count(ctx: Context) -> Any:
    ctx.scratch["count"] = ctx.scratch.get("count", 0) + 1
    return does(f"count {ctx.scratch['count']}", ctx.scratch["count"])


@task(policy=Policy(retry=Retry(max_attempts=2, delay=0.001)))
def shaky(ctx: Context) -> Any:
    if ctx.attempt < 2:
        raise ConnectionError("not yet")
    return does("shaky")


@task(policy=Policy(on_error=OnError(action="continue", value=5)))
def broken() -> None:
    does("broken")
    raise ValueError("broken")


@task
def inner() -> Any:
    return does("inner")


@route
def way() -> Any:
    return does("way", "b")


FLOWS: dict[str, Callable[[], Flow]] = {
    "chain": lambda: Flow("chain", first >> left),
    "parallel": lambda: Flow("parallel", first >> (left & right) >> joined),
    "loop": lambda: Flow("loop", first >> foreach("results.first", item="item", name="loop")(each)),
    "switch": lambda: Flow(
        "switch", choose >> switch("payload", {"a": a, "b": b}, name="which") >> inner
    ),
    "until": lambda: Flow("until", until("$node.count.output >= 3", name="poll")(count) >> inner),
    "retry": lambda: Flow("retry", first >> shaky >> inner),
    "handled": lambda: Flow("handled", first >> broken >> inner),
    "subflow": lambda: Flow("subflow", first >> subflow(Flow("deep", a >> b)) >> inner),
    "route": lambda: Flow("route", way >> (a | b)),
}


def finished(records: Sequence[AnyRecord]) -> Counter[str]:
    """Return how often each node has finished with an output."""
    return Counter(
        record.path
        for record in records
        if isinstance(record, NodeFinished) and record.output is not None
    )


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("reason", [WORKER_LOST, HANDED_BACK])
def test_a_run_cut_after_any_batch_ends_alike_and_finishes_no_node_twice(
    name: str, reason: str
) -> None:
    flow = FLOWS[name]()
    whole, batches = run(flow)
    expected = finished(decode(join(batches)))
    for cut in range(1, len(batches)):
        done.clear()
        end, more = run(flow, batches[:cut], reason=reason)
        records = decode(join([*batches[:cut], *more]))
        assert (end.status, end.output) == (whole.status, whole.output)
        assert end.handled_failures == whole.handled_failures
        assert finished(records) == expected, f"cut after batch {cut}"
        assert_whole(records)


def assert_whole(records: Sequence[AnyRecord]) -> None:
    """Check that the records are one run: spans numbered once, all of them closed, one start."""
    assert sum(isinstance(record, RunStarted) for record in records) == 1
    numbers = [getattr(record, "span", 0) for record in records if hasattr(record, "parent")]
    numbers += [record.attempt_span for record in records if isinstance(record, NodeStarted)]
    assert len(numbers) == len(set(numbers))
    spans = fold(records).trace().spans
    assert all(span.end_ns is not None for span in spans)
    known = {span.span_id for span in spans}
    assert all(span.parent_id in known for span in spans[1:])
    assert all(span.end_ns >= span.start_ns for span in spans if span.end_ns)


@settings(max_examples=times(40), deadline=None)
@given(st.sampled_from(sorted(FLOWS)), st.lists(st.integers(0, 30), max_size=4))
def test_a_run_that_loses_several_workers_in_a_row_ends_alike(name: str, cuts: list[int]) -> None:
    flow = FLOWS[name]()
    whole, batches = run(flow)
    kept = list(batches)
    for cut in cuts:
        kept = kept[: 1 + cut % max(1, len(kept) - 1)] if len(kept) > 1 else kept
        end, more = run(flow, kept)
        kept += more
        assert (end.status, end.output) == (whole.status, whole.output)
    records = decode(join(kept))
    assert finished(records) == finished(decode(join(batches)))
    assert_whole(records)


def test_what_was_open_is_closed_as_interrupted_and_its_failure_is_that_of_a_lost_worker() -> None:
    flow = FLOWS["chain"]()
    _, batches = run(flow)
    _, more = run(flow, batches[:1])
    records = decode(join([*batches[:1], *more]))
    continued = next(one for one in records if isinstance(one, RunContinued))
    (lost,) = continued.lost
    assert lost.failure.class_ == "worker_lost"
    assert lost.failure.origin is not None
    assert lost.failure.origin.node == "first"
    spans = {span.span_id: span for span in fold(records).trace().spans}
    cut_off = [span for span in spans.values() if span.message == "interrupted"]
    assert {span.attributes["tailrace.state"] for span in cut_off} == {"INTERRUPTED"}
    assert {span.attributes["tailrace.class"] for span in cut_off} == {"worker_lost"}
    assert all(span.status is SpanStatus.ERROR for span in cut_off)
    root = next(iter(spans.values()))
    assert root.attributes["tailrace.status"] == "COMPLETED"
    assert [event.name for event in root.events] == ["continued"]
    escalation = Escalation()
    escalation.apply(records)
    (failure,) = escalation.drain().ended
    assert (failure.class_, failure.disposition) == ("worker_lost", "retried")


def test_an_attempt_that_a_worker_took_along_counts_as_crash_and_not_as_attempt() -> None:
    flow = FLOWS["retry"]()
    _, batches = run(flow)
    cut = next(
        number
        for number, batch in enumerate(batches)
        if any(isinstance(one, AttemptFailed) for one in decode(batch))
    )
    before, after = run(flow, batches[:cut])[1], run(flow, batches[: cut + 1])[1]

    def attempts(kept: list[bytes]) -> list[int]:
        started = [one for one in decode(join(kept)) if isinstance(one, NodeStarted)]
        return [one.attempt for one in started if one.name == "shaky"]

    assert attempts(before) == [1]
    assert attempts(after) == [2]


def test_a_node_that_has_failed_for_good_is_not_tried_again() -> None:
    @task
    def fails() -> None:
        does("fails")
        raise ValueError("no")

    flow = Flow("fails", first >> fails)
    _, batches = run(flow)
    records = decode(join(batches))[:-1]
    assert isinstance(decode(batches[-1])[-1], RunFinished)
    done.clear()
    end: RunEnd
    end, _ = run(flow, [encode(records)])
    assert end.status is RunStatus.FAILED
    assert end.failed_path == "fails"
    assert done == []


def test_the_clock_goes_on_from_the_newest_instant_even_if_this_machine_is_behind() -> None:
    flow = FLOWS["chain"]()
    _, batches = run(flow)
    ahead = 7_200 * 10**9
    late = [
        [_moved(record, ahead) for record in decode(batch)] for batch in batches[: len(batches) - 1]
    ]
    _, more = run(flow, [encode(records) for records in late])
    newest = max(getattr(record, "at", 0) for records in late for record in records)
    assert all(getattr(record, "at", newest) >= newest for record in decode(join(more)))


def _moved(record: AnyRecord, by: int) -> AnyRecord:
    import msgspec

    at = getattr(record, "at", None)
    return record if at is None else msgspec.structs.replace(record, at=at + by)
