"""In which step each span begins, however spans and traces lie."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanType
from tailrace.traceql.measure import Steps
from tailrace.traceql.memory_block import memory_block


def span(trace: int, at: int) -> Span:
    return Span(
        trace_id=RunId(f"{trace:032x}"),
        span_id=SpanId(f"{at:016x}"),
        parent_id=None,
        name="a",
        type=SpanType.FOREIGN,
        start_ns=at,
        end_ns=at,
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("dense", [True, False], ids=["many spans a run", "few spans a run"])
@settings(deadline=None, max_examples=times(60))
@given(
    traces=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), min_size=1, max_size=5),
    start=st.integers(5, 20),
    length=st.integers(1, 30),
    step=st.sampled_from([1, 3, 10, 100]),
    instant=st.booleans(),
    data=st.data(),
)
def test_spans_are_split_by_the_step_they_begin_in(
    *,
    dense: bool,
    traces: list[list[int]],
    start: int,
    length: int,
    step: int,
    instant: bool,
    data: st.DataObject,
) -> None:
    copies = 60 if dense else 1
    block = memory_block(
        [span(number, at) for number, starts in enumerate(traces) for at in starts * copies]
    )
    steps = Steps(start, start + length, step, instant=instant)
    ends = steps.times

    def step_of(at: int) -> int:
        inside = [place for place, end in enumerate(ends) if end - steps.step < at <= end]
        return inside[0] if inside else -1

    runs = steps.runs(block)
    assert runs.of_span == [step_of(at) for at in block.starts]
    some = data.draw(st.lists(st.integers(0, block.size - 1), unique=True).map(sorted))
    for asked in (range(block.size), some, [one for one in some for _ in range(2)]):
        found = sorted((one, place) for place, part in runs.split(asked) for one in part)
        assert found == [
            (one, step_of(block.starts[one])) for one in asked if step_of(block.starts[one]) >= 0
        ]
