"""Runs and spans for programs: full ids, UTC, nanoseconds."""

from __future__ import annotations

from typing import Any

from tailrace.cli.clock_text import utc_time
from tailrace.model.span import NO_SCOPE, RunSummary, Span


def run_to_dict(run: RunSummary) -> dict[str, Any]:
    """Return a run; instants are ISO 8601 in UTC."""
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "status": run.status.value,
        "start": utc_time(run.start_ns),
        "end": None if run.end_ns is None else utc_time(run.end_ns),
        "duration_ns": None if run.end_ns is None else run.end_ns - run.start_ns,
        "spans": run.spans,
        "failed_node": run.failed_node or None,
        "reason": run.reason or None,
        "handled_failures": run.handled_failures,
        "flow_hash": run.flow_hash,
        "flow_source": run.flow_source,
        "source": run.source,
        "code_version": run.code_version or None,
        "lineage": run.lineage or run.run_id,
        "resumed_from": run.resumed_from or None,
        "dead_letter": run.letter or None,
        "generation": run.generation,
    }


def span_to_dict(span: Span, *, events: bool = True) -> dict[str, Any]:
    """Return a span with its attributes as they were recorded.

    Of a span from elsewhere there are its program and its library besides.
    """
    body: dict[str, Any] = {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "type": span.type.value,
        "kind": span.kind.value,
        "status": span.status.value,
        "message": span.message,
        "start": utc_time(span.start_ns),
        "end": None if span.end_ns is None else utc_time(span.end_ns),
        "duration_ns": span.duration_ns,
        "attributes": span.attributes,
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": link.attributes}
            | ({"trace_state": link.trace_state} if link.trace_state else {})
            for link in span.links
        ],
        "dropped_events": span.dropped_events,
    }
    if span.resource:
        body["resource"] = dict(span.resource)
    if span.scope != NO_SCOPE:
        scope = span.scope
        body["scope"] = {
            "name": scope.name,
            "version": scope.version,
            "attributes": dict(scope.attributes),
        }
    if span.trace_state:
        body["trace_state"] = span.trace_state
    if events:
        body["events"] = [
            {"time": utc_time(event.time_ns), "name": event.name, "attributes": event.attributes}
            for event in span.events
        ]
    return body
