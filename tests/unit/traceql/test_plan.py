"""What a trace must have for a query to match."""

from __future__ import annotations

import pytest

from tailrace.traceql import check, parse
from tailrace.traceql.block import Owner
from tailrace.traceql.checked import Chain
from tailrace.traceql.plan import (
    ALWAYS,
    NEVER,
    All,
    Condition,
    Leaf,
    Of,
    Some,
    column_may_hold,
    may_match,
    needs,
)
from tailrace.traceql.tree import BinaryOp, Type

A = Leaf(Owner.SPAN, "a", BinaryOp.EQ, 1)
ERROR = Leaf(Owner.INTRINSIC, "status", BinaryOp.EQ, "error")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{}", ALWAYS),
        ("{ false }", NEVER),
        ("{ span.a = 1 }", A),
        ("{ 1 = span.a }", A),
        ("{ 3 < span.a }", Leaf(Owner.SPAN, "a", BinaryOp.GT, 3)),
        ("{ .a = 1 }", Some((A, Leaf(Owner.RESOURCE, "a", BinaryOp.EQ, 1)))),
        ("{ span.a = 1 && status = error }", All((A, ERROR))),
        ("{ span.a = 1 || status = error }", Some((A, ERROR))),
        ("{ span.a = 1 || span.a + 1 = 2 }", ALWAYS),
        ("{ !(span.a = 1) }", ALWAYS),
        ("{ span.a }", Leaf(Owner.SPAN, "a", BinaryOp.EQ, value=True)),
        ("{ span.a != nil }", Leaf(Owner.SPAN, "a")),
        ("{ span.a = nil }", ALWAYS),
        ("{ event.a =~ `x` }", Leaf(Owner.EVENT, "a")),
        ("{ name =~ `x` }", ALWAYS),
        ("{ status = unset }", ALWAYS),
        ('{ statusMessage < "x" }', ALWAYS),
        ('{ trace:id = "1" }', Leaf(Of.TRACE, "trace:id", BinaryOp.EQ, f"{1:032x}")),
        ("{ duration > 1s }", Leaf(Of.SPAN, "duration", BinaryOp.GT, 10**9)),
        ("{ span.a = 1 } >> { status = error }", All((A, ERROR))),
        ("{ span.a = 1 } !>> { status = error }", ERROR),
        ("{ span.a = 1 } || { status = error }", Some((A, ERROR))),
        ("{ span.a = 1 } | { status = error } | by(name)", All((A, ERROR))),
        ("{} | count() > 3", Leaf(Of.TRACE, "spans", BinaryOp.GT, 3)),
        ("{} | count() = 3", Leaf(Of.TRACE, "spans", BinaryOp.GE, 3)),
        ("{} | count() < 3", ALWAYS),
        ("{} | max(span.a) = 1", A),
        ("{} | avg(span.a) > 1", Leaf(Owner.SPAN, "a")),
        ("{} | sum(span.a + 1) > 1", ALWAYS),
    ],
)
def test_a_query_needs(query: str, expected: Condition) -> None:
    plan = check(parse(query)).plan
    assert isinstance(plan, Chain)
    assert needs(plan) == expected


def test_a_condition_is_met_by_what_is_possible() -> None:
    either = Some((A, ERROR))
    assert may_match(All((either, ALWAYS)), lambda leaf: leaf is ERROR)
    assert not may_match(All((A, ERROR)), lambda leaf: leaf is ERROR)
    assert not may_match(NEVER, lambda _: True)


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        (BinaryOp.EQ, 5, True), (BinaryOp.EQ, 4.5, False), (BinaryOp.EQ, "5", False),
        (BinaryOp.LT, 5, False), (BinaryOp.LE, 5, True), (BinaryOp.GT, 9, False),
        (BinaryOp.GE, 9, True), (BinaryOp.NE, 5, True),
    ],
)  # fmt: skip
def test_bounds_of_a_column_say_what_it_may_hold(
    op: BinaryOp, value: float | str, *, expected: bool
) -> None:
    leaf = Leaf(Owner.SPAN, "a", op, value)
    assert column_may_hold(leaf, Type.INT, 5, 9) is expected


def test_a_column_without_bounds_may_hold_anything_of_its_class() -> None:
    leaf = Leaf(Owner.SPAN, "a", BinaryOp.NE, 1)
    assert column_may_hold(leaf, Type.INT, None, None)
    assert not column_may_hold(leaf, Type.INT, 1, 1)
    assert column_may_hold(leaf, Type.FLOAT, 1.0, 1.0, has_nan=True)
    assert not column_may_hold(leaf, Type.STRING, None, None)
    assert column_may_hold(Leaf(Owner.SPAN, "a"), Type.STRING, "a", "b")
