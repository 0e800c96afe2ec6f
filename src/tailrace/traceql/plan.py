"""What a trace must have to match a chain: used to skip what cannot match without reading it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, assert_never, cast

from msgspec import Struct

from tailrace.traceql.block import Owner
from tailrace.traceql.checked import (
    And,
    Bound,
    Chain,
    Comparison,
    Either,
    Exists,
    Group,
    Keep,
    Matches,
    Merge,
    Operand,
    Or,
    Related,
    Show,
    Side,
    Step,
    Together,
)
from tailrace.traceql.evaluate.fields import OF_TRACE, OWNERS, STORED
from tailrace.traceql.evaluate.reckon import COMPARE, SWAPPED, TYPE_CLASSES, class_of
from tailrace.traceql.evaluate.space import flattened
from tailrace.traceql.tree import (
    AggregateName,
    Attribute,
    BinaryOp,
    Field,
    Intrinsic,
    IntrinsicName,
    Literal,
    Scope,
    Type,
)

Known = str | int | float | bool


class Of(StrEnum):
    """What a requirement is about that is no column."""

    SPAN = "spans"
    """Some span of the trace; names: ``duration span:id span:parentID``."""
    TRACE = "trace"
    """The trace; names: ``trace:id traceDuration rootName rootServiceName`` and ``spans``."""


class Leaf(Struct, frozen=True):
    """Some span, event or link of the trace (or the trace) has a value for which it holds.

    Without ``op`` any value will do. A number may meet INT, FLOAT and DURATION columns, a text
    STRING, STATUS and KIND, a boolean BOOL.
    """

    owner: Owner | Of
    name: str
    op: BinaryOp | None = None
    value: Known | None = None


class All(Struct, frozen=True):
    """All parts hold; none: always."""

    parts: tuple[Condition, ...]


class Some(Struct, frozen=True):
    """One of the parts holds; none: never."""

    parts: tuple[Condition, ...]


Condition = Leaf | All | Some
ALWAYS = All(())
NEVER = Some(())


_OF_SPAN = frozenset({IntrinsicName.DURATION, IntrinsicName.SPAN_ID, IntrinsicName.SPAN_PARENT_ID})
_ONE_OF_THE_VALUES = frozenset({AggregateName.MIN, AggregateName.MAX})


def needs(chain: Chain) -> Condition:
    """Return what is true of every trace that matches; the reverse need not hold."""
    return _all([_of_step(step) for step in chain.stages])


def _of_step(step: Step) -> Condition:
    match step:
        case Keep(condition):
            return _of_condition(condition)
        case Chain():
            return needs(step)
        case Together(left, right):
            return _all([_of_step(left), _of_step(right)])
        case Either(left, right):
            return _some([_of_step(left), _of_step(right)])
        case Related(_, Side.UNRELATED, _, right):
            return _of_step(right)
        case Related(_, _, left, right):
            return _all([_of_step(left), _of_step(right)])
        case Bound():
            return _of_bound(step)
        case Group() | Merge() | Show():
            return ALWAYS
        case _:
            assert_never(step)


def _of_bound(step: Bound) -> Condition:
    limit = step.value.value
    assert isinstance(limit, int | float)  # noqa: S101 - aggregates are compared with numbers
    if step.operand is None:
        if step.op in (BinaryOp.GT, BinaryOp.GE, BinaryOp.EQ):
            least = BinaryOp.GE if step.op is BinaryOp.EQ else step.op
            return Leaf(Of.TRACE, "spans", least, limit)
        return ALWAYS
    if not isinstance(step.operand, Attribute | Intrinsic):
        return ALWAYS
    op = step.op if step.function in _ONE_OF_THE_VALUES else None
    return _leaf(step.operand, op, limit if op else None)


def _of_condition(operand: Operand) -> Condition:
    match operand:
        case Literal(_, value):
            return ALWAYS if value is True else NEVER
        case And():
            return _all([_of_condition(part) for part in flattened(operand, And)])
        case Or():
            return _some([_of_condition(part) for part in flattened(operand, Or)])
        case Attribute() | Intrinsic():
            return _leaf(operand, BinaryOp.EQ, value=True)
        case Comparison(op, left, Literal() as right) if isinstance(left, Attribute | Intrinsic):
            return _leaf(left, op, right.value)
        case Comparison(op, Literal() as left, right) if isinstance(right, Attribute | Intrinsic):
            return _leaf(right, SWAPPED[op], left.value)
        case Matches(Attribute() | Intrinsic() as field) | Exists(
            Attribute() | Intrinsic() as field, negated=False
        ):
            return _leaf(field, None)
        case _:
            return ALWAYS


def _leaf(field: Field, op: BinaryOp | None, value: Known | None = None) -> Condition:
    if isinstance(field, Attribute):
        if field.scope is Scope.ANY:
            return Some(
                (
                    Leaf(Owner.SPAN, field.name, op, value),
                    Leaf(Owner.RESOURCE, field.name, op, value),
                )
            )
        return Leaf(OWNERS[field.scope], field.name, op, value)
    if op is None:
        return ALWAYS
    if field.name in STORED:
        absent = STORED[field.name]
        if class_of(absent) == class_of(value) and COMPARE[op](absent, value):
            return ALWAYS  # rows may be left out of the column
        return Leaf(Owner.INTRINSIC, field.name, op, value)
    if field.name in OF_TRACE:
        return Leaf(Of.TRACE, field.name, op, value)
    return Leaf(Of.SPAN, field.name, op, value) if field.name in _OF_SPAN else ALWAYS


def _all(parts: list[Condition]) -> Condition:
    if NEVER in parts:
        return NEVER
    flat: dict[Condition, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, All) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else All(tuple(flat))


def _some(parts: list[Condition]) -> Condition:
    if ALWAYS in parts:
        return ALWAYS
    flat: dict[Condition, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, Some) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else Some(tuple(flat))


def may_match(condition: Condition, possible: Callable[[Leaf], bool]) -> bool:
    """Return whether a condition can be met where ``possible`` says which leaves can."""
    match condition:
        case Leaf():
            return possible(condition)
        case All(parts):
            return all(may_match(part, possible) for part in parts)
        case Some(parts):
            return any(may_match(part, possible) for part in parts)


def column_may_hold(
    leaf: Leaf, kind: Type, least: Known | None, most: Known | None, *, has_nan: bool = False
) -> bool:
    """Return whether a column of one type, with bounds of its values, can make a leaf true.

    Args:
        leaf: of the column's owner and name.
        kind: the column's type.
        least: the least value, or something not above it; None where nothing is known.
        most: likewise the greatest.
        has_nan: whether some row may be NaN.
    """
    if leaf.op is None or leaf.value is None:
        return True
    if class_of(leaf.value) != TYPE_CLASSES[kind]:
        return False
    if leaf.op is BinaryOp.NE and has_nan:
        return True
    if least is None or most is None:
        return True
    return bounds_may_hold(leaf.op, leaf.value, least, most)


def bounds_may_hold(op: BinaryOp, value: Known, least: Known, most: Known) -> bool:
    """Return whether something from ``least`` to ``most``, all of one class, may meet ``op``."""
    low, high, than = cast("Any", least), cast("Any", most), cast("Any", value)
    match op:
        case BinaryOp.EQ:
            return bool(low <= than <= high)
        case BinaryOp.NE:
            return not low == than == high
        case BinaryOp.LT:
            return bool(low < than)
        case BinaryOp.LE:
            return bool(low <= than)
        case BinaryOp.GT:
            return bool(high > than)
        case _:
            return bool(high >= than)
