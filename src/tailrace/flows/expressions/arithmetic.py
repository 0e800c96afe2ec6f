"""Operators on values: numbers, texts, lists, dates. Results are bounded before they are made."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.evaluation import Evaluation, is_container, kind_of
from tailrace.flows.expressions.limits import MAX_INTEGER_BITS, MAX_ITEMS, MAX_TEXT, too_much

Operation = Callable[[Any, Any], Any]

_ARITHMETIC: dict[str, Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_COMPARE: dict[str, Operation] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS = frozenset({int, float, bool})


def calculate(op: str, left: Any, right: Any, run: Evaluation, column: int) -> Any:
    """Return ``left op right``.

    Raises:
        ExpressionError: the operands do not fit, the result would be too large, or there is none.
    """
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        _check_operands(op, left, right, run, column)
    elif op == "*" and _bits(left) + _bits(right) > MAX_INTEGER_BITS:
        raise too_much("the size of the integer in bits", MAX_INTEGER_BITS, column)
    try:
        result = _ARITHMETIC[op](left, right)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ExpressionError(
            f"{kind_of(left)} {op} {kind_of(right)} has no value: {error}",
            code="TR146",
            column=column,
        ) from error
    if type(result) is int and result.bit_length() > MAX_INTEGER_BITS:
        raise too_much("the size of the integer in bits", MAX_INTEGER_BITS, column)
    return result


def _bits(value: float) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_operands(op: str, left: Any, right: Any, run: Evaluation, column: int) -> None:
    if op == "+" and isinstance(left, str) and isinstance(right, str):
        _check_size("the length of the text", len(left) + len(right), MAX_TEXT, run, column)
    elif op == "+" and _is_list_pair(left, right):
        _check_size("the length of the list", len(left) + len(right), MAX_ITEMS, run, column)
    elif op == "*" and (repeated := _repeated(left, right)) is not None:
        items, times = repeated
        limit = MAX_TEXT if isinstance(items, str) else MAX_ITEMS
        _check_size("the length of the result", len(items) * max(times, 0), limit, run, column)
    elif not (_is_quantity(left) and _is_quantity(right)):
        hint = ""
        if op == "+" and str in {type(left), type(right)}:
            hint = "Put them into one text instead, such as '{{ a }}{{ b }}'."
        raise ExpressionError(
            f"{op!r} does not fit {kind_of(left)} and {kind_of(right)}",
            code="TR146",
            column=column,
            hint=hint,
        )


def _check_size(what: str, size: int, limit: int, run: Evaluation, column: int) -> None:
    if size > limit:
        raise too_much(what, limit, column)
    run.charge_scan(size, column)


def _is_list_pair(left: Any, right: Any) -> bool:
    return (isinstance(left, list) and isinstance(right, list)) or (
        isinstance(left, tuple) and isinstance(right, tuple)
    )


def _repeated(left: Any, right: Any) -> tuple[Any, int] | None:
    if isinstance(left, int) and isinstance(right, str | list | tuple):
        return right, left
    if isinstance(right, int) and isinstance(left, str | list | tuple):
        return left, right
    return None


def _is_quantity(value: Any) -> bool:
    """Return whether a value is a number, a date, a time or a span of time."""
    if isinstance(value, int | float):
        return True
    import datetime as dt  # noqa: PLC0415 - only for values that are no plain number
    import numbers  # noqa: PLC0415 - likewise

    return isinstance(value, numbers.Number | dt.date | dt.timedelta)


def signed(op: str, value: Any, column: int) -> Any:
    """Return ``+value`` or ``-value``.

    Raises:
        ExpressionError: it is no number.
    """
    if isinstance(value, str) or is_container(value) or not _is_quantity(value):
        raise ExpressionError(f"{op!r} does not fit {kind_of(value)}", code="TR146", column=column)
    try:
        return -value if op == "-" else +value
    except TypeError as error:
        raise ExpressionError(
            f"{op!r} does not fit {kind_of(value)}", code="TR146", column=column
        ) from error


def compare(op: str, left: Any, right: Any, run: Evaluation, column: int) -> bool:
    """Return whether ``left op right`` holds.

    Raises:
        ExpressionError: the values have no order, or cannot be searched.
    """
    operation = _COMPARE.get(op)
    if operation is None:
        return _is_in(left, right, run, column) is (op == "in")
    if is_container(left) and is_container(right):
        run.charge_deep(left, column)
        run.charge_deep(right, column)
    try:
        return bool(operation(left, right))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ExpressionError(
            f"{op!r} does not fit {kind_of(left)} and {kind_of(right)}",
            code="TR146",
            column=column,
            hint="Compare values of one kind.",
        ) from error


def _is_in(item: Any, inside: Any, run: Evaluation, column: int) -> bool:
    if isinstance(inside, str) is not isinstance(item, str) and isinstance(inside, str):
        raise ExpressionError(f"{kind_of(item)} cannot be in a text", code="TR146", column=column)
    if not isinstance(inside, Mapping | Sequence | AbstractSet):
        raise ExpressionError(
            f"'in' needs a list, a mapping or a text on its right, not {kind_of(inside)}",
            code="TR146",
            column=column,
        )
    if is_container(item):
        run.charge_deep(inside, column)
    elif isinstance(inside, Sequence):
        run.charge_scan(len(inside), column)
    try:
        return bool(item in inside)
    except TypeError as error:
        raise ExpressionError(
            f"{kind_of(item)} cannot be in {kind_of(inside)}", code="TR146", column=column
        ) from error
