"""Failures as everybody outside of a run's journal sees them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from tailrace.failures.capturing import capture
from tailrace.failures.tags import RESERVED
from tailrace.model import (
    Cause,
    ErrorCategory,
    FailureClass,
    FailureRecord,
    FailureSnapshot,
    Origin,
    ScopeLevel,
)

_LEVELS = frozenset(ScopeLevel)
_SEVERITIES = {
    FailureClass.INFRASTRUCTURE.value: "critical",
    FailureClass.CANCELLED.value: "info",
    FailureClass.BENIGN.value: "info",
}
_ROOT = (ScopeLevel.ROOT.value,)


def snapshot_of(
    record: FailureRecord,
    *,
    origin: Origin,
    run_id: str = "",
    trace_id: str = "",
    **context: Any,
) -> FailureSnapshot:
    """Return a failure where it was raised: no hop made, nothing decided.

    Args:
        record: what ``capture`` gave; its own origin says node, task, attempt and policy.
        origin: where it was raised; the snapshot stands at its path.
        run_id: the run it belongs to; empty outside of runs.
        trace_id: empty: that of the run, which is the same.
        context: further fields of ``FailureSnapshot``, such as ``flow``, ``span_id``,
            ``code_version``, ``worker_id`` and ``generation``; they win over those of the record.
    """
    within = record.origin
    if within is not None:
        context = {
            "node_id": within.node,
            "task_ref": within.task,
            "attempt": within.attempt,
            "max_attempts": within.max_attempts,
            "input_digest": within.input_digest,
            "policy_ref": within.policy_ref,
            **context,
        }
    if record.tags:
        context = {**{key: value for key, value in record.tags if key in RESERVED}, **context}
    return FailureSnapshot(
        failure_id=record.failure_id,
        captured_ns=record.captured_ns,
        type=record.type,
        message=record.message,
        category=record.category,
        class_=record.class_,
        rule=record.rule,
        retryable=record.retryable,
        retry_after_s=record.retry_after,
        origin=origin,
        path=origin.path,
        level=level_of(origin.path),
        given_up=record.given_up,
        notes=record.notes,
        cause_chain=_causes(record.causes) if record.causes else (),
        children=_causes(record.children) if record.children else (),
        child_count=record.child_count,
        fp_site=record.fingerprint,
        fp_template=record.fp_template,
        stack_id=record.stack_id,
        frames=record.frames,
        location=record.location,
        source_line=record.source_line,
        function=record.function,
        run_id=run_id,
        trace_id=trace_id or run_id,
        tags=record.tags,
        dropped_tags=record.dropped_tags,
        redacted=record.redacted,
        severity=_SEVERITIES.get(record.class_, "error"),
        description=f"{record.type}: {record.message}" if record.message else record.type,
        **context,
    )


def _causes(pairs: Sequence[tuple[str, str]]) -> tuple[Cause, ...]:
    return tuple([Cause(kind, message) for kind, message in pairs])


def capture_snapshot(
    error: BaseException,
    *,
    source: str,
    path: tuple[str, ...] = _ROOT,
    category: str | None = None,
    **context: Any,
) -> FailureSnapshot:
    """Return the failure that an exception outside of any run is. Never raises for the exception.

    Args:
        error: the exception.
        source: which catch-all met it; see ``Origin.source``.
        path: the scope in which it was raised, outermost first.
        category: a value of ``ErrorCategory`` that the caller knows better than the rules.
        context: further fields of ``FailureSnapshot``, such as ``worker_id``; and ``thread``, the
            name of the thread in which it was raised, where that is another.
    """
    record = capture(error, category=category, thread=context.pop("thread", ""))
    origin = Origin(path, source, record.thread, record.pid, host_name())
    return snapshot_of(record, origin=origin, **context)


def origin_of(
    record: FailureRecord, *, within: tuple[str, ...] = _ROOT, source: str = "task"
) -> Origin:
    """Return where a failure of a run was raised, on this machine.

    Args:
        record: its own origin says where in the run.
        within: the path of the run: ``("root", "worker:…", "run:…")``.
        source: see ``Origin.source``.
    """
    path = within if record.origin is None else (*within, *record.origin.path)
    return Origin(path, source, record.thread, record.pid, host_name())


def record_of(snapshot: FailureSnapshot) -> FailureRecord:
    """Return the failure of a snapshot as a journal would carry it, without its place in a run."""
    return FailureRecord(
        type=snapshot.type,
        message=snapshot.message,
        category=snapshot.category,
        retryable=snapshot.retryable,
        location=snapshot.location,
        source_line=snapshot.source_line,
        function=snapshot.function,
        causes=tuple((cause.type, cause.message) for cause in snapshot.cause_chain),
        fingerprint=snapshot.fp_site,
        retry_after=snapshot.retry_after_s,
        failure_id=snapshot.failure_id,
        captured_ns=snapshot.captured_ns,
        class_=snapshot.class_,
        rule=snapshot.rule,
        fp_template=snapshot.fp_template,
        notes=snapshot.notes,
        children=tuple((child.type, child.message) for child in snapshot.children),
        child_count=snapshot.child_count,
        frames=snapshot.frames,
        stack_id=snapshot.stack_id,
        thread=snapshot.origin.thread,
        pid=snapshot.origin.pid,
        redacted=snapshot.redacted,
        tags=snapshot.tags,
        dropped_tags=snapshot.dropped_tags,
        given_up=snapshot.given_up,
    )


def level_of(path: tuple[str, ...]) -> str:
    """Return the level of the scope at a path: a value of ``ScopeLevel``."""
    level = path[-1].partition(":")[0] if path else ScopeLevel.ROOT.value
    return level if level in _LEVELS else ScopeLevel.TASK.value


def border_category(category: str) -> str:
    """Return a category in the three words of the older event schema."""
    match category:
        case ErrorCategory.TIMEOUT:
            return ErrorCategory.TRANSIENT.value
        case ErrorCategory.CANCELLED:
            return ErrorCategory.UNKNOWN.value
        case _:
            return category


@cache
def host_name() -> str:
    """Return the name of this machine."""
    return os.uname().nodename
