"""The numbers of the tree are those of a plain walk, whatever the parents are."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from effort import times
from naive_traceql import Seen, read_traces
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span
from tailrace.model.states import SpanKind, SpanType
from tailrace.traceql.evaluate.nested_set import NestedSet
from tailrace.traceql.memory_block import memory_block

KINDS = (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.SERVER)
Row = tuple[int, int, int, SpanKind]
"""Trace, id, id of the parent (0: none), kind; ids repeat, and parents may be missing."""
rows: st.SearchStrategy[Row] = st.tuples(
    st.integers(1, 2), st.integers(1, 9), st.integers(0, 10), st.sampled_from(KINDS)
)
IN = SpanKind.INTERNAL


def made(chosen: Sequence[Row]) -> list[Span]:
    return [
        Span(
            trace_id=RunId(f"{trace:032x}"),
            span_id=SpanId(f"{number:016x}"),
            parent_id=SpanId(f"{parent:016x}") if parent else None,
            name="op",
            type=SpanType.FOREIGN,
            start_ns=at,
            end_ns=at,
            kind=kind,
        )
        for at, (trace, number, parent, kind) in enumerate(chosen)
    ]


def above(one: Seen) -> list[Seen]:
    return [] if one.parent is None else [one.parent, *above(one.parent)]


@given(st.lists(rows, max_size=14))
@example([(1, 1, 0, IN), (1, 2, 1, IN), (1, 3, 1, IN), (1, 4, 2, IN)])
@example([(1, 2, 1, IN), (1, 1, 0, IN), (1, 3, 3, IN), (1, 4, 5, IN), (1, 5, 4, IN)])
@example([(1, 1, 0, IN), (1, 2, 1, SpanKind.CLIENT), (1, 2, 2, SpanKind.SERVER), (1, 3, 2, IN)])
@settings(max_examples=times(120), deadline=None)
def test_nested_set_numbers_are_those_of_a_recursive_walk(chosen: list[Row]) -> None:
    spans = made(chosen)
    nested = NestedSet(memory_block(spans))
    traces = dict.fromkeys(span.trace_id for span in spans)
    in_order = [span for trace in traces for span in spans if span.trace_id == trace]
    found = {
        id(span): numbers
        for span, *numbers in zip(
            in_order, nested.lefts, nested.rights, nested.parents, strict=True
        )
    }
    for trace in read_traces(spans):
        placed = [one for one in trace.spans if one.placed]
        for one in trace.spans:
            parent = one.parent.left if one.parent else -1
            expected = [one.left, one.right, parent] if one.placed else [0, 0, 0]
            assert found[id(one.span)] == expected
        used = [number for one in placed for number in found[id(one.span)][:2]]
        assert sorted(used) == list(range(1, 2 * len(placed) + 1))
        for one in placed:
            left, right, _ = found[id(one.span)]
            around = [
                other
                for other in placed
                if found[id(other.span)][0] < left and right < found[id(other.span)][1]
            ]
            assert sorted(map(id, around)) == sorted(map(id, above(one)))
