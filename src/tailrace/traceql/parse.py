"""Text to a tree: whole queries and their pipelines.

Spansets, pipelines in brackets, aggregates and metrics begin alike, so one operator loop reads
them all, and ``combine`` says which may meet.
"""

from __future__ import annotations

from tailrace.traceql.combine import Part, combine, describe, with_seconds
from tailrace.traceql.cursor import Cursor
from tailrace.traceql.fault import Fault, Place, to_error
from tailrace.traceql.height import check_height
from tailrace.traceql.limits import MAX_HEIGHT
from tailrace.traceql.names import MIN_MAX_INT
from tailrace.traceql.parse_field import ATOM, parse_expression, parse_fields
from tailrace.traceql.parse_metrics import (
    MEASURES,
    RANKS,
    parse_function,
    parse_number,
    parse_seconds,
    refuse_early,
)
from tailrace.traceql.tokens import Kind, Token
from tailrace.traceql.tree import (
    Aggregate,
    AggregateName,
    Body,
    By,
    Coalesce,
    Filter,
    Hint,
    Literal,
    Metrics,
    MetricsExpression,
    MetricsOperation,
    Pipeline,
    PipelineOperation,
    Query,
    ScalarFilter,
    ScalarPipeline,
    ScalarPipelineFilter,
    Select,
    SpansetOp,
    SpansetOperation,
    Stage,
)

_BOOLEAN, _COMPARISON, _SUM, _PRODUCT, _POWER = range(1, 6)
_LEVELS = (
    dict.fromkeys((op.value for op in SpansetOp), _COMPARISON)
    | dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), _COMPARISON)
    | dict.fromkeys(("&&", "||"), _BOOLEAN)
    | dict.fromkeys(("+", "-"), _SUM)
    | dict.fromkeys(("*", "/", "%"), _PRODUCT)
    | {"^": _POWER}
)
_AGGREGATES = frozenset(AggregateName)
_FIRST = ("'{'", "'('", "an aggregate such as count()", "by(…)", "select(…)")
_BRACES = "Conditions on spans stand in { }."
_STAGES = {"by", "coalesce", "select"} | _AGGREGATES
_KNOWN = _STAGES | MEASURES | RANKS
_SHORT_FORM_BEGINS = ("trace", "pick", "limit", "span.")
_SHORT_FORM_ONLY = {
    "limit": "Give the limit outside of the query: --limit 50.",
    "pick": "Columns belong to the short form: traces{} | pick(trace_id) | limit 50.",
}


def parse(text: str) -> Query:
    """Return the tree of a query, in TraceQL or in the older short form.

    Raises:
        QueryError: it is neither; ``details`` say where and what was expected.
    """
    try:
        if text.lstrip().startswith(_SHORT_FORM_BEGINS):
            from tailrace.traceql.short_form import (  # noqa: PLC0415 - the older form is rare
                is_short_form,
                parse_short_form,
            )

            if is_short_form(text):
                return parse_short_form(text)
        return _Parser(Cursor(text)).query()
    except Fault as fault:
        raise to_error(fault, text) from None


