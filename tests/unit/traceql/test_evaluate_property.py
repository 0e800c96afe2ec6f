"""Any query over any spans gives what nested loops give."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from effort import times
from naive_traceql import Fails, naive, read_traces, shown
from tailrace.errors import QueryError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.traceql import check, parse
from tailrace.traceql.block import Block, Owner
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import (
    Spanset,
    Witnesses,
    evaluate,
    field_values,
    is_witnessed,
    shown_fields,
)
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.plan import Leaf, Of, bounds_may_hold, column_may_hold, may_match, needs

NOTHING = object()

numbers = st.sampled_from([-3, -1, 0, 1, 2, 3, 2**63 - 1]) | st.sampled_from(
    [0.5, 1.0, 2.0, -1.5, math.nan, math.inf]
)
texts = st.sampled_from(["a", "b", "ab", "", "ok", "é"])
scalars: st.SearchStrategy[Any] = numbers | texts | st.booleans()
attribute_values: st.SearchStrategy[Any] = (
    scalars
    | st.lists(numbers, max_size=3)
    | st.lists(texts, max_size=3)
    | st.lists(st.booleans(), max_size=3)
)
attributes = st.dictionaries(st.sampled_from(["x", "y", "z"]), attribute_values, max_size=3)
ids = st.integers(1, 6).map(lambda number: SpanId(f"{number:016x}"))
trace_ids = st.integers(1, 3).map(lambda number: RunId(f"{number:032x}"))
resources: st.SearchStrategy[Any] = st.sampled_from(
    [{}, {"x": 1}, {"y": "a", "service.name": "shop"}, {"x": ["a", "b"], "service.name": "pay"}]
)
scopes = st.sampled_from(
    [
        InstrumentationScope(),
        InstrumentationScope(name="a", version="1", attributes={"x": 2}),
    ]
)
events = st.builds(SpanEvent, time_ns=st.integers(0, 9), name=texts, attributes=attributes)
links = st.builds(SpanLink, trace_id=trace_ids, span_id=ids, attributes=attributes)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.integers(0, 9))
    return Span(
        trace_id=draw(trace_ids),
        span_id=draw(ids),
        parent_id=draw(st.none() | ids),
        name=draw(texts),
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=start + draw(st.integers(-2, 5)),
        kind=draw(st.sampled_from(SpanKind)),
        status=draw(st.sampled_from(SpanStatus)),
        message=draw(texts),
        attributes=draw(attributes),
        events=draw(st.lists(events, max_size=2)),
        links=draw(st.lists(links, max_size=2)),
        resource=draw(resources),
        scope=draw(scopes),
    )


def joined(left: str, op: str, right: str) -> str:
    return f"({left}) {op} ({right})"


def written(*strategies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda *parts: " ".join(parts), *strategies)


def one_of(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


any_fields = one_of(
    ".x .y .z span.x span.y span.z resource.x resource.y event.x event.y link.x"
    " instrumentation.x .x .y resource.service.name"
)
number_fields = one_of(
    ".x .y span.x event.x link.y duration span:childCount traceDuration nestedSetLeft"
    " nestedSetRight nestedSetParent event:timeSinceStart"
)
text_fields = one_of(
    ".x .y span.y event.y name statusMessage rootName rootServiceName trace:id span:id"
    " span:parentID event:name link:traceID link:spanID instrumentation:name"
    " instrumentation:version"
)
number_literals = one_of("0 1 2 3 -1 0.5 1.0 -1.5 1ns 3ns 9223372036854775807")
text_literals = one_of('"" "a" "b" "ab" "ok" "1" "00000000000000000000000000000002"')
comparisons = one_of("= != < <= > >=")
equal = one_of("= !=")
calculations = st.recursive(
    number_fields | number_literals,
    lambda inner: (
        st.builds(joined, inner, one_of("+ - * / % ^"), inner)
        | inner.map(lambda text: f"(-({text}))")
    ),
    max_leaves=3,
)
simple = (
    written(number_fields, comparisons, number_literals)
    | written(number_literals, comparisons, number_fields)
    | written(text_fields, comparisons, text_literals)
    | written(any_fields, equal, one_of("nil true false ok error"))
    | written(text_fields, one_of("=~ !~"), one_of('"a.*" "ab?" "é.*" ".*b" "(a|b)+" ""'))
    | written(st.just("status"), equal, one_of("ok error unset"))
    | written(st.just("kind"), equal, one_of("server client internal"))
    | any_fields
    | written(any_fields, comparisons, any_fields)
    | written(calculations, comparisons, calculations)
    | written(calculations, equal, st.just("nil"))
)
conditions = st.recursive(
    simple,
    lambda inner: (
        st.builds(joined, inner, one_of("&& ||"), inner)
        | inner.map(lambda text: f"!({text})")
        | st.builds(joined, inner, equal, any_fields)
    ),
    max_leaves=4,
)
filters = (
    st.just("{}")
    | conditions.map(lambda text: f"{{ {text} }}")
    | simple.map(lambda text: f"{{ {text} }}")
)
operators = one_of("&& || > >> < << ~ !> !>> !< !<< !~ &> &>> &< &<< &~")
spansets = st.recursive(
    filters, lambda inner: st.builds(joined, inner, operators, inner), max_leaves=3
)
operands = any_fields | number_fields | calculations | conditions
bounds = st.just("count()") | st.builds(
    lambda function, operand: f"{function}({operand})", one_of("min max avg sum"), number_fields
)
stages = (
    spansets
    | written(bounds, comparisons, number_literals)
    | operands.map(lambda text: f"by({text})")
    | st.just("coalesce()")
    | any_fields.map(lambda text: f"select({text})")
)
pipelines = st.lists(spansets | stages, min_size=1, max_size=3).map(" | ".join)
bracketed = st.builds(
    lambda a, op, b, rest: f"({a} | select(.x)) {op} ({b}){rest}",
    pipelines,
    operators,
    st.lists(stages, min_size=2, max_size=3).map(" | ".join),
    st.just(""),
)
queries = spansets | pipelines | bracketed


def chain_of(text: str) -> Chain:
    try:
        plan = check(parse(text)).plan
    except QueryError:
        reject()  # this is not about texts that mean nothing
    assert isinstance(plan, Chain)
    return plan


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or repr(a) == repr(b))


@pytest.mark.no_cover
@given(queries, st.lists(spans(), min_size=1, max_size=9))
@settings(
    max_examples=times(50),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_a_query_gives_what_nested_loops_give(text: str, some: list[Span]) -> None:
    chain = chain_of(text)
    block = memory_block(some)
    try:
        expected = naive(chain, some)
    except Fails:
        # It may still be answered: what fails need not be looked at.
        with suppress(QueryError):
            evaluate(chain, block, Budget())
        return
    found = evaluate(chain, block, Budget())
    assert [(block.heads[one.trace].trace_id, ids_of(block, one)) for one in found] == [
        (trace_id, [marked(span) for span in members]) for trace_id, members, _ in expected
    ]
    for one, (_, _, values) in zip(found, expected, strict=True):
        known = {label: value for label, value in values.items() if value is not None}
        assert one.values.keys() == known.keys()
        for label, value in known.items():
            assert isinstance(value, tuple) or same(one.values[label], value), label
    for field in shown_fields(chain):
        read = field_values(field, block)
        assert all(read(number) is not NOTHING for number in range(block.size))
    shows_what_matched(chain, block, some, found)
    odd = {trace for trace in range(len(block.heads)) if trace % 2}
    part = evaluate(chain, block, Budget(), odd)
    assert [(one.trace, list(one.spans)) for one in part] == [
        (one.trace, list(one.spans)) for one in found if one.trace in odd
    ]
    last = range(len(block.heads) // 2, len(block.heads))
    part = evaluate(chain, block, Budget(), last)
    assert [(one.trace, list(one.spans)) for one in part] == [
        (one.trace, list(one.spans)) for one in found if one.trace in last
    ]
    needed = needs(chain)
    for trace_id in {trace_id for trace_id, _, _ in expected}:
        alone = memory_block([span for span in some if span.trace_id == trace_id])
        assert may_match(needed, partial(possible, alone)), needed


def shows_what_matched(chain: Chain, block: Block, some: list[Span], found: list[Spanset]) -> None:
    seen = {id(one.span): one for trace in read_traces(some) for one in trace.spans}
    numbers = sorted({number for one in found for number in one.spans})
    with suppress(Fails, QueryError):
        witnesses = Witnesses(chain, block, numbers, Budget())
        for field in filter(is_witnessed, shown_fields(chain)):
            for number in numbers:
                one = seen[id(block.spans[number])]  # type: ignore[attr-defined]
                told = shown(chain, field, one)
                value = json.dumps(told, ensure_ascii=False) if isinstance(told, tuple) else told
                assert same(witnesses.value(field, number), value), field


def marked(span: Span) -> tuple[str, int, str]:
    return span.span_id, span.start_ns, repr(span.attributes)


def ids_of(block: Block, found: Spanset) -> list[tuple[str, int, str]]:
    return [marked(block.spans[number]) for number in found.spans]  # type: ignore[attr-defined]


def possible(block: Block, leaf: Leaf) -> bool:
    """Whether the bounds of what a block has say that a leaf can be true."""
    if isinstance(leaf.owner, Owner):
        return any(
            column_may_hold(
                leaf,
                column.type,
                column.values[0] if column.values else None,
                column.values[-1] if column.values else None,
                has_nan=bool(column.nan),
            )
            for column in block.column(leaf.owner, leaf.name)
        )
    assert leaf.op is not None
    assert leaf.value is not None
    head = block.heads[0]
    values: Sequence[Any]
    if leaf.owner is Of.SPAN:
        by_name: dict[str, Sequence[Any]] = {
            "duration": block.durations,
            "span:id": block.span_ids,
            "span:parentID": block.parent_ids,
        }
        values = by_name[leaf.name]
    else:
        values = [
            {
                "trace:id": head.trace_id,
                "traceDuration": head.duration_ns,
                "rootName": head.root_name,
                "rootServiceName": head.root_service,
                "spans": head.spans,
            }[leaf.name]
        ]
    return bounds_may_hold(leaf.op, leaf.value, min(values), max(values))
