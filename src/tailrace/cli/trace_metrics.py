"""``tailrace trace metrics``: numbers over time, as TraceQL calculates them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from tailrace.cli.clock_text import duration, local_time
from tailrace.cli.group import command
from tailrace.cli.json_text import compact, pretty
from tailrace.cli.listing import DATA, FORMATS, counted, say
from tailrace.cli.metrics_table import metrics_lines, metrics_markdown, series_label
from tailrace.cli.options import (
    Store,
    budget_option,
    format_option,
    instant,
    limit_option,
    seconds,
    store_option,
)
from tailrace.cli.plot import MOST, Curve, render_plot
from tailrace.cli.search_json import metrics_to_dict, series_to_dict
from tailrace.cli.searching import checked, end, open_search, query_text, tell_ignored
from tailrace.cli.session import current_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailrace.model.search import MetricSeries, MetricsResult

_NS = 1_000_000_000
_EXEMPLARS = 20
"""Spans that data names as examples, at most; a hint of the query says otherwise."""


@command(name="metrics")
@click.argument("query", metavar="QUERY")
@click.option(
    "--since",
    metavar="WHEN",
    default="24h",
    show_default=True,
    callback=instant(),
    help="Begin of the range (2h, 7d, 2026-11-21).",
)
@click.option(
    "--until",
    metavar="WHEN",
    callback=instant(end_of_day=True),
    help="End of the range; now otherwise.",
)
@click.option(
    "--step",
    metavar="DURATION",
    callback=seconds,
    help="Time from point to point (30s, 5m, 1h); as suits the range otherwise.",
)
@click.option("--instant", "at_once", is_flag=True, help="One number for the whole range.")
@limit_option
@budget_option
@store_option
@format_option(*FORMATS, "plot")
def trace_metrics(  # noqa: PLR0913 - its options, by name
    query: str,
    *,
    since: int,
    until: int | None,
    step: float | None,
    at_once: bool,
    limit: int,
    budget: float,
    db: Store,
    output: str,
) -> int:
    """Show TraceQL metrics as a table, as data, or as a plot; a row of the limit is a series.

    QUERY is the query itself, or - to read it from standard input. Points stand at the ends of
    their steps; times of spans of the field duration are in seconds. A query that was cut off
    shows what it has and exits with 6.

    \b
      tailrace trace metrics '{ status = error } | rate() by (resource.service.name)'
      tailrace trace metrics '{ } | quantile_over_time(duration, .5, .95)' --since 1h -o plot
      tailrace trace metrics '{ } | count_over_time() by (name)' --since 7d --instant
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.traceql.budget import Budget  # noqa: PLC0415 - not for --help

    asked = checked(query_text(query))
    now = time.time_ns()
    last = now if until is None else until
    if since >= last:
        raise click.UsageError("the range is empty: --since is not before --until")
    began = time.perf_counter()
    with open_search(db) as store:
        result = store.metrics(
            asked,
            since_ns=since,
            until_ns=last,
            step_ns=None if step is None else round(step * _NS),
            exemplars=_EXEMPLARS if output in DATA else 0,
            instant=at_once,
            budget=Budget(seconds=budget),
        )
    took = round((time.perf_counter() - began) * _NS)
    tell_ignored(asked)
    code = end(complete=result.complete, reason=result.reason)
    series = result.series[:limit]
    _show(result, series, output)
    if output not in DATA:
        say(_footer(result, len(series), took))
    return code


def _show(result: MetricsResult, series: Sequence[MetricSeries], output: str) -> None:
    terminal = current_session().out
    match output:
        case "json":
            terminal.lines([pretty(metrics_to_dict(result, series))])
        case "jsonl":
            terminal.lines(compact(series_to_dict(result, one)) for one in series)
        case "markdown":
            terminal.lines(metrics_markdown(result, series))
        case "plot" if series:
            shown = sorted(series, key=_size, reverse=True)[:MOST]
            curves = [Curve(label=series_label(one), values=one.values) for one in shown]
            ends = _day_time(result.times[0]), _day_time(result.times[-1])
            height = max(6, min(16, terminal.height - len(curves) - 6))
            terminal.lines(render_plot(curves, ends, terminal, height=height))
            if len(series) > MOST:
                say(f"{len(series) - MOST:,} smaller series are not in the plot")
        case _ if series:
            terminal.lines(metrics_lines(result, series, terminal))


def _size(series: MetricSeries) -> float:
    return max((abs(value) for value in series.values if value is not None), default=0.0)


def _day_time(at_ns: int) -> str:
    return local_time(at_ns)[:16]


def _footer(result: MetricsResult, shown: int, took_ns: int) -> str:
    count = counted(len(result.series), "series", "series")
    left = len(result.series) - shown
    parts = [f"{count}, {left:,} of them not shown (--limit)" if left else count]
    if len(result.times) > 1:
        parts.append(f"{len(result.times):,} steps of {_step(result.step_ns)}")
    looked = counted(result.inspected_spans, "span")
    parts.append(f"looked through {looked} in {duration(took_ns)}")
    return " · ".join(parts)


def _step(ns: int) -> str:
    for unit, size in (("h", 3_600 * _NS), ("m", 60 * _NS), ("s", _NS)):
        if ns % size == 0:
            return f"{ns // size} {unit}"
    return duration(ns)
