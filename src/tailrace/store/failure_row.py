"""Failures as rows: columns for what is asked for, one compact body for the rest.

The stack stands in a row of its own, shared by all failures that have it. What follows from the
origin (the scope's path, its level, the paths of hops) is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tailrace.model.failure import (
    INITIAL,
    Cause,
    EscalationStage,
    FailureSnapshot,
    Frame,
    Hop,
    Origin,
    ScopeLevel,
)

SELECT = """SELECT f.failure_id, f.at, coalesce(r.run_id, ''), f.flow, f.node, f.type, f.category,
f.class, f.disposition, g.fp, coalesce(t.fp, ''), coalesce(s.stack_id, ''), s.body,
coalesce(v.name, ''), f.tags, f.body
FROM failure AS f
JOIN failure_group AS g ON g.id = f.grp
LEFT JOIN run AS r ON r.no = f.run
LEFT JOIN template AS t ON t.id = f.template
LEFT JOIN stack AS s ON s.id = f.stack
LEFT JOIN version AS v ON v.id = f.version"""
"""The query whose rows ``failure_of`` takes."""

INSERT = """INSERT INTO failure (failure_id, at, run, flow, node, type, category, class,
disposition, grp, template, stack, version, tags, body)
VALUES (?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, 0), nullif(?, 0), ?,
?)"""
"""None and bytes are slow to bind (they go through sqlite3's adapters), so neither is bound."""

UPDATE = "UPDATE failure SET disposition = ?, category = ?, class = ?, body = ? WHERE id = ?"


class Keys(NamedTuple):
    """Rows that a failure's row refers to."""

    run: int | None
    group: int
    template: int | None
    stack: int | None
    version: int | None


class _Hop(msgspec.Struct, frozen=True, array_like=True, gc=False):
    level: str
    directive: str
    policy_ref: str
    reason: str
    at_ns: int
    path: tuple[str, ...] | None = None
    """None: the origin's, shorter by one segment for each hop."""


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Field order is the format in the file: append fields with defaults, never reorder."""

    message: str
    rule: str
    retryable: bool
    retry_after_s: float | None
    origin_path: tuple[str, ...]
    source: str
    thread: str
    pid: int
    host: str
    hops: int
    trail: tuple[_Hop, ...]
    given_up: str
    notes: tuple[str, ...]
    causes: tuple[tuple[str, str, str], ...]
    children: tuple[tuple[str, str, str], ...]
    child_count: int
    location: str
    source_line: str
    function: str
    task_ref: str
    attempt: int
    max_attempts: int
    generation: int
    input_digest: str
    policy_ref: str
    worker_id: str
    run_id: str
    """Of a run that is not in this store; else empty."""
    trace_id: str
    """Empty when it is the run's id."""
    span_id: str
    component: str
    endpoint: str
    transport: str
    dropped_tags: int
    redacted: tuple[str, ...]
    severity: str
    description: str | None
    """None: type and message."""
    level: str = ScopeLevel.TASK.value
    path: tuple[str, ...] | None = None
    """None: it follows from the origin's."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode
_encode_frames = msgspec.msgpack.Encoder().encode
_decode_frames = msgspec.msgpack.Decoder(tuple[Frame, ...]).decode
_encode_tags = msgspec.json.Encoder().encode
_decode_tags = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_NO_TAGS = "[]"


def encode_tags(tags: Sequence[tuple[str, str]]) -> str:
    """Return tags as the text of their column."""
    return _encode_tags(tags).decode() if tags else _NO_TAGS


def encode_frames(frames: Sequence[Frame]) -> bytes:
    """Return frames as the body of a stack's row."""
    return _encode_frames(frames)


def row_of(failure: FailureSnapshot, keys: Keys) -> tuple[Any, ...]:
    """Return the values for ``INSERT``."""
    return (
        failure.failure_id,
        failure.captured_ns,
        keys.run or 0,
        failure.flow,
        failure.node_id,
        failure.type,
        failure.category,
        failure.class_,
        failure.disposition,
        keys.group,
        keys.template or 0,
        keys.stack or 0,
        keys.version or 0,
        encode_tags(failure.tags),
        bytearray(encode_body(failure, has_run=keys.run is not None)),
    )


def encode_body(failure: FailureSnapshot, *, has_run: bool) -> bytes:
    """Return what no column holds; ``has_run`` says that the row of its run is in the file."""
    origin = failure.origin
    trail = failure.trail
    return _encode(
        _Body(
            failure.message,
            failure.rule,
            failure.retryable,
            failure.retry_after_s,
            origin.path,
            origin.source,
            origin.thread,
            origin.pid,
            origin.host,
            failure.stage.count,
            _hops(trail, origin.path) if trail else (),
            failure.given_up,
            failure.notes,
            _pairs(failure.cause_chain),
            _pairs(failure.children),
            failure.child_count,
            failure.location,
            failure.source_line,
            failure.function,
            failure.task_ref,
            failure.attempt,
            failure.max_attempts,
            failure.generation,
            failure.input_digest,
            failure.policy_ref,
            failure.worker_id,
            "" if has_run else failure.run_id,
            "" if failure.trace_id == failure.run_id else failure.trace_id,
            failure.span_id,
            failure.component,
            failure.endpoint,
            failure.transport,
            failure.dropped_tags,
            failure.redacted,
            failure.severity,
            None if failure.description == _description(failure) else failure.description,
            failure.level,
            None if failure.path == _path(failure) else failure.path,
        )
    )


def failure_of(row: Sequence[Any]) -> FailureSnapshot:
    """Return the failure of a row of ``SELECT``.

    Raises:
        msgspec.MsgspecError: the row holds something nobody wrote.
    """
    (failure_id, at, run_id, flow, node, type_, category, class_, disposition, *rest) = row
    site, template, stack_id, frames, version, tags, body = rest
    kept = _decode(body)
    run_id = run_id or kept.run_id
    failure = FailureSnapshot(
        failure_id=failure_id,
        captured_ns=at,
        type=type_,
        message=kept.message,
        category=category,
        class_=class_,
        rule=kept.rule,
        retryable=kept.retryable,
        retry_after_s=kept.retry_after_s,
        origin=Origin(kept.origin_path, kept.source, kept.thread, kept.pid, kept.host),
        level=kept.level,
        stage=_stage(kept.hops),
        trail=_trail(kept),
        disposition=disposition,
        given_up=kept.given_up,
        notes=kept.notes,
        cause_chain=_causes(kept.causes),
        children=_causes(kept.children),
        child_count=kept.child_count,
        fp_site=site,
        fp_template=template,
        stack_id=stack_id,
        frames=() if frames is None else _decode_frames(frames),
        location=kept.location,
        source_line=kept.source_line,
        function=kept.function,
        run_id=run_id,
        flow=flow,
        node_id=node,
        task_ref=kept.task_ref,
        attempt=kept.attempt,
        max_attempts=kept.max_attempts,
        generation=kept.generation,
        input_digest=kept.input_digest,
        policy_ref=kept.policy_ref,
        code_version=version,
        worker_id=kept.worker_id,
        trace_id=kept.trace_id or run_id,
        span_id=kept.span_id,
        component=kept.component,
        endpoint=kept.endpoint,
        transport=kept.transport,
        tags=() if tags == _NO_TAGS else _decode_tags(tags),
        dropped_tags=kept.dropped_tags,
        redacted=kept.redacted,
        severity=kept.severity,
    )
    return msgspec.structs.replace(
        failure,
        path=_path(failure) if kept.path is None else kept.path,
        description=_description(failure) if kept.description is None else kept.description,
    )


def _description(failure: FailureSnapshot) -> str:
    return f"{failure.type}: {failure.message}"


def _path(failure: FailureSnapshot) -> tuple[str, ...]:
    """Return where a failure stands after its hops."""
    path, hops = failure.origin.path, failure.stage.count
    return path[: max(0, len(path) - hops)] if hops else path


def _paths(origin: tuple[str, ...], hops: int) -> list[tuple[str, ...]]:
    length = len(origin)
    return [origin[: max(0, length - hop)] for hop in range(1, hops + 1)]


def _hops(trail: Sequence[Hop], origin: tuple[str, ...]) -> tuple[_Hop, ...]:
    derived = _paths(origin, len(trail))
    return tuple(
        _Hop(
            hop.level,
            hop.directive,
            hop.policy_ref,
            hop.reason,
            hop.at_ns,
            None if hop.path == path else hop.path,
        )
        for hop, path in zip(trail, derived, strict=True)
    )


def _trail(kept: _Body) -> tuple[Hop, ...]:
    derived = _paths(kept.origin_path, len(kept.trail))
    return tuple(
        Hop(
            hop.level,
            path if hop.path is None else hop.path,
            hop.directive,
            hop.policy_ref,
            hop.reason,
            hop.at_ns,
        )
        for hop, path in zip(kept.trail, derived, strict=True)
    )


def _stage(hops: int) -> EscalationStage:
    return EscalationStage(kind="escalated", count=hops) if hops else INITIAL


def _pairs(causes: Sequence[Cause]) -> tuple[tuple[str, str, str], ...]:
    return tuple((cause.type, cause.message, cause.stack_id) for cause in causes) if causes else ()


def _causes(kept: Sequence[tuple[str, str, str]]) -> tuple[Cause, ...]:
    return tuple(Cause(*cause) for cause in kept)
