"""What searches and metrics found, for programs: full ids, UTC, nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace.cli.clock_text import utc_time
from tailrace.model.search import FoundSet, FoundSpan, FoundTrace, MetricSeries, MetricsResult


def found_to_dict(trace: FoundTrace, columns: Sequence[str] = ()) -> dict[str, Any]:
    """Return a trace that was found; ``columns`` are those that a ``pick(…)`` asks for."""
    if columns:
        picked = picked_values(trace)
        return {name: picked[name] for name in columns}
    return {
        "trace_id": trace.trace_id,
        "root_service": trace.root_service,
        "root_name": trace.root_name,
        "start": utc_time(trace.start_ns),
        "duration_ns": trace.duration_ns,
        "spans": trace.spans,
        "errors": trace.errors,
        "matched": trace.matched,
        "is_run": trace.is_run,
        "sets": [_set_to_dict(one) for one in trace.sets],
    }


def picked_values(trace: FoundTrace) -> dict[str, Any]:
    """Return what each column of a ``pick(…)`` is."""
    return {
        "trace_id": trace.trace_id,
        "root_service": trace.root_service,
        "root_name": trace.root_name,
        "start_time": utc_time(trace.start_ns),
        "end_time": utc_time(trace.start_ns + trace.duration_ns),
        "span_count": trace.spans,
    }


def _set_to_dict(one: FoundSet) -> dict[str, Any]:
    return {
        "values": one.values,
        "matched": one.matched,
        "spans": [_span_to_dict(span) for span in one.spans],
    }


def _span_to_dict(span: FoundSpan) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "name": span.name,
        "service": span.service,
        "start": utc_time(span.start_ns),
        "duration_ns": span.duration_ns,
        "status": span.status.value,
        "values": span.values,
    }


def metrics_to_dict(result: MetricsResult, shown: Sequence[MetricSeries]) -> dict[str, Any]:
    """Return series with their labels; ``values[i]`` belongs to ``times[i]``, null is no point."""
    return {
        "step_ns": result.step_ns,
        "times": [utc_time(time) for time in result.times],
        "series": [
            {
                "labels": series.labels,
                "values": series.values,
                "exemplars": _exemplars(series),
            }
            for series in shown
        ],
        "complete": result.complete,
        "reason": result.reason,
        "inspected_spans": result.inspected_spans,
    }


def series_to_dict(result: MetricsResult, series: MetricSeries) -> dict[str, Any]:
    """Return one series with its points as pairs of time and value."""
    pairs = zip(result.times, series.values, strict=True)
    return {
        "labels": series.labels,
        "points": [[utc_time(at), value] for at, value in pairs if value is not None],
        "exemplars": _exemplars(series),
    }


def _exemplars(series: MetricSeries) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": one.trace_id,
            "span_id": one.span_id,
            "time": utc_time(one.time_ns),
            "value": one.value,
        }
        for one in series.exemplars
    ]
