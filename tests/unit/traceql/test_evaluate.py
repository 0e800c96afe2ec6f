"""What queries mean, one rule a test; each quirk of the reference that is not followed by name."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import pytest

from tailrace.errors import QueryError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import InstrumentationScope, Span, SpanEvent, SpanLink
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.traceql import check, parse
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.checked import Chain
from tailrace.traceql.evaluate import Spanset, evaluate, field_values, shown_fields
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.tree import Attribute, Intrinsic, IntrinsicName, Scope


def span(number: int, parent: int = 0, *, trace: int = 1, **fields: Any) -> Span:
    """Span ``number`` of a trace: it starts at its number and takes 10 ns."""
    attributes = {key: value for key, value in fields.items() if key not in Span.__struct_fields__}
    others = {key: value for key, value in fields.items() if key not in attributes}
    made: dict[str, Any] = {
        "trace_id": RunId(f"{trace:032x}"),
        "span_id": SpanId(f"{number:016x}"),
        "parent_id": SpanId(f"{parent:016x}") if parent else None,
        "name": f"n{number}",
        "type": SpanType.FOREIGN,
        "start_ns": number,
        "end_ns": number + 10,
        "attributes": attributes,
    }
    return Span(**(made | others))


def event(name: str, time: int = 0, **attributes: Any) -> SpanEvent:
    return SpanEvent(time_ns=time, name=name, attributes=attributes)


def chain(query: str) -> Chain:
    plan = check(parse(query)).plan
    assert isinstance(plan, Chain)
    return plan


def sets(query: str, spans: Sequence[Span]) -> list[Spanset]:
    return evaluate(chain(query), memory_block(spans), Budget())


def numbers(query: str, spans: Sequence[Span]) -> list[list[int]]:
    """The spansets as the numbers of their spans."""
    block = memory_block(spans)
    found = evaluate(chain(query), block, Budget())
    return [[int(block.span_ids[one], 16) for one in spanset.spans] for spanset in found]


def holds(condition: str, **fields: Any) -> bool:
    return bool(numbers(f"{{ {condition} }}", [span(1, **fields)]))


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("other", ["", " && span.odd = 1"])
def test_durations_are_compared_however_many_spans_hold(op: str, other: str) -> None:
    lasting = [3 * (n * 7 % 40) for n in range(1, 60)]
    spans = [
        span(n, 1 if n > 1 else 0, end_ns=n + lasts, odd=n % 2)
        for n, lasts in enumerate(lasting, 1)
    ]
    compare = {
        "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
        ">": operator.gt, ">=": operator.ge,
    }[op]  # fmt: skip
    for limit in (-1, 0, 1, 9, 10, 60, 117, 118):
        wanted = [
            n
            for n, lasts in enumerate(lasting, 1)
            if compare(lasts, limit) and (not other or n % 2)
        ]
        query = f"{{ duration {op} {limit}{'ns' if limit >= 0 else ''}{other} }}"
        assert numbers(query, spans) == ([wanted] if wanted else [])


MIXED = {
    "i": 3, "f": 2.5, "s": "abc", "yes": True, "no": False, "zero": 0, "neg": -7,
    "tags": ["a", "b"], "one": ["a"], "empty": [], "ports": [80, 443], "nan": float("nan"),
    "flags": [True, False], "min": -(2**63),
}  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        ".i = 3", "span.i = 3.0", ".i != 4", ".i > 2.5", ".f > 1", ".f <= 2.5", "3 > .f",
        ".i = 3ns", '.s = "abc"', '.s > "abb"', '.s < "b"', ".yes", "!.no", ".yes = true",
        ".no != true", ".missing = nil", ".i != nil", "nil != .i", "!(.missing = 1)",
        '.s =~ "a.c"', '.s !~ "b"', '.s !~ "ab"', "(.i = 3) = .yes", "(.i = 4) = .no",
        # an empty array is absent, one of one element that element
        ".empty = nil", '.one = "a"', '.one != "b"',
        '.tags = "b"', '.tags != "c"', '.tags =~ "b|x"', '.tags !~ "c.*"', ".ports > 100",
        # integers stay integers and are cut towards zero
        ".i / 2 = 1", ".neg / 2 = -3", ".neg % 4 = -3", ".i ^ 2 = 9", ".i / 2.0 = 1.5",
        ".i + .f = 5.5", "-.i = -3", ".min - 1 > 0", ".min = minInt", "-.min = .min",
        ".f / .zero > 1000", "duration = 10", "duration = 10ns", "duration / 4 = 2.5",
        "duration + .i = 13ns", ".nan != 1", ".nan != nil",
        "status = unset", "kind = internal", '.missing = nil && .s = "abc"',
        "2 ^ 3 = 8",
    ],
)  # fmt: skip
def test_a_condition_holds(condition: str) -> None:
    assert holds(condition, **MIXED)


@pytest.mark.parametrize(
    "condition",
    [
        ".missing = 1", ".missing != 1", ".missing > 1", '.missing !~ "a"', "!.missing",
        "!.i", ".i", ".s", ".tags", ".flags", ".i && true", "-.missing = 1", ".missing + 1 != 0",
        # types that do not compare
        '.i = "3"', '.i != "3"', ".s != 3", ".yes != 1", ".yes > .no", '.i =~ "3"',
        '.tags != "b"', '.tags !~ "a"', ".tags != 1", ".ports != 80",
        ".missing > .yes", ".nan = 1", ".nan > 1", ".nan < 1", ".i = nil", ".empty != nil",
        '.s =~ "ab"', '.s =~ "B"', ".i > maxInt", "span.s + 1 = 1", "resource.i = 3",
        "(.i = 3) != .yes", "false", "nil = nil", "status = error",
    ],
)  # fmt: skip
def test_a_condition_does_not_hold(condition: str) -> None:
    assert not holds(condition, **MIXED)


def test_an_unscoped_attribute_is_looked_for_on_the_span_then_on_its_resource() -> None:
    spans = [
        span(1, x="own", resource={"x": "shared"}),
        span(2, resource={"x": "shared"}),
        span(3),
    ]
    assert numbers('{ .x = "shared" }', spans) == [[2]]
    assert numbers('{ .x != "shared" }', spans) == [[1]]
    assert numbers("{ .x != nil }", spans) == [[1, 2]]
    assert numbers("{ .x = nil }", spans) == [[3]]  # absent in both
    assert numbers('{ .x + 1 = 1 || .x =~ "o.*" }', spans) == [[1]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('name = "n2"', [2]),
        ('name =~ "n[13]"', [1, 3]),
        ('rootName = "n1"', [1, 2, 3, 4]),
        ('rootServiceName = "shop"', [1, 2, 3, 4]),
        ('rootServiceName != "shop"', []),
        ("traceDuration = 13ns", [1, 2, 3, 4]),
        ('trace:id = "1"', [1, 2, 3, 4]),
        ('trace:id !~ "0*1"', []),
        ('span:id = "2"', [2]),
        ('span:id > "0000000000000002"', [3, 4]),
        ('span:id =~ "0+3"', [3]),
        ('span:parentID = "1"', [2, 4]),
        ('span:parentID != "1"', [3]),
        ("span:parentID != nil", [2, 3, 4]),
        ("span:childCount = 2", [1]),
        ("span:childCount > 0", [1, 2]),
        ("nestedSetParent = -1", [1]),
        ("nestedSetParent < 0", [1]),
        ("nestedSetParent >= 1", [2, 3, 4]),
        ("nestedSetLeft = 3", [3]),
        ("nestedSetRight = 8", [1]),
        ("nestedSetParent = 2", [3]),
        ("status = error", [3]),
        ('statusMessage = "bad"', [3]),
        ('statusMessage = ""', [1, 2, 4]),
        ("kind = server", [1]),
        ("kind != server", [2, 3, 4]),
        ('instrumentation:name = "lib"', [4]),
        ('instrumentation:version != "1"', [1, 2, 3]),
        ("instrumentation.deep", [4]),
        ('resource.service.name = "shop"', [1]),
        ("duration > 5ns && span:childCount < 1", [3, 4]),
    ],
)
def test_an_intrinsic_is_read(condition: str, expected: list[int]) -> None:
    scope = InstrumentationScope(name="lib", version="1", attributes={"deep": True})
    spans = [
        span(1, kind=SpanKind.SERVER, resource={"service.name": "shop"}),
        span(2, 1),
        span(3, 2, status=SpanStatus.ERROR, message="bad"),
        span(4, 1, scope=scope, end_ns=14),
    ]
    assert numbers(f"{{ {condition} }}", spans) == ([expected] if expected else [])


EVENTFUL = [
    span(1, x=1, events=[event("start", 3, code=1), event("end", 5, code=2)]),
    span(2, x=2, events=[event("end", 9, code=1)]),
    span(3, x=3),
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('event:name = "end"', [1, 2]),
        ('event:name = "start" && event.code = 1', [1]),
        ('event:name = "end" && event.code = 1', [2]),  # of one event, not of any two
        ('event:name = "start" && event.code = 2', []),
        ('event:name != "end"', [1]),
        ('!(event:name = "end")', [1, 3]),
        ("event.code = nil", []),
        ("event.other = nil", [1, 2]),
        ("event.code != nil", [1, 2]),
        ("event.code = .x", [1]),
        ("event:timeSinceStart > 2ns", [1, 2]),
        ("event:timeSinceStart = 2ns", [1]),
        ("event.code = 2 || .x = 3", [1, 3]),
        ('(event.code = 2 || .x = 2) && event:name = "end"', [1, 2]),
        ("event.code + 1 = 3", [1]),
        ('event:name =~ "st.*"', [1]),
        ('event:name !~ "st.*"', [1, 2]),
    ],
)  # fmt: skip
def test_a_condition_on_events_holds_for_some_event(condition: str, expected: list[int]) -> None:
    assert numbers(f"{{ {condition} }}", EVENTFUL) == ([expected] if expected else [])


def test_links_and_events_are_bound_together() -> None:
    def link(trace: int, **attributes: Any) -> SpanLink:
        return SpanLink(
            trace_id=RunId(f"{trace:032x}"), span_id=SpanId("ab" * 8), attributes=attributes
        )

    spans = [
        span(1, links=[link(7, k=1), link(8, k=2)], events=[event("a", code=2)]),
        span(2, links=[link(8, k=5)]),
        span(3),
    ]
    assert numbers('{ link:traceID = "7" }', spans) == [[1]]
    assert numbers('{ link:traceID !~ "0+7" }', spans) == [[1, 2]]  # never without a link
    assert numbers('{ link:spanID = "ABABABABABABABAB" }', spans) == [[1, 2]]
    assert numbers("{ link.k = event.code }", spans) == [[1]]
    assert numbers('{ link.k = event.code && link:traceID = "7" }', spans) == []
    assert numbers('{ link.k = event.code && link:traceID = "8" }', spans) == [[1]]
    assert numbers('{ link.k = 1 && event:name = "a" }', spans) == [[1]]
    assert numbers("{ link.none = nil }", spans) == [[1, 2]]


#   1 -> 2 -> 3 -> 4,  1 -> 5, and 7 under 6, which is not there
FAMILY = [span(1), span(2, 1), span(3, 2), span(4, 3), span(5, 1), span(7, 6), span(8, 7)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('{ name = "n1" } > {}', [2, 5]),
        ('{ name = "n1" } >> {}', [2, 3, 4, 5]),
        ('{ name = "n3" } < {}', [2]),
        ('{ name = "n4" } << {}', [1, 2, 3]),
        ('{ name = "n2" } ~ {}', [5]),
        ("{} ~ {}", [2, 5]),
        ('{ name = "n1" } !> {}', [1, 3, 4, 7, 8]),
        ('{ name = "n1" } !>> {}', [1, 7, 8]),
        ('{ name = "n4" } !<< {}', [4, 5, 7, 8]),
        ("{} !~ {}", [1, 3, 4, 7, 8]),
        ('{ name = "none" } !> { name = "n2" }', [2]),
        ('{ name = "n1" } !> { name = "none" }', []),
        ('{ name = "n1" } &> {}', [1, 2, 5]),
        ('{ name = "n1" } &>> { name = "n4" }', [1, 4]),
        ('{ name = "n4" } &<< { name = "n2" }', [2, 4]),
        ('{ name = "n2" } &~ { name = "n5" }', [2, 5]),
        ('{ name = "n1" } &> { name = "n4" }', []),
        ('{ name = "n1" } >> { name = "n3" } > {}', [4]),
        ('{ name = "n7" } > {}', []),  # no place in the tree
        ('{ name = "n1" } && { name = "n5" }', [1, 5]),
        ('{ name = "n1" } && { name = "none" }', []),
        ('{ name = "n1" } || { name = "none" }', [1]),
        ("{ name = `n1` } >> {} | { name = `n4` }", [4]),
        ("({ name = `n1` } | select(.x)) > ({} | count() > 1)", [2, 5]),
    ],
)
def test_spansets_are_related(query: str, expected: list[int]) -> None:
    assert numbers(query, FAMILY) == ([expected] if expected else [])


def test_cycles_of_parents_and_shared_ids_end() -> None:
    cycle = [span(1, 2), span(2, 1), span(3, 2)]
    assert numbers("{} >> {}", cycle) == []
    assert numbers("{} !>> {}", cycle) == [[1, 2, 3]]
    client = span(2, 1, kind=SpanKind.CLIENT)
    server = span(2, 2, kind=SpanKind.SERVER, start_ns=3)
    shared = [span(1), client, server, span(4, 2)]
    assert numbers("{ kind = client } > {}", shared) == [[2]]
    assert numbers("{ kind = server } > {}", shared) == [[4]]
    thrice = [span(1), span(2, 1), span(2, 1), span(2, 1), span(3, 2)]
    assert numbers('{} > { name = "n3" }', thrice) == []


def test_a_trace_is_evaluated_by_itself() -> None:
    spans = [span(1, x=1), span(2, 1, y=1), span(1, trace=2, x=1), span(2, 1, trace=3, y=1)]
    found = sets("{ .x = 1 } && { .y = 1 }", spans)
    assert [(one.trace, list(one.spans)) for one in found] == [(0, [0, 1])]
    assert [one.trace for one in sets("{}", spans)] == [0, 1, 2]


AGGREGATED = [
    span(1, x=1, m="a"),
    span(2, 1, x=2, m="b", end_ns=14),
    span(3, 1, x="text", m="a"),
    span(4, 1, f=1.5),
]


@pytest.mark.parametrize(
    ("stage", "value"),
    [
        ("count() > 3", 4),
        ("min(.x) = 1", 1),
        ("max(.x) = 2", 2),
        ("sum(.x) = 3", 3),
        ("avg(.x) = 1.5", 1.5),
        ("avg(duration) = 10ns", 10),  # 42 / 4, cut
        ("avg(span:childCount) < 1", 0.75),
        ("sum(.f) = 1.5", 1.5),
        ("max(.x + .x) = 4", 4),
    ],
)
def test_an_aggregate_skips_what_is_no_number(stage: str, value: float) -> None:
    (found,) = sets(f"{{}} | {stage}", AGGREGATED)
    (kept,) = found.values.values()
    assert kept == value
    assert type(kept) is type(value)
    assert len(found.spans) == 4


def test_an_aggregate_of_nothing_keeps_nothing() -> None:
    assert sets("{} | sum(.none) >= 0", AGGREGATED) == []
    assert sets("{} | sum(.none) != 5", AGGREGATED) == []
    assert sets("{} | count() > 4", AGGREGATED) == []


def test_by_makes_one_spanset_per_value_and_coalesce_joins_them() -> None:
    by = sets("{} | by(.m)", AGGREGATED)
    assert [(dict(one.values), list(one.spans)) for one in by] == [
        ({"by(.m)": "a"}, [0, 2]), ({"by(.m)": "b"}, [1]), ({}, [3]),
    ]  # fmt: skip
    counted = sets("{} | by(.m) | count() > 1", AGGREGATED)
    assert [dict(one.values) for one in counted] == [{"by(.m)": "a", "count()": 2}]
    (joined,) = sets("{} | by(.m) | { .m != `b` || .f > 1 } | coalesce()", AGGREGATED)
    assert (dict(joined.values), list(joined.spans)) == ({}, [0, 2, 3])
    typed = sets("{} | by(.x)", [span(1, x=1), span(2, x=1.0), span(3, x=True), span(4, x="1")])
    assert len(typed) == 4
    filtered = sets("{} | by(.m) | { .x = 1 } || { .x = 2 }", AGGREGATED)
    assert [list(one.spans) for one in filtered] == [[0], [1]]
    related = sets("{} | by(.m) | {} > {}", AGGREGATED)
    assert [(dict(one.values), list(one.spans)) for one in related] == [({"by(.m)": "a"}, [2])]


def test_stages_that_stand_first_or_after_select_work() -> None:
    assert numbers("{} | select(.x) | { .x = 1 }", AGGREGATED) == [[1]]
    assert numbers("by(.m) | count() > 1", AGGREGATED) == [[1, 3]]
    assert numbers("count() > 3 | { .x = 2 }", AGGREGATED) == [[2]]


def test_arithmetic_that_divides_an_integer_by_zero_is_an_error() -> None:
    with pytest.raises(QueryError, match="division by zero") as caught:
        sets("{ 1 / .zero = 1 }", [span(1, zero=0)])
    assert caught.value.code == "TR207"
    assert sets("{ .zero != 0 && 1 / .zero = 1 }", [span(1, zero=0)]) == []


def test_a_relation_between_several_spansets_is_an_error() -> None:
    with pytest.raises(QueryError, match="several spansets") as caught:
        sets("({} | by(.m)) >> ({} | select(.x))", AGGREGATED)
    assert caught.value.code == "TR220"
    assert numbers("({} | by(.m) | coalesce()) >> ({} | select(.x))", AGGREGATED) == [[2, 3, 4]]


def test_only_the_traces_that_are_asked_for_are_evaluated() -> None:
    spans = [span(1, trace=1, zero=1), span(1, trace=2, zero=0), span(1, trace=3, zero=1)]
    block = memory_block(spans)
    found = evaluate(chain("{ 1 / .zero = 1 }"), block, Budget(), {0, 2})
    assert [one.trace for one in found] == [0, 2]


def test_a_query_ends_with_its_budget() -> None:
    with pytest.raises(OutOfBudget):
        evaluate(
            chain("{ .x + 1 = 2 }"), memory_block([span(n) for n in range(1, 99)]), Budget(rows=50)
        )


def test_fields_are_told_and_read() -> None:
    query = "{ .a = 1 && name =~ `x` } >> { event.b > -.c } | select(.a, duration) | by(.d)"
    assert shown_fields(chain(query)) == (
        Attribute(Scope.ANY, "a"), Intrinsic(IntrinsicName.NAME), Attribute(Scope.EVENT, "b"),
        Attribute(Scope.ANY, "c"), Intrinsic(IntrinsicName.DURATION), Attribute(Scope.ANY, "d"),
    )  # fmt: skip
    block = memory_block(
        [span(1, d=["b", "a"], events=[event("x"), event("y", b=4)], resource={"a": True}), span(2)]
    )
    read = {
        text: field_values(field, block)
        for text, field in (("a", Attribute(Scope.ANY, "a")), ("b", Attribute(Scope.EVENT, "b")),
                            ("d", Attribute(Scope.SPAN, "d")))
    }  # fmt: skip
    assert [read["a"](0), read["b"](0), read["d"](0)] == [True, 4, '["a", "b"]']
    assert [read["a"](1), read["b"](1), read["d"](1)] == [None, None, None]


def test_no_spans_are_no_spansets() -> None:
    assert sets("{} >> {}", []) == []
