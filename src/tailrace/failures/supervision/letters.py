"""Dead letters from the failures that ended runs, and what the end of a redrive makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tailrace.failures.supervision.context import RunContext
from tailrace.model.failure import FailureClass, FailureSnapshot
from tailrace.model.letter import (
    MOST_GENERATIONS,
    POISON_LIMIT,
    DeadLetter,
    LetterReason,
    LetterState,
)
from tailrace.model.states import ErrorCategory

RESOLVED, FAILED, LOST = "resolved", "failed", "lost"
"""How a redrive of a letter can end."""
_REASONS = frozenset(LetterReason)
_BY_CLASS = {
    FailureClass.WORKER_LOST.value: LetterReason.WORKER_LOST,
    FailureClass.POISON.value: LetterReason.POISON,
    FailureClass.BUDGET_EXCEEDED.value: LetterReason.BUDGET_EXCEEDED,
}
_BY_CATEGORY = {
    ErrorCategory.PERMANENT.value: LetterReason.PERMANENT,
    ErrorCategory.UNKNOWN.value: LetterReason.UNKNOWN_EXHAUSTED,
    ErrorCategory.TRANSIENT.value: LetterReason.MAX_ATTEMPTS,
    ErrorCategory.TIMEOUT.value: LetterReason.MAX_ATTEMPTS,
}
_LASTING = frozenset({LetterState.DISCARDED.value, LetterState.PARKED.value})


def letter_id(failure_id: str) -> str:
    """Return the id of the letter that a failure leaves: every fold of a run gives the same."""
    return f"DL-{failure_id.removeprefix('F-')}"


def reason_of(failure: FailureSnapshot) -> str:
    """Return why nothing tries the work again, as a value of ``LetterReason``."""
    if failure.given_up in _REASONS:
        return failure.given_up
    reason = _BY_CLASS.get(failure.class_) or _BY_CATEGORY.get(failure.category)
    return LetterReason.MANUAL.value if reason is None else reason.value


def letter_of(
    failure: FailureSnapshot, context: RunContext, policy: Mapping[str, Any] | None = None
) -> DeadLetter:
    """Return the letter that a run leaves when ``failure`` ended it.

    Args:
        failure: where it stands when the run is over; the last hop says when.
        context: the run.
        policy: snapshot of the failed node's policy; None: the flow's is kept.
    """
    at_ns = failure.trail[-1].at_ns if failure.trail else failure.captured_ns
    work = context.lineage or context.run_id
    return DeadLetter(
        dl_id=letter_id(failure.failure_id),
        task_key=f"{work}:{failure.node_id}" if failure.node_id else work,
        run_id=context.run_id,
        flow=context.flow,
        flow_source=context.flow_source,
        payload_ref=f"run:{context.run_id}",
        payload_digest=context.payload_digest,
        policy=dict(context.policies if policy is None else policy),
        attempts_total=attempts_of(failure),
        crash_attempts=1 if failure.class_ == FailureClass.WORKER_LOST.value else 0,
        generation=context.generation,
        created_ns=at_ns,
        updated_ns=at_ns,
        **_told_by(failure),
    )


def attempts_of(failure: FailureSnapshot | None) -> int:
    """Return how many attempts a run has made at a letter's work, as its last failure tells.

    A run that succeeded has made one at least.
    """
    return 1 if failure is None else max(failure.attempt, 1)


def settle(
    letter: DeadLetter,
    outcome: str,
    failure: FailureSnapshot | None,
    *,
    at_ns: int,
    poison_limit: int = POISON_LIMIT,
    max_generations: int = MOST_GENERATIONS,
) -> DeadLetter:
    """Return a letter after a redrive of it has ended.

    A letter that somebody discarded meanwhile stays so; one that was parked is resolved by a
    success only. Attempts are added up, never reset, and the digest of the payload stays.

    Args:
        letter: as it was claimed, its generation counted up.
        outcome: ``resolved``; ``failed`` (also when the redrive was cancelled); ``lost`` when
            its process died.
        failure: what ended the redrive; None when it succeeded or was cancelled.
        at_ns: when it ended, in nanoseconds since the epoch.
        poison_limit: processes that the work may take down before it is parked.
        max_generations: redrives before it is parked.
    """
    changed: dict[str, Any] = {} if failure is None else _told_by(failure)
    if failure is not None and failure.run_id:
        changed["run_id"] = failure.run_id
    crashes = letter.crash_attempts + (1 if outcome == LOST else 0)
    if outcome == RESOLVED:
        state = LetterState.RESOLVED
    elif outcome == LOST and crashes >= poison_limit:
        state = LetterState.PARKED
        changed["reason"] = LetterReason.POISON.value
    elif letter.generation >= max_generations:
        state = LetterState.PARKED
    else:
        state = LetterState.OPEN
    return replace(
        letter,
        **changed,
        state=_kept(letter.state, state).value,
        attempts_total=_attempts_after(letter, failure),
        crash_attempts=crashes,
        updated_ns=at_ns,
    )


def _attempts_after(letter: DeadLetter, failure: FailureSnapshot | None) -> int:
    """Return the attempts over all generations; after a death their numbers go on."""
    if failure is not None and letter.reason == LetterReason.WORKER_LOST:
        return max(failure.attempt, letter.attempts_total + 1)
    return letter.attempts_total + attempts_of(failure)


def _kept(before: str, wanted: LetterState) -> LetterState:
    """Return the state that holds: what somebody decided meanwhile wins over a failure."""
    if before not in _LASTING:
        return wanted
    if before == LetterState.PARKED and wanted is LetterState.RESOLVED:
        return wanted
    return LetterState(before)


def _told_by(failure: FailureSnapshot) -> dict[str, Any]:
    return {
        "node_id": failure.node_id,
        "task_ref": failure.task_ref,
        "failure_id": failure.failure_id,
        "reason": reason_of(failure),
        "category": failure.category,
        "class_": failure.class_,
        "type": failure.type,
        "message": failure.message,
        "location": failure.location,
        "fp_site": failure.fp_site,
        "fp_template": failure.fp_template,
        "code_version": failure.code_version,
        "tags": failure.tags,
    }
