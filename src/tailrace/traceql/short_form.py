"""The older short form: ``traces{} | pick(columns) | limit N`` and conditions joined by ``|``."""

from __future__ import annotations

import re

from msgspec import Struct, field

from tailrace.traceql.fault import Fault, Place, nearest, shown
from tailrace.traceql.limits import MAX_INT, MAX_QUERY
from tailrace.traceql.names import KINDS
from tailrace.traceql.tree import (
    Attribute,
    Binary,
    BinaryOp,
    Dialect,
    Expr,
    Filter,
    Intrinsic,
    IntrinsicName,
    Literal,
    Pipeline,
    Query,
    Scope,
    Type,
)

COLUMNS = ("trace_id", "root_service", "root_name", "start_time", "end_time", "span_count")
_BEGIN = re.compile(
    r"\s*(?:traces\s*\{|(?:trace_id|pick|limit)\b|span\.(?:name|kind|attributes)\b)"
)
_SEGMENT = re.compile(r"(?:[^|\"]|\"[^\"]*\"?)*")
_TRACES = re.compile(r"traces\s*\{\s*\}")
_PICK = re.compile(r"pick\s*\(([^()]*)\)")
_LIMIT = re.compile(r"limit\s+([0-9]{1,9})")
_WORD = re.compile(r"[^\s,]+")
_CONDITION = re.compile(
    r"(?P<left>trace_id|span\.name|span\.kind|span\.attributes\s*\[\s*\"(?P<key>[^\"]+)\"\s*\])"
    r"\s*==?\s*(?:\"(?P<text>[^\"]*)\"|(?P<word>true|false)"
    r"|(?P<number>-?[0-9]{1,40}(?P<fraction>\.[0-9]{1,40})?))"
)
_FORMS = (
    "traces{}", "pick(trace_id, …)", "limit N", 'trace_id = "…"', 'span.name == "…"',
    'span.kind == "…"', 'span.attributes["…"] == "…"',
)  # fmt: skip


class _Reading(Struct):
    conditions: list[Expr] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    limit: int | None = None


def is_short_form(text: str) -> bool:
    """Return whether a text begins as the short form does, which no TraceQL query does."""
    return _BEGIN.match(text) is not None


def parse_short_form(text: str) -> Query:
    """Return the query that a text in the short form stands for: one filter.

    Raises:
        Fault: a segment is none of the known ones.
    """
    if len(text) > MAX_QUERY:
        message = f"the query has {len(text)} characters; the limit is {MAX_QUERY}"
        raise Fault(message, Place(MAX_QUERY, MAX_QUERY + 1), code="TR208")
    reading = _Reading()
    at = 0
    while True:
        found = _SEGMENT.match(text, at)
        assert found is not None  # noqa: S101 - it matches the empty text
        segment = found.group()
        start = at + len(segment) - len(segment.lstrip())
        _read(segment.strip(), start, reading, first=at == 0)
        if found.end() >= len(text):
            break
        at = found.end() + 1
    condition: Expr | None = None
    for part in reading.conditions:
        condition = part if condition is None else Binary(BinaryOp.AND, condition, part)
    place = Place(0, len(text))
    body = Pipeline((Filter(condition, place=place),), place=place)
    return Query(body, (), Dialect.SHORT, reading.columns, reading.limit, text=text)


def _read(segment: str, start: int, reading: _Reading, *, first: bool) -> None:
    place = Place(start, start + max(1, len(segment)))
    if _TRACES.fullmatch(segment) and first:
        return
    if found := _PICK.fullmatch(segment):
        reading.columns = _columns(found, start)
    elif found := _LIMIT.fullmatch(segment):
        reading.limit = int(found[1])
        if not reading.limit:
            raise Fault("limit must be at least 1", place, code="TR207")
    elif found := _CONDITION.fullmatch(segment):
        reading.conditions.append(_condition(found, place))
        if len(reading.conditions) > _MOST_CONDITIONS:
            raise Fault(f"more than {_MOST_CONDITIONS} conditions", place, code="TR208")
    else:
        raise Fault(
            f"{shown(segment)} is nothing of the short form" if segment else "nothing stands here",
            place,
            code="TR218",
            hint=f'Known: {", ".join(_FORMS)}; or write TraceQL: {{ span.key = "value" }}.',
            expected=_FORMS,
        )


_MOST_CONDITIONS = 100


def _columns(found: re.Match[str], start: int) -> tuple[str, ...]:
    names: list[str] = []
    for word in _WORD.finditer(found[1]):
        if word.group() not in COLUMNS:
            offset = start + found.start(1)
            near = nearest(word.group(), COLUMNS)
            raise Fault(
                f"there is no column {shown(word.group())} (known: {', '.join(COLUMNS)})",
                Place(offset + word.start(), offset + word.end()),
                code="TR218",
                hint=f"Did you mean '{near}'?" if near else "",
                expected=COLUMNS,
            )
        names.append(word.group())
    if not names:
        place = Place(start, start + len(found.group()))
        raise Fault("pick() names no column", place, code="TR218", expected=COLUMNS)
    return tuple(names)


def _condition(found: re.Match[str], place: Place) -> Expr:
    left = found["left"]
    if left == "span.kind":
        return _equal(_intrinsic(IntrinsicName.KIND, place), _kind(found, place), place)
    literal = _literal(found, place)
    if found["key"]:
        return _equal(Attribute(Scope.SPAN, found["key"], place=place), literal, place)
    if literal.type is not Type.STRING:
        raise Fault(f"{left} is compared with a text", place, code="TR204", hint="Quote it.")
    name = IntrinsicName.TRACE_ID if left == "trace_id" else IntrinsicName.NAME
    return _equal(_intrinsic(name, place), literal, place)


def _intrinsic(name: IntrinsicName, place: Place) -> Intrinsic:
    return Intrinsic(name, place=place)


def _equal(left: Expr, right: Expr, place: Place) -> Binary:
    return Binary(BinaryOp.EQ, left, right, place=place)


def _kind(found: re.Match[str], place: Place) -> Literal:
    name = (found["text"] or "").lower()
    if name not in KINDS:
        near = nearest(name, KINDS)
        raise Fault(
            f"there is no kind {shown(found['text'] or '')} (known: {', '.join(KINDS)})",
            place,
            code="TR203",
            hint=f"Did you mean '{near}'?" if near else "",
            expected=KINDS,
        )
    return Literal(Type.KIND, name, place=place)


def _literal(found: re.Match[str], place: Place) -> Literal:
    if found["text"] is not None:
        return Literal(Type.STRING, found["text"], place=place)
    if found["word"]:
        return Literal(Type.BOOL, found["word"] == "true", place=place)
    if found["fraction"]:
        return Literal(Type.FLOAT, float(found["number"]), place=place)
    value = int(found["number"])
    if abs(value) > MAX_INT:
        raise Fault(f"{value} is too large for 64 bits", place, code="TR201")
    return Literal(Type.INT, value, place=place)
