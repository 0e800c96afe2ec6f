"""A failure as flat fields, for structured logs."""

from __future__ import annotations

from typing import Any

from tailrace.model.failure import FailureSnapshot

MESSAGE = "failure at %s: %s: %s"
"""The constant text of a log line: where, type, first line of the message."""


def log_fields(snapshot: FailureSnapshot) -> dict[str, Any]:
    """Return the fields of a log line; no name collides with those of ``logging``."""
    fields: dict[str, Any] = {
        "failure_id": snapshot.failure_id,
        "failure_type": snapshot.type,
        "failure_message": snapshot.message,
        "failure_category": snapshot.category,
        "failure_class": snapshot.class_,
        "failure_rule": snapshot.rule,
        "failure_fingerprint": snapshot.fp_site,
        "failure_disposition": snapshot.disposition,
        "failure_source": snapshot.origin.source,
        "failure_path": "/".join(snapshot.path),
        "failure_hops": snapshot.stage.hops(),
        "failure_tags": dict(snapshot.tags),
    }
    for field in ("location", "given_up", "task_ref", "input_digest", "code_version", "worker_id"):
        value = getattr(snapshot, field)
        if value:
            fields[f"failure_{field}"] = value
    for field in ("run_id", "flow", "node_id", "attempt", "generation", "trace_id", "span_id"):
        value = getattr(snapshot, field)
        if value:
            fields[field] = value
    return fields


def log_arguments(snapshot: FailureSnapshot) -> tuple[str, str, str]:
    """Return what stands in the places of ``MESSAGE``."""
    where = snapshot.node_id or snapshot.location or snapshot.origin.source
    return where, snapshot.type, snapshot.message.partition("\n")[0]
