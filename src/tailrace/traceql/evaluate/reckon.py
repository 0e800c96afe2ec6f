"""Arithmetic and comparisons between values as they are read from spans."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from tailrace.errors import QueryError
from tailrace.traceql.checked import Calculation, Negative, Operand
from tailrace.traceql.evaluate.fields import Held, Single
from tailrace.traceql.names import INTRINSIC_TYPES
from tailrace.traceql.tree import BinaryOp, Intrinsic, Literal, Type

COMPARE: dict[BinaryOp, Callable[[Any, Any], bool]] = {
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge,
}
SWAPPED = {
    BinaryOp.EQ: BinaryOp.EQ, BinaryOp.NE: BinaryOp.NE, BinaryOp.LT: BinaryOp.GT,
    BinaryOp.LE: BinaryOp.GE, BinaryOp.GT: BinaryOp.LT, BinaryOp.GE: BinaryOp.LE,
}  # fmt: skip
"""The comparison that says the same with its sides changed."""
_EQUALITY = frozenset({BinaryOp.EQ, BinaryOp.NE})
_KEEPS_DURATION = frozenset({BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL})
_HALF, _WHOLE = 1 << 63, 1 << 64
_CLASSES: dict[type, str] = {int: "number", float: "number", str: "text", bool: "truth"}
TYPE_CLASSES: dict[Type, str] = {
    Type.INT: "number", Type.FLOAT: "number", Type.DURATION: "number", Type.STRING: "text",
    Type.STATUS: "text", Type.KIND: "text", Type.BOOL: "truth",
}  # fmt: skip


def class_of(value: object) -> str:
    """Return ``number``, ``text`` or ``truth``: only values of one class are compared."""
    return _CLASSES.get(type(value), "")


def wrapped(number: int) -> int:
    """Return a number as 64 bits with a sign hold it."""
    if -_HALF <= number < _HALF:
        return number
    return (number + _HALF) % _WHOLE - _HALF


def is_duration(operand: Operand) -> bool:
    """Return whether an integer that an operand gives is a duration."""
    match operand:
        case Literal(kind):
            return kind is Type.DURATION
        case Intrinsic(name):
            return INTRINSIC_TYPES[name] is Type.DURATION
        case Negative(inner):
            return is_duration(inner)
        case Calculation(op, left, right):
            return op in _KEEPS_DURATION and (is_duration(left) or is_duration(right))
        case _:
            return False


def comparer(op: BinaryOp) -> Callable[[Held, Held], bool]:
    """Return the function for one of ``= != < <= > >=`` between any two values.

    Missing values and values of different classes do not compare. Of an array any element may
    hold, for ``!=`` none may be equal; two arrays are equal when they have the same elements.
    """
    compare = COMPARE[op]
    ordered = op not in _EQUALITY

    def single(a: Single, b: Single) -> bool:
        kind = class_of(a)
        return kind == class_of(b) and not (ordered and kind == "truth") and compare(a, b)

    def any_two(a: Held, b: Held) -> bool:
        kind, other = a.__class__, b.__class__
        if (kind is int or kind is float) and (other is int or other is float):
            return compare(a, b)
        if a is None or b is None:
            return False
        if isinstance(a, tuple):
            if isinstance(b, tuple):
                return not ordered and _equal_arrays(a, b) == (op is BinaryOp.EQ)
            return _over_array(op, a, b, single)
        if isinstance(b, tuple):
            return _over_array(op, b, a, lambda element, other: single(other, element))
        return single(a, b)

    return any_two


def _equal_arrays(a: tuple[Single, ...], b: tuple[Single, ...]) -> bool:
    return len(a) == len(b) and all(
        class_of(x) == class_of(y) and x == y for x, y in zip(a, b, strict=True)
    )


def _over_array(
    op: BinaryOp,
    array: tuple[Single, ...],
    other: Single,
    holds: Callable[[Single, Single], bool],
) -> bool:
    kind = class_of(other)
    elements = [element for element in array if class_of(element) == kind]
    if op is BinaryOp.NE:
        return bool(elements) and all(holds(element, other) for element in elements)
    return any(holds(element, other) for element in elements)


def calculator(op: BinaryOp, *, duration: bool) -> Callable[[Held, Held], Held]:
    """Return the function for an arithmetic operator between any two values; None is nil.

    Args:
        op: one of ``+ - * / % ^``.
        duration: whether an operand is a duration if it is an integer; ``/ % ^`` then give
            floats.
    """
    whole, broken = _INTEGERS[op], _FLOATS[op]
    stays = not duration or op in _KEEPS_DURATION

    def calculate(a: Held, b: Held) -> Held:
        a_kind, b_kind = type(a), type(b)
        if a_kind is int and b_kind is int and stays:
            return whole(a, b)
        if (a_kind is int or a_kind is float) and (b_kind is int or b_kind is float):
            try:
                return broken(float(a), float(b))  # type: ignore[arg-type]
            except OverflowError:
                return math.inf
        return None

    return calculate


def negative(value: Held) -> Held:
    """Return ``-value``; nil of what is no number."""
    if type(value) is int:
        return wrapped(-value)
    return -value if type(value) is float else None


def quotient(a: int, b: int) -> int:
    """Return ``a / b`` cut towards zero.

    Raises:
        QueryError: ``b`` is zero.
    """
    if b == 0:
        message = "division by zero at a span"
        hint = "Leave such spans out first: { .b != 0 } | { .a / .b > 1 }."
        raise QueryError(message, code="TR207", hint=hint)
    result = abs(a) // abs(b)
    return wrapped(result if (a < 0) == (b < 0) else -result)


def _power(a: int, b: int) -> int:
    if b >= 0:
        return wrapped(pow(a, b, _WHOLE))
    if a in (1, -1):
        return 1 if a == 1 or b % 2 == 0 else -1
    return quotient(1, a)


def _divided(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


def _rest(a: float, b: float) -> float:
    return math.fmod(a, b) if b and math.isfinite(a) else math.nan


def _raised(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except ValueError:
        return math.nan if a else math.inf


_INTEGERS: dict[BinaryOp, Callable[[Any, Any], int]] = {
    BinaryOp.ADD: lambda a, b: wrapped(a + b),
    BinaryOp.SUB: lambda a, b: wrapped(a - b),
    BinaryOp.MUL: lambda a, b: wrapped(a * b),
    BinaryOp.DIV: quotient,
    BinaryOp.MOD: lambda a, b: a - b * quotient(a, b) if b != -1 else 0,
    BinaryOp.POW: _power,
}
_FLOATS: dict[BinaryOp, Callable[[float, float], float]] = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
    BinaryOp.DIV: _divided,
    BinaryOp.MOD: _rest,
    BinaryOp.POW: _raised,
}
