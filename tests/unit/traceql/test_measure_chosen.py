"""Spans are found among the rows of columns as looking at each row finds them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus, SpanType
from tailrace.traceql import check, parse
from tailrace.traceql.block import Owner
from tailrace.traceql.budget import Budget
from tailrace.traceql.codes import codes_of, present, weight_of
from tailrace.traceql.measure import Measurement
from tailrace.traceql.measure.chosen import Chosen
from tailrace.traceql.memory_block import memory_block


@pytest.mark.no_cover
@settings(deadline=None, max_examples=times(12))
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 91, 2_048, 56_000, 65_540, 70_000]),
    st.sampled_from([0, 1, 2, 40, 12_000]),
    st.sampled_from(["H", "I", ""]),
)
def test_chosen_spans_are_found_among_rows_of_any_kind(
    seed: int, size: int, count: int, code: str
) -> None:
    chance = Random(seed)
    numbers = list(range(size))
    chance.shuffle(numbers)
    spans = sorted(chance.sample(numbers, min(count, size)))
    rows: Sequence[int] = numbers
    if code == "I" or (code and size <= 1 << 16):
        rows = array(code, numbers)
    wanted = set(spans)
    expected = [place for place, row in enumerate(numbers) if row in wanted]
    assert list(Chosen(spans, size).among(rows)) == expected


def test_characters_with_a_meaning_in_expressions_are_found_too() -> None:
    rows = array("H", range(4_000))
    assert list(Chosen(range(128), 4_000).among(rows)) == list(range(128))


@pytest.mark.no_cover
@settings(deadline=None, max_examples=times(6))
@given(
    st.integers(0, 2**32),
    st.sampled_from(["{}", "{ .even = true }"]),
    st.sampled_from([3, 20, 600]),
)
def test_of_more_values_than_are_counted_those_of_the_selection_are_told(
    seed: int, chain: str, chosen: int
) -> None:
    chance = Random(seed)
    spans = [span(number, chance.randrange(1_500)) for number in range(4_000)]
    for one in chance.sample(spans, chosen):
        one.status = SpanStatus.ERROR
    checked = check(parse(f"{chain} | compare({{ status = error }}, 1000)"))
    block = memory_block(spans)
    measurement = Measurement(checked, start_ns=0, end_ns=4_001, step_ns=900)
    measurement.add(block, Budget())
    found = {
        one.labels["span.x"]: sum(filter(None, one.values))
        for one in measurement.result().series
        if one.labels.get("__meta_type") == "selection" and "span.x" in one.labels
    }
    counted = Counter(
        one.attributes["x"]
        for one in spans
        if one.status is SpanStatus.ERROR and (chain == "{}" or one.attributes["even"])
    )
    assert found == counted


def test_what_is_kept_of_a_block_is_weighed() -> None:
    block = memory_block([span(number, number) for number in range(300)])
    (values,) = block.column(Owner.SPAN, "x")
    assert weight_of(block) == 0
    present(block, values)
    assert weight_of(block) == 300
    codes_of(block, values)
    assert weight_of(block) == 300 + 2 * 300


@pytest.mark.parametrize("query", ["{}", "{ .even = true }"])
def test_roots_are_compared_across_the_ends_of_steps(query: str) -> None:
    spans = [span(number, 0) for number in range(200)]
    checked = check(parse(f"{query} | compare({{ status = error }})"))
    measurement = Measurement(checked, start_ns=0, end_ns=210, step_ns=30)
    measurement.add(memory_block(spans), Budget())
    (found,) = (
        one.values for one in measurement.result().series if one.labels.get("rootName") == "s"
    )
    expected = Counter(
        (one.start_ns - 1) // 30 for one in spans if query == "{}" or one.attributes["even"]
    )
    assert [count for count in found if count] == [expected[step] for step in sorted(expected)]


def span(number: int, value: int) -> Span:
    """Return a span of a trace of seven."""
    attributes: dict[str, Any] = {"x": value, "even": number % 2 == 0}
    return Span(
        trace_id=RunId(f"{number // 7:032x}"),
        span_id=SpanId(f"{number + 1:016x}"),
        parent_id=None if number % 7 == 0 else SpanId(f"{number - number % 7 + 1:016x}"),
        name="s",
        type=SpanType.FOREIGN,
        start_ns=number + 1,
        end_ns=number + 2,
        attributes=attributes,
    )
