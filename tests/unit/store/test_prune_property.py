"""Whatever a prune lets go, the rest is what it was: spans, and the values they are found by."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace import SQLiteTraceReader
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span
from tailrace.model.states import SpanStatus, SpanType
from tailrace.store import Retention, plan_prune, prune_store, shared_store, verify_store
from tailrace.store.foreign import ForeignWriter
from tailrace.store.segments.seal import seal

DAY = 86_400 * 10**9
TODAY = 10
VALUES = ("a", "b", "c", 1, 2, 0.5, True)
SERVICES = ("shop", "bank")
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each try makes a file; to find the smallest one that fails would take minutes."""


class Told(NamedTuple):
    """A trace: the day on which it began, whether it failed, a value for each of its spans."""

    day: int
    failed: bool
    service: str
    values: Sequence[str | float | bool]


tales = st.builds(
    Told,
    st.integers(1, TODAY - 1),  # no instant is 0 for a span: that is one not known
    st.booleans(),
    st.sampled_from(SERVICES),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3),
)
rules = st.builds(
    Retention,
    keep_days=st.integers(0, TODAY),
    keep_runs=st.integers(0, 4),
    keep_errors_days=st.integers(0, TODAY),
)


def trace_id(number: int) -> RunId:
    return RunId(f"{number + 1:032x}")


def spans_of(number: int, told: Told) -> list[Span]:
    return [
        Span(
            trace_id=trace_id(number),
            span_id=SpanId(f"{(number + 1) << 8 | place:016x}"),
            parent_id=SpanId(f"{(number + 1) << 8:016x}") if place else None,
            name=f"op {value}",
            type=SpanType.FOREIGN,
            start_ns=told.day * DAY + place,
            end_ns=told.day * DAY + place + 5,
            status=SpanStatus.ERROR if told.failed else SpanStatus.UNSET,
            attributes={"x": value},
            resource={"service.name": told.service},
            scope=InstrumentationScope(name=f"lib of {value}"),
        )
        for place, value in enumerate(told.values)
    ]


def stays(told: Told, others: Sequence[Told], rule: Retention) -> bool:
    if not (rule.keep_days or rule.keep_runs):
        return True
    is_young = bool(rule.keep_days) and told.day >= TODAY - rule.keep_days
    newer = sum(other.day > told.day for other in others)
    waits = told.failed and bool(rule.keep_errors_days)
    return (
        is_young
        or (bool(rule.keep_runs) and newer < rule.keep_runs)
        or (waits and told.day >= TODAY - rule.keep_errors_days)
    )


def written(value: str | float | bool) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(st.lists(tales, min_size=1, max_size=7), st.integers(1, 7), rules)
@settings(max_examples=times(8), deadline=None, phases=WITHOUT_SHRINKING)
def test_a_prune_takes_what_the_rules_say_and_leaves_the_rest_as_it_was(
    told: list[Told], sealed: int, rule: Retention
) -> None:
    traces = {trace_id(n): one for n, one in enumerate(told)}
    kept = {key: one for key, one in traces.items() if stays(one, told, rule)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        with closing(ForeignWriter(path)) as writer:
            some = [span for n, one in enumerate(told) for span in spans_of(n, one)]
            early = {trace_id(n) for n in range(sealed)}
            writer.write([span for span in some if span.trace_id in early])
            seal(path, everything=True)
            writer.write([span for span in some if span.trace_id not in early])
        with closing(SQLiteTraceReader(path)) as reader:
            before = {key: reader.trace(key).spans for key in kept}
        plan = plan_prune(path, rule, now_ns=TODAY * DAY)
        done = prune_store(path, rule, actor="ann", now_ns=TODAY * DAY)
        shared_store(path).close()
        assert verify_store(path) == []
        lost = sum(len(one.values) for key, one in traces.items() if key not in kept)
        assert (plan.traces, plan.spans) == (done.traces, done.spans)
        assert (done.traces, done.spans) == (len(traces) - len(kept), lost)
        with closing(SQLiteTraceReader(path)) as reader:
            assert {run.run_id for run in reader.runs(limit=99, foreign=True)} == kept.keys()
            assert {key: reader.trace(key).spans for key in kept} == before
            for query, expected in _questions(kept):
                found = reader.search(query, limit=99).traces
                assert {one.trace_id for one in found} == expected, query


def _questions(kept: dict[RunId, Told]) -> list[tuple[str, set[RunId]]]:
    values = [
        (f"{{ span.x = {written(value)} }}", {key for key, one in kept.items() if has(one, value)})
        for value in VALUES
    ]
    scopes = [
        (
            f'{{ instrumentation:name = "lib of {v}" }}',
            {k for k, one in kept.items() if has(one, v)},
        )
        for v in VALUES
    ]
    services = [
        (
            f'{{ resource.service.name = "{name}" }}',
            {k for k, o in kept.items() if o.service == name},
        )
        for name in SERVICES
    ]
    return [*values, *scopes, *services]


def has(told: Told, value: str | float | bool) -> bool:
    return any(one == value and type(one) is type(value) for one in told.values)
