"""TraceQL evaluated span by span in nested loops: slow, short, and right by reading."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tailrace.model.span import Span, SpanEvent, SpanLink
from tailrace.traceql.checked import (
    And,
    Bound,
    Calculation,
    Chain,
    Comparison,
    Either,
    Exists,
    Group,
    Keep,
    Matches,
    Merge,
    Negative,
    Not,
    Operand,
    Or,
    Related,
    Relation,
    Show,
    Side,
    Step,
    Together,
)
from tailrace.traceql.evaluate.shown import fields_of
from tailrace.traceql.names import INTRINSIC_TYPES
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

N = IntrinsicName


class Fails(Exception):
    """The query fails at these spans."""


@dataclass
class Seen:
    """A span in its trace."""

    span: Span
    trace: Trace
    parent: Seen | None = None
    lost: bool = False
    """Whether it names a parent that is not there."""
    left: int = 0
    right: int = 0

    def above(self) -> list[Seen]:
        return [] if self.parent is None else [self.parent, *self.parent.above()]

    @property
    def placed(self) -> bool:
        return not any(one.lost for one in [self, *self.above()])

    @property
    def children(self) -> list[Seen]:
        return [one for one in self.trace.spans if one.parent is self]


@dataclass
class Trace:
    trace_id: str
    spans: list[Seen] = field(default_factory=list)

    @property
    def root(self) -> Span | None:
        return next((one.span for one in self.spans if not one.span.parent_id), None)


@dataclass
class Found:
    spans: list[Seen]
    values: dict[str, Any]


def read_traces(spans: Iterable[Span]) -> list[Trace]:
    traces: dict[str, Trace] = {}
    for span in spans:
        trace = traces.setdefault(span.trace_id, Trace(span.trace_id))
        trace.spans.append(Seen(span, trace))
    for trace in traces.values():
        trace.spans.sort(key=lambda one: one.span.start_ns)
        for one in trace.spans:
            one.parent = parent_of(one)
        for one in trace.spans:  # first of a cycle
            at, walked = one.parent, 0
            while at is not None and at is not one and walked < 100:
                at, walked = at.parent, walked + 1
            if at is one:
                one.parent = None
        number = 1
        for one in trace.spans:
            one.lost = bool(one.span.parent_id) and one.parent is None
        for one in trace.spans:
            if one.parent is None and not one.lost:
                number = number_tree(one, number)
    return list(traces.values())


def parent_of(one: Seen) -> Seen | None:
    wanted = one.span.parent_id
    if not wanted:
        return None
    same = [other for other in one.trace.spans if other.span.span_id == wanted]
    if len(same) == 1:
        return same[0]
    if len(same) > 2:
        return None
    others = [other for other in same if other is not one]
    if len(others) == 1:
        return others[0]
    kind = "client" if one.span.kind == "server" else "server"
    fitting = [other for other in others if other.span.kind == kind]
    return fitting[0] if len(fitting) == 1 else None


def number_tree(one: Seen, number: int) -> int:
    one.left = number
    number += 1
    for child in one.children:
        number = number_tree(child, number)
    one.right = number
    return number + 1


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def plain(value: Any) -> Any:
    """The value of an attribute: arrays are tuples without order."""
    if not isinstance(value, list):
        return value
    if len(value) < 2:
        return plain(value[0]) if value else None
    order = {bool: 3, int: 0, float: 1, str: 2}
    made: list[Any] = []
    for element in sorted(
        (one for one in value if not is_nan(one)), key=lambda one: (order[type(one)], one)
    ):
        if not any(type(element) is type(one) and element == one for one in made):
            made.append(element)
    at = next((i for i, one in enumerate(made) if order[type(one)] > 1), len(made))
    made[at:at] = [math.nan] if any(is_nan(one) for one in value) else []
    return tuple(made)


FIRST = object()
"""Stands for: of events and links the first that has a value."""


@dataclass
class Binding:
    event: object
    link: object


def of_event(field: Field, event: SpanEvent, span: Span) -> Any:
    if isinstance(field, Attribute):
        return plain(event.attributes.get(field.name))
    return event.name if field.name is N.EVENT_NAME else event.time_ns - span.start_ns


def of_link(field: Field, link: SpanLink) -> Any:
    if isinstance(field, Attribute):
        return plain(link.attributes.get(field.name))
    return link.trace_id if field.name is N.LINK_TRACE_ID else link.span_id


def is_of_event(field: Field) -> bool:
    if isinstance(field, Attribute):
        return field.scope is Scope.EVENT
    return field.name.startswith("event:")


def is_of_link(field: Field) -> bool:
    if isinstance(field, Attribute):
        return field.scope is Scope.LINK
    return field.name.startswith("link:")


def first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def read(field: Field, one: Seen, binding: Binding) -> Any:
    span = one.span
    if is_of_event(field):
        if binding.event is FIRST:
            return first(of_event(field, event, span) for event in span.events)
        return (
            of_event(field, binding.event, span) if isinstance(binding.event, SpanEvent) else None
        )
    if is_of_link(field):
        if binding.link is FIRST:
            return first(of_link(field, link) for link in span.links)
        return of_link(field, binding.link) if isinstance(binding.link, SpanLink) else None
    if isinstance(field, Attribute):
        match field.scope:
            case Scope.SPAN:
                return plain(span.attributes.get(field.name))
            case Scope.RESOURCE:
                return plain(span.resource.get(field.name))
            case Scope.INSTRUMENTATION:
                return plain(span.scope.attributes.get(field.name))
            case _:
                own = plain(span.attributes.get(field.name))
                return plain(span.resource.get(field.name)) if own is None else own
    return intrinsic(field.name, one)


def intrinsic(name: IntrinsicName, one: Seen) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case each
    span, spans = one.span, [other.span for other in one.trace.spans]
    root = one.trace.root
    assert span.end_ns is not None
    match name:
        case N.DURATION:
            return max(span.end_ns - span.start_ns, 0)
        case N.NAME:
            return span.name
        case N.STATUS:
            return span.status.value
        case N.STATUS_MESSAGE:
            return span.message
        case N.KIND:
            return span.kind.value
        case N.ROOT_NAME:
            return root.name if root else ""
        case N.ROOT_SERVICE_NAME:
            return str(root.resource.get("service.name", "")) if root else ""
        case N.TRACE_DURATION:
            return max(
                max(one.end_ns or 0 for one in spans) - min(one.start_ns for one in spans), 0
            )
        case N.NESTED_SET_LEFT:
            return one.left
        case N.NESTED_SET_RIGHT:
            return one.right
        case N.NESTED_SET_PARENT:
            return 0 if not one.placed else one.parent.left if one.parent else -1
        case N.TRACE_ID:
            return span.trace_id
        case N.SPAN_ID:
            return span.span_id
        case N.SPAN_PARENT_ID:
            return span.parent_id or None
        case N.SPAN_CHILD_COUNT:
            return len(one.children)
        case N.INSTRUMENTATION_NAME:
            return span.scope.name
        case _:
            return span.scope.version


def compare(op: BinaryOp, a: Any, b: Any) -> bool:  # noqa: C901, PLR0911 - one case each
    if a is None or b is None:
        return False
    if isinstance(a, tuple) and isinstance(b, tuple):
        same = len(a) == len(b) and all(
            compare(BinaryOp.EQ, x, y) for x, y in zip(a, b, strict=True)
        )
        return same == (op is BinaryOp.EQ) if op in (BinaryOp.EQ, BinaryOp.NE) else False
    if isinstance(a, tuple) or isinstance(b, tuple):
        pairs = [(x, b) for x in a] if isinstance(a, tuple) else [(a, x) for x in b]
        pairs = [(x, y) for x, y in pairs if same_class(x, y)]
        results = [compare(op, x, y) for x, y in pairs]
        return bool(results) and (all(results) if op is BinaryOp.NE else any(results))
    if not same_class(a, b):
        return False
    match op:
        case BinaryOp.EQ:
            return bool(a == b)
        case BinaryOp.NE:
            return bool(a != b)
    if isinstance(a, bool):
        return False
    match op:
        case BinaryOp.LT:
            return bool(a < b)
        case BinaryOp.LE:
            return bool(a <= b)
        case BinaryOp.GT:
            return bool(a > b)
        case _:
            return bool(a >= b)


def same_class(a: Any, b: Any) -> bool:
    def name(value: Any) -> str:
        return "number" if type(value) in (int, float) else type(value).__name__

    return name(a) == name(b)


def lasts(operand: Operand) -> bool:
    match operand:
        case Literal(kind):
            return kind is Type.DURATION
        case Intrinsic(name):
            return INTRINSIC_TYPES[name] is Type.DURATION
        case Negative(inner):
            return lasts(inner)
        case Calculation(op, left, right):
            return op.value in "+-*" and (lasts(left) or lasts(right))
        case _:
            return False


def wrap(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def cut(a: int, b: int) -> int:
    if b == 0:
        raise Fails
    return int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b)) if a else 0


def calculate(op: BinaryOp, a: Any, b: Any, *, lasting: bool) -> Any:
    if not (type(a) in (int, float) and type(b) in (int, float)):
        return None
    if type(a) is int and type(b) is int and not (lasting and op.value in "/%^"):
        match op:
            case BinaryOp.ADD:
                return wrap(a + b)
            case BinaryOp.SUB:
                return wrap(a - b)
            case BinaryOp.MUL:
                return wrap(a * b)
            case BinaryOp.DIV:
                return wrap(cut(a, b))
            case BinaryOp.MOD:
                return wrap(a - b * cut(a, b))
            case _:
                return wrap(a**b) if b >= 0 else power_below(a, b)
    return floating(op, float(a), float(b))


def power_below(a: int, b: int) -> int:
    if a == 0:
        raise Fails
    return {1: 1, -1: 1 if b % 2 == 0 else -1}.get(a, 0)


def floating(op: BinaryOp, a: float, b: float) -> float:
    try:
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
                return math.fmod(a, b)
            case _:
                return math.pow(a, b)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if op is BinaryOp.POW and a == 0 else math.nan
    except ZeroDivisionError:
        return (
            math.nan
            if a == 0 or math.isnan(a)
            else math.copysign(math.inf, a) * math.copysign(1, b)
        )


def value(operand: Operand, one: Seen, binding: Binding) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case each
    match operand:
        case Literal(_, constant):
            return constant
        case Attribute() | Intrinsic():
            return read(operand, one, binding)
        case Calculation(op, left, right):
            a, b = value(left, one, binding), value(right, one, binding)
            return calculate(op, a, b, lasting=lasts(left) or lasts(right))
        case Negative(inner):
            number = value(inner, one, binding)
            if type(number) is int:
                return wrap(-number)
            return -number if type(number) is float else None
        case Not(inner):
            found = value(inner, one, binding)
            return not found if type(found) is bool else None
    if binding.event is FIRST:
        return holds(operand, one)
    match operand:
        case Comparison(op, left, right):
            return compare(op, value(left, one, binding), value(right, one, binding))
        case Matches(inner, regex, negated):
            found = value(inner, one, binding)
            texts = [x for x in (found if isinstance(found, tuple) else (found,)) if str is type(x)]
            hits = [re.fullmatch(regex.python, text) is not None for text in texts]
            if isinstance(found, tuple) and not isinstance(inner, Attribute | Intrinsic):
                return False
            return bool(hits) and (not any(hits) if negated else any(hits))
        case Exists(inner, negated):
            if negated and isinstance(inner, Attribute | Intrinsic):
                if is_of_event(inner) and binding.event is None:
                    return False
                if is_of_link(inner) and binding.link is None:
                    return False
            return (value(inner, one, binding) is None) == negated
        case And(left, right):
            a, b = value(left, one, binding), value(right, one, binding)
            return a is True and b is True
        case Or(left, right):
            a, b = value(left, one, binding), value(right, one, binding)
            return a is True or b is True


def holds(condition: Operand, one: Seen) -> bool:
    events: list[SpanEvent | None] = list(one.span.events) or [None]
    links: list[SpanLink | None] = list(one.span.links) or [None]
    results = [value(condition, one, Binding(event, link)) for event in events for link in links]
    return any(result is True for result in results)


def stands(relation: Relation, b: Seen, a: Seen) -> bool:
    """Whether ``a relation b``."""
    if not (a.placed and b.placed):
        return False
    match relation:
        case Relation.CHILD:
            return b.parent is a
        case Relation.DESCENDANT:
            return any(one is a for one in b.above())
        case Relation.PARENT:
            return a.parent is b
        case Relation.ANCESTOR:
            return any(one is b for one in a.above())
        case Relation.SIBLING:
            return a is not b and a.parent is not None and a.parent is b.parent


def union(sets: Iterable[Found]) -> list[Seen]:
    members = [id(one) for found in sets for one in found.spans]
    spans = {id(one): one for found in sets for one in found.spans}
    known = [spans[key] for key in dict.fromkeys(members)]
    return sorted(known, key=lambda one: [id(x) for x in one.trace.spans].index(id(one)))


def kept(found: Found, spans: list[Seen]) -> list[Found]:
    return [Found(spans, found.values)] if spans else []


def apply(step: Step, found: Found) -> list[Found]:  # noqa: C901 - one case each
    match step:
        case Keep(condition):
            return kept(found, [one for one in found.spans if holds(condition, one)])
        case Chain(stages):
            return run(stages, [found])
        case Together(left, right):
            a, b = apply(left, found), apply(right, found)
            return kept(found, union([*a, *b])) if a and b else []
        case Either(left, right):
            return kept(found, union([*apply(left, found), *apply(right, found)]))
        case Related(relation, side, left, right):
            a, b = apply(left, found), apply(right, found)
            if b and (a or side is Side.UNRELATED) and max(len(a), len(b)) > 1:
                raise Fails
            return kept(found, related(relation, side, union(a), union(b)))
        case Bound():
            return bound(step, found)
        case Group(operand, label):
            groups: dict[Any, list[Seen]] = {}
            anything = Binding(FIRST, FIRST)
            for one in found.spans:
                key = value(operand, one, anything)
                key = key + 0.0 if isinstance(key, float) else key  # -0.0 is 0.0
                groups.setdefault(repr(key), []).append(one)
            return [
                Found(spans, {**found.values, label: value(operand, spans[0], anything)})
                for spans in groups.values()
            ]
        case Show():
            return [found]
        case Merge():
            raise AssertionError


def related(relation: Relation, side: Side, left: list[Seen], right: list[Seen]) -> list[Seen]:
    hits = [b for b in right if any(stands(relation, b, a) for a in left)]
    if side is Side.RIGHT:
        return hits
    if side is Side.UNRELATED:
        return [b for b in right if not any(b is hit for hit in hits)]
    taking = [a for a in left if any(stands(relation, b, a) for b in right)]
    return union([Found(hits, {}), Found(taking, {})])


def bound(step: Bound, found: Found) -> list[Found]:
    result: Any
    if step.operand is None:
        result = len(found.spans)
    else:
        values = [value(step.operand, one, Binding(FIRST, FIRST)) for one in found.spans]
        numbers = [number for number in values if type(number) in (int, float)]
        real = [number for number in numbers if not math.isnan(number)]
        if not numbers:
            return []
        match step.function:
            case AggregateName.MIN:
                result = min(real, default=None)
            case AggregateName.MAX:
                result = max(real, default=None)
            case AggregateName.SUM:
                result = sum(numbers)
                result = wrap(result) if isinstance(result, int) else result
            case _:
                result = sum(numbers)
                if lasts(step.operand) and isinstance(result, int):
                    result = cut(result, len(numbers))
                else:
                    result /= len(numbers)
    if result is None or not compare(step.op, result, step.value.value):
        return []
    return [Found(found.spans, {**found.values, step.label: result})]


def run(stages: Iterable[Step], sets: list[Found]) -> list[Found]:
    for step in stages:
        if isinstance(step, Merge):
            sets = [Found(union(sets), {})] if sets else []
        else:
            sets = [made for found in sets for made in apply(step, found)]
    return sets


def naive(chain: Chain, spans: Iterable[Span]) -> list[tuple[str, list[Span], dict[str, Any]]]:
    """Spansets as trace id, spans and values, in order of traces."""
    return [
        (trace.trace_id, [one.span for one in found.spans], found.values)
        for trace in read_traces(spans)
        for found in run(chain.stages, [Found(trace.spans, {})])
    ]


def shown(chain: Chain, field: Field, one: Seen) -> Any:
    """What a result tells of a span that a chain of filters has found.

    Of events and links it is the first pair for which the last condition that reads any, and
    that the span meets, holds; where there is none, the first one with the field.
    """
    known: dict[str, Any] = {}
    events: list[SpanEvent | None] = list(one.span.events) or [None]
    links: list[SpanLink | None] = list(one.span.links) or [None]
    for condition in reversed(list(conditions(chain))):
        read_here = fields_of(condition)
        pairs = (Binding(event, link) for event in events for link in links)
        met = next((pair for pair in pairs if value(condition, one, pair) is True), None)
        if met is not None and any(map(is_of_event, read_here)) and met.event is not None:
            known.setdefault("event", met.event)
        if met is not None and any(map(is_of_link, read_here)) and met.link is not None:
            known.setdefault("link", met.link)
    event, link = known.get("event", FIRST), known.get("link", FIRST)
    if is_of_event(field) and event is not FIRST:
        return of_event(field, event, one.span)
    if is_of_link(field) and link is not FIRST:
        return of_link(field, link)
    return read(field, one, Binding(FIRST, FIRST))


def conditions(step: Any) -> Iterator[Operand]:
    match step:
        case Chain(stages):
            for stage in stages:
                yield from conditions(stage)
        case Keep(condition):
            yield condition
        case Together(left, right) | Either(left, right) | Related(_, _, left, right):
            yield from conditions(left)
            yield from conditions(right)
