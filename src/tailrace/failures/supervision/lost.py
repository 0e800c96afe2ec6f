"""Failures that nobody could report: what was under way in a process that died."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from tailrace.failures.fingerprint import site_fingerprint, template_fingerprint
from tailrace.failures.snapshot import level_of
from tailrace.failures.supervision.context import RunContext
from tailrace.model.failure import FailureClass, FailureSnapshot, Origin
from tailrace.model.ids import new_sortable, span_id
from tailrace.model.journal import FailureOrigin, FailureRecord
from tailrace.model.letter import LetterReason
from tailrace.model.states import ErrorCategory

_TYPE = "tailrace.WorkerLost"
_POISON = "tailrace.Poison"


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of which the last that is known is that it had begun."""

    node: str
    """Path of the node, such as ``each[3].load``."""
    path: tuple[str, ...] = ()
    """From the flow inwards, as in ``FailureOrigin``; empty: derived from ``node``."""
    task: str = ""
    """``module:function``."""
    attempt: int = 1
    max_attempts: int = 1
    span: int = 0
    """Number of the attempt's span; 0: not known."""
    started_ns: int = 0
    """Nanoseconds since the epoch."""
    policy: dict[str, Any] | None = None
    """Snapshot of the node's policy."""


def lost_failures(
    context: RunContext, attempts: Sequence[OpenAttempt], at: int
) -> list[FailureSnapshot]:
    """Return the failures of a run whose process died, at their origins.

    One for each attempt, and one for the run itself when none was under way.

    Args:
        context: the run; its worker is the one that died.
        attempts: what was under way, in the order of their start.
        at: when the death was noticed, in nanoseconds since the epoch.
    """
    if not attempts:
        flow = (f"flow:{context.flow}",)
        return [_lost(context, OpenAttempt(node="", path=flow, attempt=0, max_attempts=0), at)]
    return [_lost(context, attempt, at) for attempt in attempts]


def lost_record(flow: str, attempt: OpenAttempt | None, at: int, *, worker: str) -> FailureRecord:
    """Return the failure of an attempt whose worker was lost, as a journal holds it.

    Args:
        flow: name of the flow.
        attempt: what was under way; None: nothing was.
        at: when somebody else took the run over, in nanoseconds since the epoch.
        worker: who was lost.
    """
    if attempt is None:
        text = f"worker {worker} was lost between two nodes of the run"
        return _record(_TYPE, text, at, FailureOrigin((f"flow:{flow}",), "", attempt=0), flow)
    text = f"worker {worker} was lost during attempt {attempt.attempt} of {attempt.max_attempts}"
    place = attempt.task or f"{flow}:{attempt.node}"
    return _record(_TYPE, text, at, _origin(flow, attempt), place)


def poison_record(
    flow: str, attempt: OpenAttempt | None, at: int, *, crashes: int
) -> FailureRecord:
    """Return the failure of a run that has taken down as many workers as it may."""
    origin = FailureOrigin((f"flow:{flow}",), "", attempt=0)
    place = flow
    if attempt is not None:
        origin, place = _origin(flow, attempt), attempt.task or f"{flow}:{attempt.node}"
    text = f"the run has taken down {crashes} workers"
    text += f"; the last one during {attempt.node!r}" if attempt is not None else ""
    found = _record(_POISON, text, at, origin, place)
    return replace(
        found,
        category=ErrorCategory.PERMANENT.value,
        retryable=False,
        class_=FailureClass.POISON.value,
        rule="poison",
        given_up=LetterReason.POISON.value,
    )


def _origin(flow: str, attempt: OpenAttempt) -> FailureOrigin:
    inner = (f"flow:{flow}", f"node:{attempt.node}", f"task:{attempt.attempt}")
    return FailureOrigin(
        attempt.path or inner,
        attempt.node,
        attempt.task,
        attempt.span,
        attempt.attempt,
        attempt.max_attempts,
    )


def _record(kind: str, message: str, at: int, origin: FailureOrigin, place: str) -> FailureRecord:
    site = site_fingerprint((kind,), (), ((None, place),))
    return FailureRecord(
        kind,
        message,
        ErrorCategory.TRANSIENT.value,
        retryable=True,
        fingerprint=site,
        failure_id=f"F-{new_sortable()}",
        captured_ns=at,
        class_=FailureClass.WORKER_LOST.value,
        rule="lost",
        fp_template=template_fingerprint(site, ""),
        origin=origin,
    )


def _lost(context: RunContext, attempt: OpenAttempt, at: int) -> FailureSnapshot:
    inner = attempt.path or (
        f"flow:{context.flow}", f"node:{attempt.node}", f"task:{attempt.attempt}",
    )  # fmt: skip
    path = (*context.path, *inner)
    message = _message(attempt, at)
    site = _fingerprint(context, attempt)
    return FailureSnapshot(
        failure_id=f"F-{new_sortable()}",
        captured_ns=at,
        type=_TYPE,
        message=message,
        category=ErrorCategory.TRANSIENT.value,
        class_=FailureClass.WORKER_LOST.value,
        rule="lost",
        retryable=True,
        origin=Origin(path, "lost", host=context.host),
        path=path,
        level=level_of(path),
        given_up=LetterReason.WORKER_LOST.value,
        fp_site=site,
        fp_template=template_fingerprint(site, ""),
        run_id=context.run_id,
        flow=context.flow,
        node_id=attempt.node,
        task_ref=attempt.task,
        attempt=attempt.attempt,
        max_attempts=attempt.max_attempts,
        generation=context.generation,
        code_version=context.code_version,
        worker_id=context.worker_id,
        trace_id=context.run_id,
        span_id=span_id(context.span_base, attempt.span) if attempt.span else "",
        description=f"{_TYPE}: {message}",
    )


def _message(attempt: OpenAttempt, at: int) -> str:
    if not attempt.attempt:
        return "the process died between two nodes of the run"
    text = f"the process died during attempt {attempt.attempt} of {attempt.max_attempts}"
    if not attempt.started_ns:
        return text
    return f"{text}; found {(at - attempt.started_ns) / 1e9:.1f} s after it began"


def _fingerprint(context: RunContext, attempt: OpenAttempt) -> str:
    """Return one fingerprint for all deaths over one task."""
    place = attempt.task or f"{context.flow}:{attempt.node}"
    return site_fingerprint((_TYPE,), (), ((None, place),))
