"""The stream in numbers, counted on demand: nothing is kept that could disagree."""

from __future__ import annotations

from typing import Any

from tailrace.events.attempts import StreamLog
from tailrace.model.event import EventFilter, EventStatus


def stream_metrics(log: StreamLog) -> dict[str, Any]:
    """Return exact numbers of a stream; an empty one has zeros, and no rates.

    Keys: ``total_events``, ``by_status``, ``error_categories``, ``event_types`` (of events);
    ``work`` (``total``, ``succeeded``, ``failed``, ``cancelled``, ``open``, ``attempts``,
    ``retries``, ``healed``), ``success_rate`` and ``error_rate`` (of work, percent, or None).
    A piece of work that succeeded at its fourth attempt is one success with three retries.
    """
    counts = log.counts(EventFilter())
    work = log.work()
    rate = work.success_rate
    return {
        "total_events": counts.total,
        "by_status": {status.value: counts.by_status.get(status, 0) for status in EventStatus},
        "error_categories": dict(counts.by_category),
        "event_types": dict(counts.by_type),
        "work": {
            "total": work.total,
            "succeeded": work.succeeded,
            "failed": work.failed,
            "cancelled": work.cancelled,
            "open": work.open,
            "attempts": work.attempts,
            "retries": work.retries,
            "healed": work.healed,
        },
        "success_rate": None if rate is None else round(100 * rate, 2),
        "error_rate": None if rate is None else round(100 * (1 - rate), 2),
        "first_ns": counts.first_ns,
        "last_ns": counts.last_ns,
    }


def prometheus_text(log: StreamLog) -> str:
    """Return the same numbers in Prometheus' text format; the labels are bounded."""
    found = stream_metrics(log)
    lines = [
        "# HELP tailrace_events_total Events of the stream by status.",
        "# TYPE tailrace_events_total counter",
    ]
    lines += [
        f'tailrace_events_total{{status="{status}"}} {count}'
        for status, count in found["by_status"].items()
    ]
    lines += [
        "# HELP tailrace_event_errors_total Failing events by category.",
        "# TYPE tailrace_event_errors_total counter",
    ]
    lines += [
        f'tailrace_event_errors_total{{category="{category}"}} '
        f"{found['error_categories'].get(category, 0)}"
        for category in ("transient", "permanent", "unknown")
    ]
    lines += [
        "# HELP tailrace_event_work Pieces of work by how they stand.",
        "# TYPE tailrace_event_work gauge",
    ]
    lines += [
        f'tailrace_event_work{{state="{state}"}} {found["work"][state]}'
        for state in ("succeeded", "failed", "cancelled", "open")
    ]
    lines += [
        "# HELP tailrace_event_retries_total Attempts after the first.",
        "# TYPE tailrace_event_retries_total counter",
        f"tailrace_event_retries_total {found['work']['retries']}",
    ]
    return "\n".join(lines) + "\n"
