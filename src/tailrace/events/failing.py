"""Failures of attempts: as snapshots, and as an event tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tailrace.events.instants import utc_text
from tailrace.failures.capturing import capture
from tailrace.failures.snapshot import border_category, host_name, snapshot_of
from tailrace.model import ErrorCategory, FailureClass, FailureRecord
from tailrace.model.failure import (
    INITIAL,
    Cause,
    Directive,
    Disposition,
    FailureSnapshot,
    Hop,
    Origin,
    ScopeLevel,
)
from tailrace.model.ids import new_sortable


class UnrecordableResultError(TypeError):
    """An action is done, but what it returned has no JSON form."""


def unrecordable(place: str) -> FailureRecord:
    """Return the failure that a result without JSON form is: final, and the action is done."""
    error = UnrecordableResultError(f"the result cannot be recorded: {place}")
    record = capture(
        error,
        category=ErrorCategory.PERMANENT.value,
        class_=FailureClass.SERIALIZATION.value,
    )
    return msgspec.structs.replace(record, rule="result", retryable=False)


def process_lost(at_ns: int, attempt: int) -> FailureRecord:
    """Return the failure of an attempt whose process died."""
    return FailureRecord(
        type="WorkerLost",
        message=f"the process died during attempt {attempt}",
        category=ErrorCategory.TRANSIENT.value,
        retryable=True,
        failure_id=f"F-{new_sortable()}",
        captured_ns=at_ns,
        class_=FailureClass.WORKER_LOST.value,
        rule="lost",
    )


def arrived(
    record: FailureRecord,
    *,
    worker_id: str,
    source: str,
    directive: Directive,
    reason: str,
    at_ns: int,
    **context: Any,
) -> FailureSnapshot:
    """Return the failure of an attempt after its stream has decided about it: one hop.

    Args:
        record: the failure.
        worker_id: the process.
        source: ``event``, or ``lost`` for a process that died.
        directive: what was decided.
        reason: why.
        at_ns: when.
        context: further fields of ``FailureSnapshot``: ``node_id`` and ``attempt`` among them.
    """
    scope = ("root", f"worker:{worker_id}", f"node:{context['node_id']}")
    path = (*scope, f"task:{context['attempt']}")
    origin = Origin(path, source, record.thread, record.pid, host_name())
    hop = Hop(ScopeLevel.NODE.value, scope, directive.value, "", reason, at_ns)
    made = {"path": scope, "level": ScopeLevel.NODE.value, "trail": (hop,)}
    snapshot = snapshot_of(record, origin=origin, worker_id=worker_id)
    return msgspec.structs.replace(
        snapshot,
        stage=INITIAL.escalate(),
        disposition=_disposition(directive, record.category).value,
        **made,
        **context,
    )


def _disposition(directive: Directive, category: str) -> Disposition:
    if category == ErrorCategory.CANCELLED.value:
        return Disposition.CANCELLED
    return Disposition.RETRIED if directive is Directive.RETRY else Disposition.TERMINAL


def error_info(snapshot: FailureSnapshot, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says of its error; ``category`` in the words of the older program."""
    name = snapshot.type.rpartition(".")[2]
    return {
        "category": border_category(snapshot.category),
        "message": snapshot.message,
        "type": name,
        "stacktrace": None,
        "context": dict(context),
        "class": snapshot.class_,
        "qualified_type": snapshot.type if "." in snapshot.type else f"builtins.{snapshot.type}",
        "rule": snapshot.rule,
        "retry_after": snapshot.retry_after_s,
        "stack_id": snapshot.stack_id,
        "notes": list(snapshot.notes),
        "cause": _causes(snapshot.cause_chain),
        "children": _causes(snapshot.children),
        "fp_site": snapshot.fp_site,
        "fp_template": snapshot.fp_template,
        "redacted": list(snapshot.redacted),
    }


def _causes(causes: Iterable[Cause]) -> list[dict[str, str]]:
    return [
        {"type": cause.type, "message": cause.message, "stack_id": cause.stack_id}
        for cause in causes
    ]


def failure_json(snapshot: FailureSnapshot, trail: list[dict[str, Any]]) -> dict[str, Any]:
    """Return where an event's failure came from and went; ``trail`` is that of all attempts."""
    return {
        "failure_id": snapshot.failure_id,
        "path": list(snapshot.path),
        "origin": list(snapshot.origin.path),
        "stage": {"kind": snapshot.stage.kind, "hops": snapshot.stage.hops()},
        "trail": trail,
        "tags": [list(tag) for tag in snapshot.tags],
        "dropped_tags": snapshot.dropped_tags,
    }


def hop_json(hop: Hop) -> dict[str, Any]:
    """Return a hop as an event shows it."""
    return {
        "level": hop.level,
        "directive": hop.directive,
        "policy": hop.policy_ref,
        "reason": hop.reason,
        "at": utc_text(hop.at_ns),
    }


def stack_text(snapshot: FailureSnapshot) -> str:
    """Return the stack of a failure as Python would print it, without the lines of source."""
    lines = [
        f'  File "{frame.file}", line {frame.line}, in {frame.function}'
        for frame in snapshot.frames
    ]
    name = snapshot.type.rpartition(".")[2]
    end = f"{name}: {snapshot.message}" if snapshot.message else name
    return "\n".join(["Traceback (most recent call last):", *lines, end, ""])
