"""Metrics as tables: a row for each step, or where many series would not fit one for each series.

Steps in a row that have nothing to tell are one line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tailrace.cli.clock_text import local_time
from tailrace.cli.plot import number
from tailrace.cli.search_rows import brief
from tailrace.cli.sparkline import sparkline
from tailrace.cli.table_text import Column, Row, render_markdown, render_table
from tailrace.cli.terminal import Terminal
from tailrace.cli.width import cells
from tailrace.model.search import MetricSeries, MetricsResult

_TIME_CELLS = 25
_GAP = 2
_TREND = 32
_LEVELS = 1_000


def series_label(series: MetricSeries) -> str:
    """Return the labels of a series as ``{name="fetch"}``, or the name of its function alone."""
    from tailrace.traceql.measure import series_name  # noqa: PLC0415 - not for --help

    if list(series.labels) == ["__name__"]:
        return brief(str(series.labels["__name__"]))
    return brief(series_name(series.labels))


def metrics_lines(
    result: MetricsResult, series: Sequence[MetricSeries], terminal: Terminal
) -> list[str]:
    """Return a table that fits the terminal."""
    if len(result.times) == 1:
        return render_table(*_values(series), terminal)
    labels = [series_label(one) for one in series]
    needed = _TIME_CELLS + sum(_GAP + max(cells(label), 8) for label in labels)
    if needed > terminal.width and len(series) > 1:
        return render_table(*_overview(series, terminal), terminal)
    return render_table(_heads(labels), list(_steps(result, series, terminal)), terminal)


def metrics_markdown(result: MetricsResult, series: Sequence[MetricSeries]) -> list[str]:
    """Return a Markdown table, a row for each step."""
    if len(result.times) == 1:
        return render_markdown(*_values(series))
    labels = [series_label(one) for one in series]
    return render_markdown(_heads(labels), [_step(result, series, i) for i in _all(result)])


def _heads(labels: Sequence[str]) -> list[Column]:
    return [Column(title="TIME"), *(Column(title=label, right=True) for label in labels)]


def _all(result: MetricsResult) -> range:
    return range(len(result.times))


def _values(series: Sequence[MetricSeries]) -> tuple[list[Column], list[Row]]:
    columns = [Column(title="SERIES", flex=True, least=20), Column(title="VALUE", right=True)]
    return columns, [[series_label(one), _text(one.values[0])] for one in series]


def _steps(
    result: MetricsResult, series: Sequence[MetricSeries], terminal: Terminal
) -> Iterator[Row]:
    """Yield a row for each step; of those in a row without any number above 0 one for all."""
    quiet: list[int] = []
    for place in _all(result):
        if not any(one.values[place] for one in series):
            quiet.append(place)
            continue
        yield from _quiet(result, series, quiet, terminal)
        quiet = []
        yield _step(result, series, place)
    yield from _quiet(result, series, quiet, terminal)


def _quiet(
    result: MetricsResult, series: Sequence[MetricSeries], places: list[int], terminal: Terminal
) -> Iterator[Row]:
    if len(places) < 3:
        yield from (_step(result, series, place) for place in places)
        return
    values = [_text(one.values[places[0]]) for one in series]
    yield [f"{terminal.marks.ellipsis} {len(places):,} steps alike", *values]


def _step(result: MetricsResult, series: Sequence[MetricSeries], place: int) -> Row:
    return [local_time(result.times[place]), *(_text(one.values[place]) for one in series)]


def _text(value: float | None) -> str:
    return "-" if value is None else number(value)


def _overview(series: Sequence[MetricSeries], terminal: Terminal) -> tuple[list[Column], list[Row]]:
    columns = [
        Column(title="SERIES", flex=True, least=30),
        *(Column(title=title, right=True, drop=drop) for title, drop in _FACTS),
        Column(title="OVER TIME", drop=1),
    ]
    return columns, [_facts(one, terminal) for one in series]


_FACTS = (("LAST", 0), ("MIN", 4), ("MEAN", 3), ("MAX", 2))


def _facts(series: MetricSeries, terminal: Terminal) -> Row:
    known = [value for value in series.values if value is not None and math.isfinite(value)]
    trend = _trend(series.values, terminal)
    if not known:
        return [series_label(series), "-", "-", "-", "-", trend]
    numbers = (known[-1], min(known), sum(known) / len(known), max(known))
    return [series_label(series), *map(number, numbers), trend]


def _trend(values: Sequence[float | None], terminal: Terminal) -> str:
    """Return the values as a line of small bars, each the largest of its part of the time."""
    width = min(_TREND, len(values))
    parts = []
    for place in range(width):
        some = values[place * len(values) // width : (place + 1) * len(values) // width]
        parts.append(max((v for v in some if v is not None and math.isfinite(v)), default=0.0))
    most = max(parts, default=0.0)
    if most <= 0:
        return sparkline([0] * width, unicode=terminal.unicode)
    levels = [math.ceil(_LEVELS * max(0.0, value) / most) for value in parts]
    return sparkline(levels, unicode=terminal.unicode)
