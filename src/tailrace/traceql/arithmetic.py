"""Arithmetic on constants, as spans are calculated with: integers stay integers."""

from __future__ import annotations

import math

from tailrace.traceql.fault import Fault, Place
from tailrace.traceql.limits import MAX_INT, MIN_INT
from tailrace.traceql.tree import BinaryOp, Literal, Type

_LARGEST_POWER = 64


def calculate(op: BinaryOp, left: Literal, right: Literal, place: Place) -> Literal:
    """Return ``left op right`` of two numbers or durations.

    Two integers give an integer (divisions are cut towards zero), durations with integers a
    duration, all else a float.

    Raises:
        Fault: division by zero, or a result out of the bounds of 64 bits.
    """
    a, b = left.value, right.value
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        raise Fault(f"'{op}' needs numbers", place, code="TR204")
    kind = _kind(op, left.type, right.type)
    try:
        value = _float(op, float(a), float(b)) if kind is Type.FLOAT else _int(op, int(a), int(b))
    except ZeroDivisionError:
        raise Fault("division by zero", place, code="TR207") from None
    except OverflowError:
        raise _too_large(place) from None
    if kind is Type.FLOAT and not math.isfinite(value):
        raise _too_large(place)
    if kind is not Type.FLOAT and not MIN_INT <= value <= MAX_INT:
        raise _too_large(place)
    return Literal(kind, value)


def _too_large(place: Place) -> Fault:
    return Fault("the result is too large for 64 bits", place, code="TR207")


def _kind(op: BinaryOp, left: Type, right: Type) -> Type:
    if left is Type.INT and right is Type.INT:
        return Type.INT
    if Type.FLOAT in (left, right) or op in (BinaryOp.DIV, BinaryOp.MOD, BinaryOp.POW):
        return Type.FLOAT
    return Type.DURATION


def _int(op: BinaryOp, a: int, b: int) -> int:
    match op:
        case BinaryOp.ADD:
            return a + b
        case BinaryOp.SUB:
            return a - b
        case BinaryOp.MUL:
            return a * b
        case BinaryOp.DIV:
            return _quotient(a, b)
        case BinaryOp.MOD:
            return a - b * _quotient(a, b)
        case _:
            return _power(a, b)


def _quotient(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _power(a: int, b: int) -> int:
    if a in (0, 1, -1):
        if a == 0 and b < 0:
            raise ZeroDivisionError
        return 1 if b == 0 or a == 1 else (0 if a == 0 else 1 - 2 * (b % 2))
    if b < 0:
        return 0
    if b > _LARGEST_POWER:
        raise OverflowError
    return int(a**b)


def _float(op: BinaryOp, a: float, b: float) -> float:
    match op:
        case BinaryOp.ADD:
            return a + b
        case BinaryOp.SUB:
            return a - b
        case BinaryOp.MUL:
            return a * b
        case BinaryOp.DIV:
            return a / b
        case BinaryOp.MOD:
            if b == 0:
                raise ZeroDivisionError
            return math.fmod(a, b)
        case _:
            if a < 0 and not b.is_integer():
                raise OverflowError
            return float(a**b)
