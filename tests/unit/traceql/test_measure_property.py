"""Any metrics of any spans are what counting them one by one gives."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from naive_traceql import FIRST, Binding, Fails, Seen, naive, read, read_traces
from tailrace.errors import QueryError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import MetricsResult
from tailrace.model.span import Span, SpanEvent
from tailrace.model.states import SpanStatus, SpanType
from tailrace.traceql import check, parse
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import (
    Chain,
    CheckedQuery,
    Constant,
    Contrast,
    First,
    Keep,
    Points,
    Rate,
    Series,
    SeriesMath,
    SeriesResult,
)
from tailrace.traceql.evaluate.reckon import COMPARE
from tailrace.traceql.measure import Measurement, Steps
from tailrace.traceql.measure.label import label_order
from tailrace.traceql.memory_block import memory_block
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import BinaryOp, Intrinsic, IntrinsicName, MeasureName, RankName

Labels = tuple[tuple[str, str], ...]
Table = dict[Labels, tuple[dict[str, Any], list[float | None]]]
NS = 1_000_000_000

values: st.SearchStrategy[Any] = st.sampled_from(
    [-3, 0, 1, 2, 3, 4, 9, 2**60, 0.5, 1.0, 2.0, -1.5, math.nan, "a", "", True, False, [1, 2],
     [4], [], ["a"]]
)  # fmt: skip
attributes = st.dictionaries(st.sampled_from("xy"), values, max_size=2)
resources: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"x": 1}, {"x": 8, "service.name": "shop"}, {"y": "a"}]
)


@st.composite
def span_of(draw: st.DrawFn) -> Span:
    start = draw(st.integers(0, 40))
    return Span(
        trace_id=RunId(f"{draw(st.integers(1, 4)):032x}"),
        span_id=SpanId(f"{draw(st.integers(1, 9)):016x}"),
        parent_id=draw(st.none() | st.integers(1, 9).map(lambda one: SpanId(f"{one:016x}"))),
        name=draw(st.sampled_from("abc")),
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=start + draw(st.sampled_from([-1, 0, 1, 2, 3, 7, 8])),
        status=draw(st.sampled_from(SpanStatus)),
        attributes=draw(attributes),
        events=[
            SpanEvent(time_ns=start, name=draw(st.sampled_from("ef")), attributes=draw(attributes))
            for _ in range(draw(st.integers(0, 2)))
        ],
        resource=draw(resources),
    )


fields = st.sampled_from(
    ["name", "status", ".x", "span.x", "resource.x", ".y", "span.y", "duration", "traceDuration",
     "rootName", "event.x", "event:name", "span:childCount", "resource.service.name", "trace:id"]
)  # fmt: skip
numbers = st.sampled_from(
    ["duration", ".x", "span.x", ".y", "resource.x", "traceDuration", "event.x"]
)
chains = st.sampled_from(
    ["{}", "{ true } | select(.x)", "{ .x > 1 }", "{ name = `a` }", "{} > {}", "{} !>> {}",
     "{ name = `a` } || { .y }", "{ .x = 1 } && {}", "{} | by(name) | count() > 1",
     "{} | by(.x) | { duration > 1ns }", "{} | by(name) | coalesce()", "{ .none }"]
)  # fmt: skip
groups = st.just("") | st.lists(fields, min_size=1, max_size=3).map(
    lambda some: f" by({', '.join(some)})"
)
functions = st.one_of(
    st.sampled_from(["rate()", "count_over_time()"]),
    st.builds(
        "{}_over_time({})".format,
        st.sampled_from(["min", "max", "sum", "avg", "histogram"]),
        numbers,
    ),
    st.builds(
        "quantile_over_time({}, {})".format,
        numbers,
        st.sampled_from(["0", "1", ".5", ".9, .1", ".25, .75, .5"]),
    ),
)
seconds = st.lists(
    st.sampled_from([" | topk(1)", " | bottomk(2)", " > 1", " <= 0.5", " != 0"]), max_size=2
).map("".join)
series = st.builds("{} | {}{}{}".format, chains, functions, groups, seconds)
bracketed = series.map("({})".format)
arithmetic = st.recursive(
    bracketed,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner)
        | st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), st.sampled_from("023"))
        | st.builds("(0.5 {} {})".format, st.sampled_from("+-*/"), inner)
    ),
    max_leaves=3,
).filter(lambda text: text[-2] == ")")
compares = st.builds(
    "{} | compare({}{})".format,
    chains,
    st.sampled_from(["{ .x = 1 }", "{ status = error }", "{ true }", "{}"]),
    st.sampled_from(["", ", 1", ", 3, 10, 30"]),
)
queries = series | st.builds("{}{}".format, arithmetic, seconds) | compares
REDUCE: dict[MeasureName, Callable[[list[Any]], float]] = {
    MeasureName.MIN: min,
    MeasureName.MAX: max,
    MeasureName.SUM: math.fsum,
    MeasureName.AVG: statistics.fmean,
}
DURATION = Intrinsic(IntrinsicName.DURATION)
TRACE_DURATION = Intrinsic(IntrinsicName.TRACE_DURATION)
hints = st.sampled_from(["", " with(exact_quantiles=true)"])


class Reference:
    """The series of a checked query, counted span by span."""

    def __init__(self, spans: Sequence[Span], steps: Steps, *, exact: bool) -> None:
        self.spans = spans
        self.steps = steps
        self.exact = exact
        self.seen = {id(one.span): one for trace in read_traces(spans) for one in trace.spans}

    def step_of(self, span: Span) -> int | None:
        for step in range(self.steps.count):
            begin = self.steps.base + step * self.steps.step
            if begin < span.start_ns <= begin + self.steps.step:
                return step
        return None

    def found(self, chain: Chain) -> list[tuple[int, Seen]]:
        return [
            (step, self.seen[id(span)])
            for _, spans, _ in naive(chain, self.spans)
            for span in spans
            if (step := self.step_of(span)) is not None
        ]

    def table(self, plan: Any) -> Table:
        match plan:
            case Series(chain, Rate() as rate, stages):
                return self.kept(stages, self.rate(chain, rate))
            case Series(chain, Contrast() as contrast, _):
                return self.contrast(chain, contrast)
            case SeriesResult(math_tree, stages):
                return self.kept(stages, self.table(math_tree))
            case SeriesMath(op, left, right):
                return self.math(op, self.table(left), self.table(right))
            case Constant(value):
                number = str(value)
                return keyed([({"__name__": number}, [float(value)] * self.steps.count)])
        raise AssertionError(plan)

    def labels(self, rate: Rate, one: Seen) -> dict[str, Any]:
        told = {}
        for field in rate.by:
            value = label(read(field, one, Binding(FIRST, FIRST)))
            if value is not None:
                told[render_expression(field)] = value
        if not told and rate.by:
            told[render_expression(rate.by[0])] = None
        return told

    def rate(self, chain: Chain, rate: Rate) -> Table:
        cells: dict[Labels, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
        named: dict[Labels, dict[str, Any]] = {}
        if not rate.by:
            named[()] = {}
        for step, one in self.found(chain):
            told = self.labels(rate, one)
            named.setdefault(key_of(told), told)
            value = 1 if rate.operand is None else read(rate.operand, one, Binding(FIRST, FIRST))
            if type(value) in (int, float) and not math.isnan(value):
                cells[key_of(told)][step].append(value)
        rows: list[tuple[dict[str, Any], list[float | None]]] = []
        for key, told in named.items():
            for extra, points in self.points(rate, cells[key]):
                alone = {} if told or extra else {"__name__": rate.function.value}
                rows.append(({**told, **extra, **alone}, points))
        return without_empty(keyed(rows))

    def points(
        self, rate: Rate, cells: dict[int, list[Any]]
    ) -> list[tuple[dict[str, Any], list[float | None]]]:
        counts: list[float | None] = [float(len(cells[at])) for at in range(self.steps.count)]
        if rate.function is MeasureName.COUNT:
            return [({}, counts)]
        if rate.function is MeasureName.RATE:
            return [({}, [(one or 0) / (self.steps.step / NS) for one in counts])]
        if rate.function is MeasureName.HISTOGRAM:
            return self.histogram(rate, cells)
        if rate.function is MeasureName.QUANTILE:
            return self.quantiles(rate, cells)
        made = REDUCE[rate.function]
        scale = NS if rate.operand == DURATION else 1
        every = [cells[at] for at in range(self.steps.count)]
        return [({}, [made(cell) / scale if cell else None for cell in every])]

    def histogram(
        self, rate: Rate, cells: dict[int, list[Any]]
    ) -> list[tuple[dict[str, Any], list[float | None]]]:
        every = [list(map(power, counted(cells[at]))) for at in range(self.steps.count)]
        scale = NS if rate.operand in (DURATION, TRACE_DURATION) else 1
        return [
            ({"__bucket": 2.0**top / scale}, [float(powers.count(top)) for powers in every])
            for top in {one for powers in every for one in powers}
        ]

    def quantiles(
        self, rate: Rate, cells: dict[int, list[Any]]
    ) -> list[tuple[dict[str, Any], list[float | None]]]:
        every = [cells[at] for at in range(self.steps.count)]
        scale = NS if rate.operand in (DURATION, TRACE_DURATION) else 1
        if not any(cell if self.exact else counted(cell) for cell in every):
            return []
        return [
            ({"p": share}, [self.quantile(share, cell) / scale for cell in every])
            for share in set(rate.quantiles)
        ]

    def quantile(self, share: float, cell: list[Any]) -> float:
        some = sorted(cell) if self.exact else sorted(map(power, counted(cell)))
        if not some:
            return 0.0
        place = max(math.ceil(share * len(some)), 1) - 1
        if self.exact:
            return float(some[place])
        top = some[place]
        below = max((one for one in some if one < top), default=top - 1)
        nth = place - some.index(top) + 1
        return float(2.0 ** (below + (top - below) * nth / some.count(top)))

    def contrast(self, chain: Chain, contrast: Contrast) -> Table:
        selected = {id(one.span) for _, one in self.found(Chain((Keep(contrast.selection),)))}
        counts: Any = defaultdict(lambda: defaultdict(lambda: [0.0] * self.steps.count))
        for step, one in self.found(chain):
            inside = contrast.start is None or (
                contrast.end is not None and contrast.start <= one.span.start_ns < contrast.end
            )
            side = "selection" if id(one.span) in selected and inside else "baseline"
            for name, key in told_by(one):
                counts[name, side][key][step] += 1
        rows: list[tuple[dict[str, Any], list[float | None]]] = []
        for (name, side), some in counts.items():
            ordered = sorted(
                (-sum(points), label_order({name: undo(key)}), undo(key), points)
                for key, points in some.items()
            )
            for _, _, value, points in ordered[: contrast.top]:
                rows.append(({"__meta_type": side, name: value}, points))
            total = [math.fsum(column) for column in zip(*some.values(), strict=True)]
            rows.append(({"__meta_type": f"{side}_total", name: None}, list(total)))
            if len(some) > contrast.top:
                none: list[float | None] = [None] * self.steps.count
                rows.append(({"__meta_error": "__too_many_values__", name: None}, none))
        return keyed(rows)

    def kept(self, stages: Sequence[First | Points], table: Table) -> Table:
        for stage in stages:
            made: Table = {key: (told, list(points)) for key, (told, points) in table.items()}
            for at in range(self.steps.count):
                there = [
                    (points[at] or 0.0, label_order(told), key)
                    for key, (told, points) in table.items()
                    if points[at] is not None
                ]
                if isinstance(stage, Points):
                    keys = {key for value, _, key in there if COMPARE[stage.op](value, stage.value)}
                else:
                    sign = -1 if stage.function is RankName.TOP else 1
                    ordered = sorted((sign * value, order, key) for value, order, key in there)
                    keys = {key for _, _, key in ordered[: stage.count]}
                for key, (_, points) in made.items():
                    if key not in keys:
                        points[at] = None
            table = without_empty(made)
        return table

    def math(self, op: BinaryOp, left: Table, right: Table) -> Table:
        lefts, rights = unnamed(left), unnamed(right)
        rows: list[tuple[dict[str, Any], list[float | None]]] = []
        for key in {**lefts, **rights}:
            a, b = lefts.get(key, lefts.get(())), rights.get(key, rights.get(()))
            if a and b:
                told = dict((a if key in lefts else b)[0])
                if "__name__" in told:
                    told["__name__"] = f"({a[0]['__name__']} {op} {b[0]['__name__']})"
                pairs = zip(a[1], b[1], strict=True)
                rows.append((told, [calculated(op, x, y) for x, y in pairs]))
        return without_empty(keyed(rows))


def calculated(op: BinaryOp, a: float | None, b: float | None) -> float | None:
    if a is None or b is None or (op == "/" and b == 0):
        return None
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[op]


def told_by(one: Seen) -> set[tuple[str, Labels]]:
    span = one.span
    told: list[tuple[str, Any]] = [
        ("name", span.name), ("status", span.status.value), ("statusMessage", span.message),
        ("kind", span.kind.value), ("instrumentation:name", span.scope.name),
        ("instrumentation:version", span.scope.version),
        ("rootName", one.trace.root.name if one.trace.root else ""),
        ("rootServiceName",
         one.trace.root.resource.get("service.name", "") if one.trace.root else ""),
    ]  # fmt: skip
    told = [(name, value) for name, value in told if value != ""]
    for scope, some in (("span", span.attributes), ("resource", span.resource)):
        told += [(f"{scope}.{name}", value) for name, value in some.items()]
    for event in span.events:
        told.append(("event:name", event.name))
        told += [(f"event.{name}", value) for name, value in event.attributes.items()]
    flat = [
        (name, element)
        for name, value in told
        for element in (value if isinstance(value, list) else [value])
        if not (isinstance(element, float) and math.isnan(element))
    ]
    return {(name, key_of({name: value})) for name, value in flat}


def label(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value


def key_of(told: dict[str, Any]) -> Labels:
    """Integers are the same as equal floats, true is not 1."""
    return tuple(sorted((name, f"{kind_of(one)}:{number(one)}") for name, one in told.items()))


def kind_of(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def number(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value


def undo(key: Labels) -> Any:
    kind, _, text = key[0][1].partition(":")
    match kind:
        case "number":
            return float(text) if "." in text or "nan" in text else int(text)
        case "bool":
            return text == "True"
        case "NoneType":
            return None
        case _:
            return text


def keyed(rows: list[tuple[dict[str, Any], list[float | None]]]) -> Table:
    return {key_of(told): (told, points) for told, points in rows}


def unnamed(table: Table) -> Table:
    return {tuple(pair for pair in key if pair[0] != "__name__"): row for key, row in table.items()}


def without_empty(table: Table) -> Table:
    return {key: row for key, row in table.items() if any(one is not None for one in row[1])}


def counted(cell: Sequence[Any]) -> list[int]:
    return [one for one in cell if type(one) is int and one > 1]


def power(value: int) -> int:
    return next(n for n in range(80) if value <= 2**n)


def of_result(result: MetricsResult) -> Table:
    table = keyed([(dict(one.labels), one.values) for one in result.series])
    assert len(table) == len(result.series)
    return table


def same(left: Table, right: Table) -> bool:
    return left.keys() == right.keys() and all(
        len(left[key][1]) == len(right[key][1])
        and all(
            (a is None) == (b is None)
            and (a is None or b is None or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12))
            for a, b in zip(left[key][1], right[key][1], strict=True)
        )
        for key in left
    )


@st.composite
def asked_of(draw: st.DrawFn) -> tuple[Measurement, Measurement, Steps, CheckedQuery]:
    """Two of one measurement, its steps and its query."""
    checked = check(parse(draw(queries) + draw(hints)))
    start = draw(st.integers(0, 20))
    end = start + draw(st.integers(1, 25))
    step = draw(st.sampled_from([1, 2, 5, 7, 50, None]))
    instant = draw(st.integers(0, 5)) == 0
    both = [
        Measurement(
            checked, start_ns=start, end_ns=end, step_ns=step, instant=instant, exemplars=exemplars
        )
        for exemplars in (0, 9)
    ]
    return both[0], both[1], Steps(start, end, step, instant=instant), checked


def refuses(spans: list[Span], measurement: Measurement) -> bool:
    """Whether the query has no answer; else the spans are counted."""
    try:
        measurement.add(memory_block(spans), Budget())
    except QueryError as error:
        return error.code in {"TR207", "TR220"}
    return False


@pytest.mark.no_cover
@settings(
    deadline=None,
    max_examples=times(60),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(span_of(), max_size=12), asked_of(), st.randoms(use_true_random=False))
def test_metrics_are_those_of_counting_one_by_one(
    spans: list[Span],
    asked: tuple[Measurement, Measurement, Steps, CheckedQuery],
    chance: Random,
) -> None:
    whole, parts, steps, checked = asked
    try:
        expected = Reference(spans, steps, exact=bool(checked.hints)).table(checked.plan)
    except Fails:
        assert refuses(spans, whole)
        return
    assert not refuses(spans, whole)
    result = whole.result()
    assert result.times == steps.times
    assert result.complete
    assert same(of_result(result), expected), (of_result(result), expected)

    traces = list({one.trace_id for one in spans})
    chance.shuffle(traces)
    while traces:
        some = {traces.pop() for _ in range(chance.randint(1, len(traces)))}
        parts.add(memory_block([one for one in spans if one.trace_id in some]), Budget())
    in_parts = parts.result()
    assert same(of_result(in_parts), expected)
    assert [one.labels for one in in_parts.series] == [one.labels for one in result.series]
    exemplars = [found for one in in_parts.series for found in one.exemplars]
    assert len(exemplars) <= 9
    known = {(one.trace_id, one.span_id, one.start_ns) for one in spans}
    assert {(found.trace_id, found.span_id, found.time_ns) for found in exemplars} <= known


@st.composite
def many_spans(draw: st.DrawFn) -> list[Span]:
    """Some hundred spans whose values are few, many, or nearly all different."""
    chance = Random(draw(st.integers(0, 2**32)))
    count = draw(st.integers(60, 300))
    return [
        Span(
            trace_id=RunId(f"{number // 4:032x}"),
            span_id=SpanId(f"{number + 1:016x}"),
            parent_id=SpanId(f"{number // 4 * 4 + 1:016x}") if number % 4 else None,
            name=chance.choice("ab"),
            type=SpanType.FOREIGN,
            start_ns=number * 40 // count,
            end_ns=number * 40 // count + 1,
            status=chance.choice([SpanStatus.ERROR, *[SpanStatus.UNSET] * 6]),
            attributes={
                name: value
                for name, value in (
                    ("few", chance.choice([1, 2.0, True])),
                    ("some", chance.randrange(12)),
                    ("mixed", chance.choice(["a", 1, 1.0, [1, 2]])),
                    ("own", number),
                )
                if chance.random() < 0.9
            },
            resource=chance.choice([{"service.name": "shop"}, {"service.name": "cart"}]),
        )
        for number in range(count)
    ]


@pytest.mark.no_cover
@settings(deadline=None, max_examples=times(12), suppress_health_check=list(HealthCheck))
@given(
    many_spans(),
    st.sampled_from(["{}", "{ name = `a` }", "{ .some < 9 }", "{ .none }"]),
    st.sampled_from(["{ status = error }", "{ .some = 3 }", "{ true }", "{ .few = 2 }"]),
    st.sampled_from([3, 9, 60]),
)
def test_a_comparison_of_many_spans_is_that_of_counting_one_by_one(
    spans: list[Span], chain: str, selection: str, step: int
) -> None:
    checked = check(parse(f"{chain} | compare({selection}, 400)"))
    expected = Reference(spans, Steps(3, 38, step, instant=False), exact=False).table(checked.plan)
    block = memory_block(spans)
    for _ in range(3):  # what is remembered of a block must not change the answer
        made = Measurement(checked, start_ns=3, end_ns=38, step_ns=step)
        made.add(block, Budget())
        assert same(of_result(made.result()), expected)
    parted = Measurement(checked, start_ns=3, end_ns=38, step_ns=step)
    dead = set(range(0, len(block.heads), 3))
    parted.add(block, Budget(), frozenset(range(len(block.heads))) - dead)
    rest = [span for span in spans if int(span.trace_id, 16) not in dead]
    expected = Reference(rest, Steps(3, 38, step, instant=False), exact=False).table(checked.plan)
    assert same(of_result(parted.result()), expected)
