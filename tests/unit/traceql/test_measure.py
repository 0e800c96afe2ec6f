"""What each metrics function says, calculated by hand."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pytest

from tailrace.errors import QueryError
from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import MetricsResult
from tailrace.model.span import InstrumentationScope, Span, SpanEvent
from tailrace.model.states import SpanKind, SpanStatus, SpanType
from tailrace.traceql import check, parse
from tailrace.traceql.budget import Budget, OutOfBudget
from tailrace.traceql.measure import MAX_STEPS, Measurement, default_step, series_name
from tailrace.traceql.measure import measurement as limits
from tailrace.traceql.memory_block import memory_block

S = 1_000_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
N = None
_ids = count(1)


def span(
    at: float,
    *,
    name: str = "a",
    trace: int = 1,
    lasts: int = S,
    parent: Span | None = None,
    status: SpanStatus = SpanStatus.UNSET,
    resource: dict[str, Any] | None = None,
    events: list[SpanEvent] | None = None,
    **attributes: Any,
) -> Span:
    start = round(at * S)
    return Span(
        trace_id=RunId(f"{trace:032x}"),
        span_id=SpanId(f"{next(_ids):016x}"),
        parent_id=parent.span_id if parent else None,
        name=name,
        type=SpanType.FOREIGN,
        start_ns=start,
        end_ns=start + lasts,
        kind=SpanKind.SERVER,
        status=status,
        attributes=attributes,
        resource=resource or {},
        events=events or [],
        scope=InstrumentationScope(name="lib", version="1", attributes={"x": 1}),
    )


def measure(
    query: str, *spans: Span, start: int = 10 * S, end: int = 30 * S, step: int = 10 * S,
    exemplars: int = 0, instant: bool = False,
) -> MetricsResult:  # fmt: skip
    made = Measurement(
        check(parse(query)),
        start_ns=start,
        end_ns=end,
        step_ns=step,
        exemplars=exemplars,
        instant=instant,
    )
    made.add(memory_block(spans), Budget())
    return made.result()


def points(query: str, *spans: Span, **options: Any) -> dict[str, list[float | None]]:
    """Points of each series by its name; steps end at 10, 20 and 30 seconds."""
    result = measure(query, *spans, **options)
    return {series_name(series.labels): series.values for series in result.series}


def of_values(*values: Any, at: float = 15, name: str = "x") -> list[Span]:
    return [span(at, **{name: value}) for value in values]


# steps


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (S, S // 20), (30 * S, S // 10), (50 * S, S // 5), (59 * S, S // 5), (MINUTE, S),
        (4 * MINUTE, S), (6 * MINUTE, S), (19 * MINUTE, 4 * S), (20 * MINUTE, 5 * S),
        (30 * MINUTE, 5 * S), (HOUR, 15 * S), (3 * HOUR, 45 * S), (6 * HOUR, 60 * S),
        (12 * HOUR, 180 * S), (DAY, 300 * S), (3 * DAY, 900 * S), (7 * DAY, 2400 * S),
        (30 * DAY, 3 * HOUR),
    ],
)  # fmt: skip
def test_a_range_is_told_in_about_240_points_on_a_round_number(length: int, step: int) -> None:
    assert default_step(0, length) == step
    made = Measurement(check(parse("{} | rate()")), start_ns=DAY, end_ns=DAY + length, step_ns=None)
    assert made.result().step_ns == step


def test_the_range_is_widened_to_whole_steps_and_one_more_before() -> None:
    result = measure("{} | rate()", start=12 * S, end=25 * S)
    assert result.times == [10 * S, 20 * S, 30 * S]
    assert result.step_ns == 10 * S


def test_a_step_ends_with_its_last_instant_and_the_next_begins_after_it() -> None:
    spans = [span(at) for at in (0, 0.000000001, 10, 10.000000001, 20, 29.9, 30, 30.000000001)]
    assert points("{} | count_over_time()", *spans) == {
        '{__name__="count_over_time"}': [2.0, 2.0, 2.0]
    }


def test_an_instant_query_has_one_point_over_just_the_range() -> None:
    spans = [span(at) for at in (12, 12.5, 13, 25, 25.1)]
    options: dict[str, Any] = {"start": 12 * S, "end": 25 * S, "instant": True}
    assert measure("{} | rate()", **options).times == [25 * S]
    assert points("{} | count_over_time()", *spans, **options) == {
        '{__name__="count_over_time"}': [3.0]
    }
    assert points("{} | rate()", *spans, **options) == {'{__name__="rate"}': [3 / 13]}


def test_only_the_start_of_a_span_counts() -> None:
    assert points("{} | rate()", span(9, lasts=60 * S)) == {'{__name__="rate"}': [0.1, 0.0, 0.0]}


def test_spans_outside_the_range_may_be_the_left_side_of_a_relation() -> None:
    parent = span(-5, name="old")
    child = span(15, parent=parent)
    assert points('{ name = "old" } > {} | count_over_time()', parent, child) == {
        '{__name__="count_over_time"}': [0.0, 1.0, 0.0]
    }


@pytest.mark.parametrize(
    ("start", "end", "step", "hint"),
    [
        (10 * S, 10 * S, S, "Begin the range before its end."),
        (20 * S, 10 * S, None, "Begin the range before its end."),
        (0, 10 * S, 0, "Write a duration such as 5m, or leave the step out."),
        (0, 10 * S, -S, "Write a duration such as 5m, or leave the step out."),
        (0, DAY, S, "Take a step of 8s or more, or a shorter range."),
        (0, S, 1000, "Take a step of 90.934us or more, or a shorter range."),
    ],
)
def test_a_range_that_cannot_be_told_says_how_it_can(
    start: int, end: int, step: int | None, hint: str
) -> None:
    with pytest.raises(QueryError) as caught:
        Measurement(check(parse("{} | rate()")), start_ns=start, end_ns=end, step_ns=step)
    assert caught.value.code == "TR219"
    assert caught.value.hint == hint


def test_the_step_of_the_hint_is_short_enough() -> None:
    query = check(parse("{} | rate()"))
    for start in (0, 1, 7 * S - 1):
        made = Measurement(query, start_ns=start, end_ns=start + DAY, step_ns=8 * S)
        assert len(made.result().times) <= MAX_STEPS


def test_a_query_without_metrics_is_refused() -> None:
    with pytest.raises(QueryError) as caught:
        measure("{} | by(name)")
    assert caught.value.code == "TR206"


# functions


def test_rate_is_spans_per_second_and_empty_steps_are_0() -> None:
    spans = [span(at) for at in (1, 2, 3, 25)]
    assert points("{} | rate()", *spans) == {'{__name__="rate"}': [0.3, 0.0, 0.1]}


def test_counts_without_groups_are_0_where_no_span_matches() -> None:
    assert points("{ .none } | rate()", span(15)) == {'{__name__="rate"}': [0.0, 0.0, 0.0]}
    assert points("{ .none } | count_over_time() by(name)", span(15)) == {}
    assert points("{} | max_over_time(.none)", span(15)) == {}


@pytest.mark.parametrize(
    ("function", "point"), [("min", 2.0), ("max", 7.5), ("sum", 12.5), ("avg", 12.5 / 3)]
)
def test_min_max_sum_and_avg_have_no_point_where_nothing_was(function: str, point: float) -> None:
    spans = of_values(2, 3, 7.5, "text", True, [1, 2], math.nan)
    assert points(f"{{}} | {function}_over_time(.x)", *spans, span(25)) == {
        f'{{__name__="{function}_over_time"}}': [N, point, N]
    }


def test_0_is_a_value_and_nothing_is_none() -> None:
    spans = [*of_values(0, 4), span(15), span(15, x=100, name="b")]
    assert points('{ name = "a" } | avg_over_time(.x)', *spans) == {
        '{__name__="avg_over_time"}': [N, 2.0, N]
    }


def test_an_array_of_one_number_is_that_number() -> None:
    assert points("{} | sum_over_time(.x)", *of_values([4], [])) == {
        '{__name__="sum_over_time"}': [N, 4.0, N]
    }


def test_an_attribute_without_a_scope_is_the_spans_then_the_resources() -> None:
    spans = [span(15, x=1, resource={"x": 100}), span(15, resource={"x": 10})]
    spans.append(span(15, x="text", resource={"x": 1000}))
    assert points("{} | sum_over_time(.x)", *spans) == {'{__name__="sum_over_time"}': [N, 11.0, N]}
    assert points("{} | sum_over_time(resource.x)", *spans) == {
        '{__name__="sum_over_time"}': [N, 1110.0, N]
    }


def test_only_the_duration_of_the_span_is_told_in_seconds() -> None:
    spans = [span(15, lasts=S // 2), span(16, lasts=3 * S // 2)]
    assert points("{} | avg_over_time(duration)", *spans) == {
        '{__name__="avg_over_time"}': [N, 1.0, N]
    }
    assert points("{} | max_over_time(traceDuration)", *spans) == {
        '{__name__="max_over_time"}': [N, 2.5 * S, N]
    }


def test_sums_do_not_lose_small_numbers_or_overflow_on_the_way() -> None:
    assert points("{} | sum_over_time(.x)", *of_values(1e16, 1.0, 1.0, -1e16)) == {
        '{__name__="sum_over_time"}': [N, 2.0, N]
    }
    assert points("{} | avg_over_time(.x)", *of_values(1e308, 1e308, 1e308)) == {
        '{__name__="avg_over_time"}': [N, 1e308, N]
    }
    assert points("{} | sum_over_time(.x)", *of_values(1e308, 1e308)) == {
        '{__name__="sum_over_time"}': [N, math.inf, N]
    }
    assert points("{} | sum_over_time(.x)", *of_values(math.inf, 1e308, 1e308)) == {
        '{__name__="sum_over_time"}': [N, math.inf, N]
    }
    assert points("{} | sum_over_time(.x)", *of_values(math.inf, -math.inf)) == {}


def test_a_histogram_has_buckets_up_to_powers_of_two() -> None:
    spans = of_values(2, 3, 4, 5, 8, 1024, 1025, 1, 0, -8, 6.0, "8")
    assert points("{} | histogram_over_time(.x)", *spans) == {
        '{__bucket="2"}': [0.0, 1.0, 0.0],
        '{__bucket="4"}': [0.0, 2.0, 0.0],
        '{__bucket="8"}': [0.0, 2.0, 0.0],
        '{__bucket="1024"}': [0.0, 1.0, 0.0],
        '{__bucket="2048"}': [0.0, 1.0, 0.0],
    }


def test_buckets_of_durations_are_in_seconds() -> None:
    expected = {'{__bucket="1.073741824"}': [0.0, 1.0, 0.0]}
    assert points("{} | histogram_over_time(duration)", span(15, lasts=S)) == expected
    assert points("{} | histogram_over_time(traceDuration)", span(15, lasts=S)) == expected


@pytest.mark.parametrize(
    ("share", "point"),
    [
        (0, 2 ** (1 + 1 / 3)),  # the first of three in (2, 4]
        (0.1, 2 ** (1 + 1 / 3)),
        (0.3, 4.0),
        (0.5, 2 ** (2 + 3 * 2 / 6)),  # the second of six in (4, 32]: no bucket lies between
        (0.9, 32.0),
        (0.91, 64.0),
        (1, 64.0),
    ],
)
def test_a_quantile_is_interpolated_on_a_scale_of_powers_of_two(share: float, point: float) -> None:
    spans = of_values(3, 3, 3, *[20] * 6, 60)
    (found,) = points(f"{{}} | quantile_over_time(.x, {share})", *spans).values()
    assert found == [0.0, pytest.approx(point), 0.0]


def test_each_quantile_is_a_series() -> None:
    spans = [span(15, lasts=S), span(15, lasts=2**30)]
    assert points("{} | quantile_over_time(duration, 1, .5, 1)", *spans) == {
        '{p="0.5"}': [0.0, pytest.approx(2**29.5 / S), 0.0],
        '{p="1"}': [0.0, 2**30 / S, 0.0],
    }


def test_exact_quantiles_are_values_that_there_were() -> None:
    spans = of_values(1, 0.5, 30, 4)
    query = "{} | quantile_over_time(.x, 0, .5, .51, 1)"
    assert points(f"{query} with(exact_quantiles=true)", *spans) == {
        '{p="0"}': [0.0, 0.5, 0.0],
        '{p="0.5"}': [0.0, 1.0, 0.0],
        '{p="0.51"}': [0.0, 4.0, 0.0],
        '{p="1"}': [0.0, 30.0, 0.0],
    }
    assert points(f"{query} with(exact_quantiles=false)", *spans) == points(query, *spans)
    durations = [span(15, lasts=S // 4), span(15, lasts=S // 2)]
    assert points(
        "{} | quantile_over_time(duration, 1) with(exact_quantiles=true)", *durations
    ) == {'{p="1"}': [0.0, 0.5, 0.0]}


# groups and labels


def test_groups_leave_out_labels_that_a_span_lacks() -> None:
    spans = [span(15, x=1, y="b"), span(15, x=1), span(15, y="b"), span(15), span(16)]
    assert points("{} | count_over_time() by(span.x, .y)", *spans) == {
        '{.y="b", span.x="1"}': [0.0, 1.0, 0.0],
        '{span.x="1"}': [0.0, 1.0, 0.0],
        '{.y="b"}': [0.0, 1.0, 0.0],
        '{span.x="<nil>"}': [0.0, 2.0, 0.0],
    }


def test_equal_numbers_are_one_group_and_true_is_not_1() -> None:
    spans = of_values(1, 1.0, True, "1", "true", math.nan, math.nan, "", 2.5)
    result = measure("{} | count_over_time() by(.x)", *spans)
    found = [(series.labels[".x"], series.values[1]) for series in result.series]
    assert [repr(value) for value, _ in found] == [
        "True", "nan", "1", "2.5", "''", "'1'", "'true'",
    ]  # fmt: skip
    assert [point for _, point in found] == [1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("name", '{name="a"}'), ("status", '{status="error"}'), ("kind", '{kind="server"}'),
        ("duration", '{duration="1.5s"}'), ("rootName", '{rootName="a"}'),
        ("traceDuration", '{traceDuration="1.5s"}'), ("statusMessage", '{statusMessage="<empty>"}'),
        ("rootServiceName", '{rootServiceName="shop"}'),
        ("span:childCount", '{span:childCount="0"}'),
        ("resource.service.name", '{resource.service.name="shop"}'),
        ("trace:id", '{trace:id="00000000000000000000000000000001"}'),
        ("instrumentation:name", '{instrumentation:name="lib"}'),
        ("instrumentation.x", '{instrumentation.x="1"}'), ("event:name", '{event:name="first"}'),
        ('span."a b"', '{span."a b"="say \\"hi\\""}'),
        ("span.tags", '{span.tags="[\\"a\\", \\"b\\"]"}'),
        ("event.none", '{event.none="<nil>"}'),
    ],
)  # fmt: skip
def test_any_field_makes_groups(field: str, label: str) -> None:
    one = span(
        15,
        lasts=3 * S // 2,
        status=SpanStatus.ERROR,
        resource={"service.name": "shop"},
        events=[SpanEvent(time_ns=S, name="first"), SpanEvent(time_ns=S, name="second")],
        tags=["b", "a"],
    )
    one.attributes["a b"] = 'say "hi"'
    assert points(f"{{}} | count_over_time() by({field})", one) == {label: [0.0, 1.0, 0.0]}


def test_nan_is_a_group() -> None:
    spans = of_values(math.nan, math.nan, 1)
    for query in ("{} | rate() by(.x)", '{ name = "a" } | rate() by(.x)'):
        assert points(query, *spans) == {
            '{.x="NaN"}': [0.0, 0.2, 0.0],
            '{.x="1"}': [0.0, 0.1, 0.0],
        }


def test_quantiles_and_histograms_of_groups_have_both_labels() -> None:
    spans = [span(15, x=4, y="a"), span(15, x=8)]
    assert points("{} | quantile_over_time(.x, 1) by(.y)", *spans) == {
        '{.y="<nil>", p="1"}': [0.0, 8.0, 0.0],
        '{.y="a", p="1"}': [0.0, 4.0, 0.0],
    }
    assert points("{} | histogram_over_time(.x) by(name)", *spans) == {
        '{__bucket="4", name="a"}': [0.0, 1.0, 0.0],
        '{__bucket="8", name="a"}': [0.0, 1.0, 0.0],
    }


def test_a_span_counts_once_for_each_spanset_that_has_it() -> None:
    spans = [span(15, name="a"), span(16, name="a"), span(25, name="b")]
    assert points("{} | by(name) | count() > 1 | count_over_time()", *spans) == {
        '{__name__="count_over_time"}': [0.0, 2.0, 0.0]
    }


def test_spansets_that_interleave_are_split_by_step() -> None:
    spans = [span(15 if at < 100 else 25, name="ab"[at % 2]) for at in range(300)]
    assert points("{} | by(name) | count_over_time()", *spans) == {
        '{__name__="count_over_time"}': [0.0, 100.0, 200.0]
    }


def test_groups_are_right_behind_a_relation() -> None:
    parent = span(11, name="p")
    children = [span(12, parent=parent, x=at, y=4) for at in (1, 2, 2)]
    assert points('{ name = "p" } > {} | avg_over_time(.y) by(.x)', parent, *children) == {
        '{.x="1"}': [N, 4.0, N],
        '{.x="2"}': [N, 4.0, N],
    }


# second stages


def test_topk_and_bottomk_keep_series_at_each_point() -> None:
    spans = [span(5, name="a"), span(5, name="a"), span(5, name="b"), span(15, name="b"),
             span(15, name="c"), span(25, name="c")]  # fmt: skip
    counts = "{} | count_over_time() by(name)"
    assert points(f"{counts} | topk(1)", *spans) == {
        '{name="a"}': [2.0, N, N],
        '{name="b"}': [N, 1.0, N],
        '{name="c"}': [N, N, 1.0],
    }
    assert points(f"{counts} | bottomk(1)", *spans) == {
        '{name="a"}': [N, 0.0, 0.0],
        '{name="c"}': [0.0, N, N],
    }
    assert points(f"{counts} | topk(9)", *spans) == points(counts, *spans)


def test_comparisons_keep_points_and_drop_series_that_have_none() -> None:
    spans = [span(5, name="a"), span(5, name="a"), span(15, name="b")]
    counts = "{} | count_over_time() by(name)"
    assert points(f"{counts} > 1", *spans) == {'{name="a"}': [2.0, N, N]}
    assert points(f"{counts} != 0", *spans) == {
        '{name="a"}': [2.0, N, N],
        '{name="b"}': [N, 1.0, N],
    }
    assert points(f"{counts} >= 1 | topk(1) = 1", *spans) == {'{name="b"}': [N, 1.0, N]}
    assert points("{} | max_over_time(duration) > 500ms", *spans) == {
        '{__name__="max_over_time"}': [1.0, 1.0, N]
    }


# arithmetic


def test_series_with_the_same_labels_are_calculated_with() -> None:
    spans = [span(5, name="a"), span(5, name="b"), span(15, name="a", status=SpanStatus.ERROR)]
    errors = "({ status = error } | count_over_time() by(name))"
    assert points(f"{errors} / ({{}} | count_over_time() by(name))", *spans) == {
        '{name="a"}': [0.0, 1.0, N]
    }
    assert points("({} | count_over_time() by(name)) + ({} | count_over_time() by(status))",
                  *spans) == {}  # fmt: skip


def test_true_and_1_do_not_meet_in_arithmetic() -> None:
    spans = of_values(True, 1, 1)
    counts = "({} | count_over_time() by(.x))"
    assert points(f"{counts} * {counts}", *spans) == {
        '{.x="true"}': [0.0, 1.0, 0.0],
        '{.x="1"}': [0.0, 4.0, 0.0],
    }


def test_a_series_without_labels_meets_each_that_has_some() -> None:
    spans = [span(5, name="a"), span(5, name="b"), span(15, name="b")]
    by_name, alone = "({} | count_over_time() by(name))", "({} | count_over_time())"
    assert points(f"{by_name} / {alone}", *spans) == {
        '{name="a"}': [0.5, 0.0, N],
        '{name="b"}': [0.5, 1.0, N],
    }
    assert points(f"{alone} - {by_name}", *spans) == {
        '{name="a"}': [1.0, 1.0, 0.0],
        '{name="b"}': [1.0, 0.0, 0.0],
    }


def test_the_name_of_a_result_is_what_was_calculated() -> None:
    spans = [span(5), span(15)]
    assert points("({} | rate()) / ({} | count_over_time()) * 100", *spans) == {
        '{__name__="((rate / count_over_time) * 100)"}': [10.0, 10.0, N]
    }
    assert points("2.5 - ({} | count_over_time())", *spans) == {
        '{__name__="(2.5 - count_over_time)"}': [1.5, 1.5, 2.5]
    }


def test_numbers_apply_to_every_series_and_nothing_divides_by_zero() -> None:
    spans = [span(5, name="a"), span(5, name="b")]
    assert points("({} | count_over_time() by(name)) * 3 | topk(1)", *spans) == {
        '{name="a"}': [3.0, 0.0, 0.0]
    }
    assert points("({} | rate()) / 0", *spans) == {}
    assert points("1 / ({} | count_over_time() by(name))", *spans) == {
        '{name="a"}': [1.0, N, N],
        '{name="b"}': [1.0, N, N],
    }


def test_stages_inside_brackets_come_first() -> None:
    spans = [span(5, name="a"), span(5, name="a"), span(5, name="b")]
    counts = "{} | count_over_time() by(name)"
    assert points(f"({counts} | topk(1)) + ({counts}) > 2", *spans) == {'{name="a"}': [4.0, N, N]}


# compare


def test_compare_counts_the_values_of_all_attributes_on_both_sides() -> None:
    spans = [span(15, x=1, status=SpanStatus.ERROR), span(15, x=1), span(25, x=2), span(25)]
    found = points("{} | compare({ status = error })", *spans)
    assert {name: values for name, values in found.items() if "span.x" in name} == {
        '{__meta_type="baseline", span.x="1"}': [0.0, 1.0, 0.0],
        '{__meta_type="baseline", span.x="2"}': [0.0, 0.0, 1.0],
        '{__meta_type="selection", span.x="1"}': [0.0, 1.0, 0.0],
        '{__meta_type="baseline_total", span.x="<nil>"}': [0.0, 1.0, 1.0],
        '{__meta_type="selection_total", span.x="<nil>"}': [0.0, 1.0, 0.0],
    }
    told = {name.split('", ')[-1].split("=")[0] for name in found}
    assert told == {
        "span.x", "name", "kind", "status", "rootName", "instrumentation:name",
        "instrumentation:version", "instrumentation.x",
    }  # fmt: skip


def test_compare_tells_the_commonest_values_and_that_there_are_more() -> None:
    spans = [*of_values("c", "c", "c", "a", "b", "b", "d"), *of_values("c", "d", at=5)]
    found = points('{} | compare({ .x = "d" }, 2)', *spans)
    assert {name: values for name, values in found.items() if "span.x" in name} == {
        '{__meta_error="__too_many_values__", span.x="<nil>"}': [N, N, N],
        '{__meta_type="baseline", span.x="b"}': [0.0, 2.0, 0.0],
        '{__meta_type="baseline", span.x="c"}': [1.0, 3.0, 0.0],
        '{__meta_type="selection", span.x="d"}': [1.0, 1.0, 0.0],
        '{__meta_type="baseline_total", span.x="<nil>"}': [1.0, 6.0, 0.0],
        '{__meta_type="selection_total", span.x="<nil>"}': [1.0, 1.0, 0.0],
    }


def test_compare_selects_within_a_range_of_time() -> None:
    spans = [span(at, x=at) for at in (11, 12, 13)]
    found = points(f"{{}} | compare({{}}, 10, {12 * S}, {13 * S})", *spans)
    assert {name for name in found if "span.x" in name and "total" not in name} == {
        '{__meta_type="baseline", span.x="11"}',
        '{__meta_type="selection", span.x="12"}',
        '{__meta_type="baseline", span.x="13"}',
    }


def test_compare_counts_a_span_once_per_value_of_its_events() -> None:
    one = span(15, events=[SpanEvent(time_ns=S, name=name) for name in ("e", "e", "f")])
    one.events[0].attributes["y"] = 1.0
    one.events[1].attributes["y"] = [1, 2]
    found = points("{} | compare({ false })", one)
    assert found['{__meta_type="baseline", event.y="1"}'] == [0.0, 1.0, 0.0]
    assert found['{__meta_type="baseline", event:name="e"}'] == [0.0, 1.0, 0.0]
    assert found['{__meta_type="baseline_total", event:name="<nil>"}'] == [0.0, 2.0, 0.0]


def test_compare_of_many_values_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.traceql.measure.contrast.MAX_VALUES", 3)
    for values, told in ((range(20), 0), ([*range(20), *[0] * 2000], 3)):
        found = points("{} | compare({ false }, 1000)", *of_values(*values))
        assert sum("span.x" in name and '"baseline"' in name for name in found) == told
        assert '{__meta_error="__too_many_values__", span.x="<nil>"}' in found
        assert found['{__meta_type="baseline_total", span.x="<nil>"}'][1] == len(values)


def test_compare_of_nearly_unique_values_tells_those_of_the_selection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tailrace.traceql.measure.contrast.MAX_VALUES", 3)
    found = points("{} | compare({ .x = 7 || .x = 9 })", *of_values(*range(20)))
    assert {name: values[1] for name, values in found.items() if "span.x" in name} == {
        '{__meta_error="__too_many_values__", span.x="<nil>"}': N,
        '{__meta_type="selection", span.x="7"}': 1.0,
        '{__meta_type="selection", span.x="9"}': 1.0,
        '{__meta_type="baseline_total", span.x="<nil>"}': 18.0,
        '{__meta_type="selection_total", span.x="<nil>"}': 2.0,
    }


@pytest.mark.parametrize("query", ["{}", "{ .even = true }"])
def test_compare_looks_a_column_up_again_as_the_first_time(query: str) -> None:
    spans = [
        span(15 if n % 3 else 25, trace=1 + n // 5, x=n % 300, y=n % 3, even=n % 2 == 0)
        for n in range(900)
    ]
    spans += [span(15, trace=1000, status=SpanStatus.ERROR, x=7, y=1, even=True)]
    block = memory_block(spans)
    checked = check(parse(f"{query} | compare({{ .x < 40 || status = error }}, 100)"))
    found = []
    for _ in range(15):  # columns are turned round one after the other
        made = Measurement(checked, start_ns=10 * S, end_ns=30 * S, step_ns=10 * S)
        made.add(block, Budget())
        found.append(made.result())
    assert all(one == found[0] for one in found)
    of_seven = {
        str(one.labels["__meta_type"]): sum(value or 0 for value in one.values)
        for one in found[0].series
        if one.labels.get("span.x") == 7
    }
    assert of_seven == {"selection": 4.0 if query == "{}" else 1.0}


@pytest.mark.parametrize("each", [1, 3, 40])
def test_many_groups_are_counted_however_few_spans_they_have(each: int) -> None:
    times = (15, 25, 45)  # the last is outside
    spans = [span(times[(n + m) % 3], x=n) for n in range(100) for m in range(each)]
    found = points("{} | count_over_time() by(span.x)", *spans)
    expected: dict[str, list[float | None]] = {}
    for number in range(100):
        row: list[float | None] = [0.0, 0.0, 0.0]
        for one in spans:
            if one.attributes["x"] == number and one.start_ns <= 30 * S:
                step = one.start_ns // (10 * S)
                row[step] = (row[step] or 0.0) + 1.0
        if any(row):
            expected[f'{{span.x="{number}"}}'] = row
    assert found == expected


# what it costs, and what is left out


def test_traces_that_do_not_count_are_left_out() -> None:
    block = memory_block([span(15, trace=1), span(15, trace=2, x=1), span(25, trace=3)])
    for query, expected in {
        "{} | count_over_time()": [0.0, 1.0, 1.0],
        "{ .x = 1 } | count_over_time()": [0.0, 1.0, 0.0],
        "{} | count_over_time() by(name)": [0.0, 1.0, 1.0],
    }.items():
        made = Measurement(check(parse(query)), start_ns=10 * S, end_ns=30 * S, step_ns=10 * S)
        made.add(block, Budget(), {1, 2})
        assert [series.values for series in made.result().series] == [expected]


def test_a_query_that_costs_too_much_counts_nothing_of_the_block() -> None:
    query = check(parse("({} | count_over_time()) + ({ .x = 1 } | count_over_time())"))
    made = Measurement(query, start_ns=10 * S, end_ns=30 * S, step_ns=10 * S)
    made.add(memory_block([span(15)]), Budget())
    with pytest.raises(OutOfBudget):
        made.add(memory_block([span(15)] * 5), Budget(rows=7))
    (series,) = made.result().series
    assert series.values == [0.0, 1.0, 0.0]
    assert made.result().inspected_spans == 1


def test_more_series_than_the_limit_are_left_out_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_SERIES", 3)
    three = measure("{} | rate() by(.x)", *of_values(1, 2, 3))
    assert (len(three.series), three.complete, three.reason) == (3, True, "")
    for query in ("{} | rate() by(.x)", "{} | max_over_time(.x) by(.x)",
                  "{} | histogram_over_time(.x) by(.x)", "{} | compare({ true })",
                  "{} | quantile_over_time(.x, .1, .2, .3, .4)"):  # fmt: skip
        result = measure(query, *of_values(2, 3, 4, 5, 6))
        assert len(result.series) == 3
        assert not result.complete
        assert "more than 3 series" in result.reason


# exemplars


def test_exemplars_are_the_first_two_spans_of_each_point() -> None:
    spans = [span(at, trace=trace) for at, trace in ((13, 1), (11, 2), (12, 3), (25, 4))]
    (series,) = measure("{} | count_over_time()", *spans, exemplars=10).series
    assert [(found.trace_id, found.span_id, found.time_ns, found.value) for found in
            series.exemplars] == [
        (one.trace_id, one.span_id, one.start_ns, value)
        for one, value in ((spans[1], 3.0), (spans[2], 3.0), (spans[3], 1.0))
    ]  # fmt: skip
    assert measure("{} | count_over_time()", *spans).series[0].exemplars == []


def test_exemplars_of_values_have_them_and_lie_in_their_bucket_or_quantile() -> None:
    spans = [span(15, lasts=lasts) for lasts in (S // 2, S, 4 * S)]
    by_bucket = measure("{} | histogram_over_time(duration)", *spans, exemplars=10).series
    assert [[found.value for found in series.exemplars] for series in by_bucket] == [
        [0.5], [1.0], [4.0],
    ]  # fmt: skip
    low, high = measure("{} | quantile_over_time(duration, .3, 1)", *spans, exemplars=9).series
    assert [found.value for found in low.exemplars] == [0.5]
    assert [found.value for found in high.exemplars] == [1.0]
    (top,) = measure("{} | max_over_time(duration)", *spans, exemplars=9).series
    assert [found.value for found in top.exemplars] == [0.5, 1.0]


def test_exemplars_are_as_many_as_wanted_and_of_points_that_are_left() -> None:
    spans = [span(at / 10) for at in range(300)]
    for query, wanted, found in (
        ("{} | rate()", 4, 4), ("{} | rate()", 100, 6), ("{} | rate() with(exemplars=3)", 0, 3),
        ("{} | rate() with(exemplars=true)", 0, 6), ("{} | rate() with(exemplars=false)", 9, 0),
        ("{} | count_over_time() > 999", 9, 0), ("{} | rate() by(name) | topk(1)", 9, 6),
    ):  # fmt: skip
        result = measure(query, *spans, exemplars=wanted)
        assert sum(len(series.exemplars) for series in result.series) == found


def test_exemplars_are_spread_over_time() -> None:
    (series,) = measure("{} | rate()", *[span(at / 10) for at in range(1, 300)], exemplars=3).series
    assert [found.time_ns for found in series.exemplars] == [S // 10, 101 * S // 10, 201 * S // 10]


# names


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({}, "{}"),
        ({"name": "x", "p": 0.9}, '{name="x", p="0.9"}'),
        ({"b": None, "a": ""}, '{a="<empty>", b="<nil>"}'),
        ({".x": True, ".y": -2, ".z": 1e300}, '{.x="true", .y="-2", .z="1e+300"}'),
        ({".x": math.nan, ".y": math.inf, ".z": -math.inf}, '{.x="NaN", .y="+Inf", .z="-Inf"}'),
        ({"duration": 90 * S}, '{duration="1m30s"}'),
        ({"duration": -5, "__bucket": 4.0}, '{__bucket="4", duration="-5ns"}'),
        ({".x": 'a"b\\c\nd'}, '{.x="a\\"b\\\\c\\nd"}'),
    ],
)
def test_series_have_names(labels: dict[str, Any], name: str) -> None:
    assert series_name(labels) == name
