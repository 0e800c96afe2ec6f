"""Metrics functions and what may follow them."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.traceql.cursor import Cursor
from tailrace.traceql.fault import Fault
from tailrace.traceql.names import MIN_MAX_INT
from tailrace.traceql.parse_field import parse_field, parse_fields
from tailrace.traceql.tokens import Kind
from tailrace.traceql.tree import (
    BinaryOp,
    Compare,
    Field,
    Filter,
    Literal,
    Measure,
    MeasureName,
    Rank,
    RankName,
    Second,
    Threshold,
    Type,
)

COMPARE = "compare"
MEASURES = frozenset(MeasureName) | {COMPARE}
RANKS = frozenset(RankName)
COMPARING = frozenset({"=", "!=", "<", "<=", ">", ">="})
_NUMERIC = (Type.INT, Type.FLOAT, Type.DURATION)
_WITHOUT_FIELD = (MeasureName.RATE, MeasureName.COUNT)


def parse_function(cursor: Cursor, read_filter: Callable[[], Filter]) -> Measure | Compare:
    """Return the metrics function that stands here; its name is known to be one."""
    token = cursor.advance()
    cursor.expect("(", after=f"'{token.text}'")
    if token.text == COMPARE:
        return _compare(cursor, read_filter, token.place.start)
    function = MeasureName(token.text)
    operand = None if function in _WITHOUT_FIELD else parse_field(cursor)
    quantiles: list[Literal] = []
    if function is MeasureName.QUANTILE:
        if not cursor.sees(","):
            cursor.fail(["','"], after="the field", hint="Write quantile_over_time(duration, 0.9).")
        while cursor.accept(","):
            quantiles.append(parse_number(cursor))
    cursor.expect(")")
    by: tuple[Field, ...] = ()
    if cursor.sees_name("by"):
        cursor.advance()
        by = parse_fields(cursor)
    place = cursor.place_from(token.place.start)
    return Measure(function, operand, tuple(quantiles), by, place=place)


def _compare(cursor: Cursor, read_filter: Callable[[], Filter], start: int) -> Compare:
    if not cursor.sees("{"):
        cursor.fail(["'{'"], after="'compare('", hint="Write compare({ status = error }).")
    selection = read_filter()
    numbers: list[Literal] = []
    while len(numbers) < 3 and cursor.accept(","):
        numbers.append(parse_integer(cursor))
    if len(numbers) == 2:
        cursor.fail(["','"], after="the start", hint="Give the end, too: both are Unix ns.")
    cursor.expect(")")
    top, begin, end = (*numbers, None, None, None)[:3]
    return Compare(selection, top, begin, end, place=cursor.place_from(start))


def parse_seconds(cursor: Cursor) -> tuple[Second, ...]:
    """Return the ``| topk(n)`` and ``> value`` that stand here; there may be none."""
    seconds: list[Second] = []
    while True:
        token = cursor.token
        if token.kind is Kind.SYMBOL and token.text in COMPARING:
            cursor.advance()
            value = parse_number(cursor)
            place = cursor.place_from(token.place.start)
            seconds.append(Threshold(BinaryOp(token.text), value, place=place))
        elif cursor.sees("|") and cursor.following().text in RANKS:
            cursor.advance()
            seconds.append(_rank(cursor))
        else:
            return tuple(seconds)


def _rank(cursor: Cursor) -> Rank:
    name = cursor.advance()
    cursor.expect("(", after=f"'{name.text}'")
    count = parse_integer(cursor)
    cursor.expect(")")
    return Rank(RankName(name.text), count, place=cursor.place_from(name.place.start))


def parse_integer(cursor: Cursor) -> Literal:
    """Return the integer that stands here; it has no sign."""
    token = cursor.token
    if token.kind is Kind.LITERAL and token.value.type is Type.INT:
        literal: Literal = cursor.advance().value
        return literal
    return cursor.fail(["a whole number"])


def parse_number(cursor: Cursor) -> Literal:
    """Return the number or duration that stands here, with its sign.

    Raises:
        Fault: none stands here.
    """
    start = cursor.token.place.start
    negative = cursor.accept("-")
    token = cursor.token
    if token.kind is Kind.NAME and token.text in MIN_MAX_INT and not negative:
        return Literal(Type.INT, MIN_MAX_INT[token.text], place=cursor.advance().place)
    if token.kind is not Kind.LITERAL or token.value.type not in _NUMERIC:
        expected = ["a number"]
        return cursor.fail(expected, known=MIN_MAX_INT if token.kind is Kind.NAME else ())
    value = cursor.advance().value
    number = -value.value if negative else value.value
    return Literal(value.type, number, place=cursor.place_from(start))


def refuse_early(cursor: Cursor) -> None:
    """Refuse a metrics function, ``topk`` or ``coalesce`` where a pipeline begins.

    Raises:
        Fault: one stands here.
    """
    name = cursor.token.text
    if cursor.token.kind is not Kind.NAME:
        return
    if name in MEASURES:
        message, hint = f"{name}() needs spans before it", f"Write {{}} | {name}(…)."
    elif name in RANKS:
        message, hint = f"{name}() follows a metrics function", f"Write {{}} | rate() | {name}(5)."
    elif name == "coalesce":
        message, hint = "coalesce() cannot stand first", "Write {} | by(.name) | coalesce()."
    else:
        return
    raise Fault(message, cursor.token.place, code="TR206", hint=hint)
