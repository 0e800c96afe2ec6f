"""Spans of a list as columns."""

from __future__ import annotations

import math
from typing import Any

from tailrace.model.family import find_parents
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanStatus, SpanType
from tailrace.traceql.block import Owner, Values
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.tree import Type


def span(trace: int, number: int, start: int, **fields: Any) -> Span:
    return Span(
        trace_id=RunId(f"{trace:032x}"),
        span_id=SpanId(f"{number:016x}"),
        type=SpanType.FOREIGN,
        start_ns=start,
        **({"parent_id": None, "name": "x", "end_ns": start + 5} | fields),
    )


def test_traces_stand_in_order_of_their_first_span_and_spans_by_start() -> None:
    spans = [span(2, 3, 9), span(1, 1, 5), span(2, 2, 4, status=SpanStatus.ERROR, name="first")]
    block = memory_block(spans)
    assert list(block.firsts) == [0, 2]
    assert [int(one, 16) for one in block.span_ids] == [2, 3, 1]
    assert list(block.starts) == [4, 9, 5]
    two = block.heads[0]
    assert (two.trace_id, two.start_ns, two.duration_ns) == (f"{2:032x}", 4, 10)
    assert (two.root_name, two.spans, two.errors, two.is_run) == ("first", 2, 1, False)


def test_an_open_span_lasts_until_now() -> None:
    assert list(memory_block([span(1, 1, 5, end_ns=None)], now_ns=105).durations) == [100]
    assert memory_block([span(1, 1, 5, end_ns=None)]).durations[0] > 10**15


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    block = memory_block([span(1, 1, 5, end_ns=3)])
    assert list(block.durations) == [0]
    assert block.heads[0].duration_ns == 0


def test_values_are_kept_by_type() -> None:
    values = [
        1,
        True,
        1.0,
        "1",
        None,
        [],
        ["b", "a", "b"],
        [7],
        math.nan,
        2**70,
        {"k": 1},
        [1, "x"],
    ]
    spans = [span(1, n + 1, n, attributes={"x": value}) for n, value in enumerate(values)]
    columns = memory_block(spans).column(Owner.SPAN, "x")
    assert columns == [
        Values(Type.INT, False, [1, 7], [0, 1, 2], [0, 7]),
        Values(Type.INT, True, [1], [0, 1], [11]),
        Values(Type.FLOAT, False, [1.0, 2.0**70], [0, 1, 2], [2, 9], [8]),
        Values(Type.STRING, False, ["1", '{"k": 1}'], [0, 1, 2], [3, 10]),
        Values(Type.STRING, True, ["a", "b", "x"], [0, 1, 2, 3], [6, 6, 11]),
        Values(Type.BOOL, False, [True], [0, 1], [1]),
    ]
    assert memory_block(spans).names(Owner.SPAN) == ["x"]
    assert memory_block(spans[4:6]).names(Owner.SPAN) == []


def test_parents_are_found_and_cycles_cut() -> None:
    assert find_parents(["a", "b", "c"], ["", "a", "x"], [""] * 3, 10) == ([-1, 10, -1], [12])
    assert find_parents(["a", "b", "c"], ["c", "a", "b"], [""] * 3) == ([-1, 0, 1], [0])
    assert find_parents(["a"], ["a"], [""]) == ([-1], [0])
    kinds = ["internal", "client", "server", "internal"]
    assert find_parents(["r", "s", "s", "c"], ["", "r", "s", "s"], kinds) == ([-1, 0, 1, 2], [])
    alike = find_parents(["r", "s", "s", "c"], ["", "r", "r", "s"], ["internal"] * 4)
    assert alike == ([-1, 0, 0, -1], [3])