class _Parser:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def query(self) -> Query:
        cursor = self._cursor
        body = self._body()
        hints: tuple[Hint, ...] = ()
        while cursor.sees_name("with"):
            hints = self._hints()
        if cursor.token.kind is not Kind.END:
            self._refuse_rest()
        if cursor.size > MAX_HEIGHT:
            check_height(body)
        return Query(body, hints, text=cursor.text)

    def _refuse_rest(self) -> None:
        token = self._cursor.token
        if token.kind is Kind.NAME and token.text in _KNOWN:
            message = f"expected '|' before '{token.text}'"
            raise Fault(message, token.place, expected=["'|'"])
        self._cursor.fail(["'|'", "an operator", "the end of the query"])

    def _body(self) -> Body:
        whole = self._sequence(outermost=True)
        match whole:
            case Filter() | SpansetOperation() | ScalarFilter() | By() | Select():
                return Pipeline((whole,), place=whole.place)
            case Pipeline() | PipelineOperation() | ScalarPipelineFilter():
                return whole
            case Metrics() | MetricsExpression():
                return whole
            case MetricsOperation():
                return MetricsExpression(whole, place=whole.place)
            case Coalesce():
                raise Fault("coalesce() cannot stand first", whole.place, code="TR206")
            case _:
                return self._cursor.fail(["a comparison such as '> 3'"], after=describe(whole))

    def _sequence(self, *, outermost: bool) -> Part:
        """Return the stages joined by ``|`` that stand here, up to a bracket or the end."""
        cursor = self._cursor
        start = cursor.token.place.start
        refuse_early(cursor)
        head = self._operation(_BOOLEAN, outermost=outermost)
        if isinstance(head, Metrics | MetricsOperation | MetricsExpression):
            return self._after_metrics(head, outermost=outermost)
        parts: list[Part] = [head]
        while cursor.sees("|"):
            stages = tuple(_stage(part, cursor) for part in parts)
            bar = cursor.advance()
            if cursor.token.kind is Kind.NAME and cursor.token.text in MEASURES:
                return self._metrics(stages, start)
            part = self._stage_part(bar)
            if isinstance(part, Aggregate) and cursor.sees(")") and not outermost:
                pipeline = Pipeline(stages, place=Place(start, bar.place.start))
                return ScalarPipeline(pipeline, part, place=cursor.place_from(start))
            parts.append(part)
        if len(parts) == 1:
            return head
        stages = tuple(_stage(part, cursor) for part in parts)
        return Pipeline(stages, place=cursor.place_from(start))

    def _after_metrics(
        self, head: Metrics | MetricsOperation | MetricsExpression, *, outermost: bool
    ) -> Part:
        seconds = parse_seconds(self._cursor) if outermost else ()
        if self._cursor.sees("|"):
            expected = ["topk(n)", "bottomk(n)", "a comparison"] if outermost else ["')'"]
            self._cursor.advance()
            self._cursor.fail(expected, after="metrics")
        return with_seconds(head, seconds) if seconds else head

    def _stage_part(self, bar: Token) -> Part:
        cursor = self._cursor
        token = cursor.token
        if token.kind is Kind.NAME:
            if token.text in RANKS:
                refuse_early(cursor)
            if token.text not in _STAGES and token.text not in MIN_MAX_INT:
                hint = _SHORT_FORM_ONLY.get(token.text, "")
                cursor.fail(["a stage"], known=_KNOWN, hint=hint)
        elif token.kind is Kind.END:
            cursor.fail(["a stage"], after="'|'")
        part = self._operation(_BOOLEAN, outermost=False)
        if isinstance(part, Metrics | MetricsOperation | MetricsExpression):
            raise Fault("metrics in brackets cannot follow '|'", bar.place, code="TR206")
        return part

    def _metrics(self, stages: tuple[Stage, ...], start: int) -> Metrics:
        cursor = self._cursor
        pipeline = Pipeline(stages, place=cursor.place_from(start))
        function = parse_function(cursor, self._filter)
        seconds = parse_seconds(cursor)
        if cursor.sees("|"):
            cursor.advance()
            cursor.fail(["topk(n)", "bottomk(n)"], after="a metrics function")
        return Metrics(pipeline, function, seconds, place=cursor.place_from(start))

    def _operation(self, minimum: int, *, outermost: bool) -> Part:
        cursor = self._cursor
        left = self._operand()
        while (level := self._level()) >= minimum:
            operator = cursor.advance()
            if level == _POWER:
                with cursor.nested():
                    right = self._operation(_POWER, outermost=False)
            else:
                right = self._operation(level + 1, outermost=False)
            left = combine(operator, left, right, outermost=outermost)
        return left

    def _level(self) -> int:
        token = self._cursor.token
        return _LEVELS.get(token.text, 0) if token.kind is Kind.SYMBOL else 0

    def _operand(self) -> Part:
        cursor = self._cursor
        token = cursor.token
        match token.kind:
            case Kind.LITERAL:
                return parse_number(cursor)
            case Kind.NAME:
                return self._named(token)
            case Kind.SYMBOL if token.text == "{":
                return self._filter()
            case Kind.SYMBOL if token.text == "(":
                return self._bracketed()
            case Kind.SYMBOL if token.text == "-":
                return parse_number(cursor)
            case Kind.ATTRIBUTE | Kind.SCOPE:
                return cursor.fail(_FIRST, hint=_BRACES)
            case _:
                return cursor.fail(_FIRST)

    def _named(self, token: Token) -> Part:
        cursor = self._cursor
        if token.text in MIN_MAX_INT:
            return parse_number(cursor)
        if token.text not in _STAGES:
            return cursor.fail(_FIRST, known=_STAGES, hint=_BRACES)
        cursor.advance()
        if token.text == "select":
            fields = parse_fields(cursor)
            return Select(fields, place=cursor.place_from(token.place.start))
        cursor.expect("(", after=f"'{token.text}'")
        operand = None
        if token.text not in ("coalesce", "count"):
            operand = parse_expression(cursor)
        cursor.expect(")")
        place = cursor.place_from(token.place.start)
        if token.text == "coalesce":
            return Coalesce(place=place)
        if token.text == "by":
            assert operand is not None  # noqa: S101 - read just above
            return By(operand, place=place)
        return Aggregate(AggregateName(token.text), operand, place=place)

    def _filter(self) -> Filter:
        cursor = self._cursor
        start = cursor.advance().place.start
        condition = None if cursor.sees("}") else parse_expression(cursor)
        if not cursor.sees("}"):
            cursor.fail(["'}'", "an operator"])
        cursor.advance()
        return Filter(condition, place=cursor.place_from(start))

    def _bracketed(self) -> Part:
        cursor = self._cursor
        start = cursor.advance().place.start
        with cursor.nested():
            inner = self._sequence(outermost=False)
        if not cursor.sees(")"):
            cursor.fail(["')'", "'|'", "an operator"])
        cursor.advance()
        if isinstance(inner, ScalarFilter | By | Select):
            return Pipeline((inner,), place=cursor.place_from(start))
        if isinstance(inner, ScalarPipelineFilter | Coalesce):
            message = f"{describe(inner)} cannot stand in brackets"
            raise Fault(message, cursor.place_from(start), code="TR206")
        return inner

    def _hints(self) -> tuple[Hint, ...]:
        cursor = self._cursor
        cursor.advance()
        cursor.expect("(", after="'with'")
        hints = [self._hint()]
        while cursor.accept(","):
            hints.append(self._hint())
        cursor.expect(")", after="the hints")
        return tuple(hints)

    def _hint(self) -> Hint:
        cursor = self._cursor
        name = cursor.token
        if name.kind is not Kind.NAME:
            cursor.fail(["the name of a hint"])
        cursor.advance()
        cursor.expect("=", after=f"'{name.text}'")
        start = cursor.token
        value = parse_expression(cursor, ATOM)
        if not isinstance(value, Literal):
            raise Fault("a hint takes a plain value", start.place, expected=["a value"])
        return Hint(name.text, value, place=cursor.place_from(name.place.start))


def _stage(part: Part, cursor: Cursor) -> Stage:
    """Return the part as a stage of a pipeline.

    Raises:
        Fault: it cannot be one.
    """
    match part:
        case Filter() | SpansetOperation() | ScalarFilter() | By() | Coalesce() | Select():
            return part
        case Pipeline() | PipelineOperation():
            message = "a pipeline in brackets cannot be a stage of another"
            raise Fault(message, part.place, code="TR206", hint="Write it without the brackets.")
        case ScalarPipelineFilter():
            raise Fault("this comparison ends a query", cursor.token.place, code="TR206")
        case _:
            return cursor.fail(["a comparison such as '> 3'"], after=describe(part))
