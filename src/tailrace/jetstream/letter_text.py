"""Dead letters on the wire: ours inside the fields of the older contract."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tailrace.model.failure import FailureClass
from tailrace.model.letter import DeadLetter, LetterReason, Redrive
from tailrace.model.remote import DEFAULT_TAG, StoredLetter
from tailrace.model.states import ErrorCategory

REDRIVES = "redrives"
"""Where a letter's ``source`` holds its redrives, oldest first."""
ACTIONS = "actions"
"""Where it holds what people did with it, oldest first."""
_MOST_KEPT = 20
_REASONS = {
    "invalid_job": LetterReason.UNDECODABLE,
    "flow_not_found": LetterReason.FLOW_NOT_FOUND,
    "poison": LetterReason.POISON,
    "worker_lost": LetterReason.WORKER_LOST,
    "max_deliver_exceeded": LetterReason.POISON,
    "version_mismatch": LetterReason.VERSION_MISMATCH,
}
_CLASSES = {
    LetterReason.POISON: FailureClass.POISON,
    LetterReason.WORKER_LOST: FailureClass.WORKER_LOST,
    LetterReason.FLOW_NOT_FOUND: FailureClass.NOT_FOUND,
    LetterReason.UNDECODABLE: FailureClass.VALIDATION,
    LetterReason.VERSION_MISMATCH: FailureClass.VALIDATION,
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


def letter_id_of(sequence: int) -> str:
    """Return the id of the letter about a message that is no job, by its sequence."""
    return f"DL-{sequence:026d}"


def letter_in(stored: StoredLetter) -> DeadLetter:
    """Return our letter: the one inside, or one made from the older fields."""
    if stored.letter:
        return _decode(stored.letter)
    reason = _REASONS.get(stored.reason, LetterReason.PERMANENT)
    at_ns = int(stored.timestamp * 1e9)
    job = stored.job
    run_id = stored.run_id or ""
    return DeadLetter(
        dl_id=stored.letter_id,
        task_key=(job.lineage if job else "") or run_id or stored.letter_id,
        run_id=run_id,
        flow=stored.flow_name or "",
        reason=reason.value,
        category=ErrorCategory.PERMANENT.value,
        class_=_CLASSES.get(reason, FailureClass.UNKNOWN).value,
        message=stored.error,
        payload_ref=f"run:{run_id}" if run_id else "inline",
        payload=None if run_id else stored.payload,
        crash_attempts=stored.num_delivered if reason is LetterReason.POISON else 0,
        generation=job.generation if job else 0,
        created_ns=at_ns,
        updated_ns=at_ns,
        source={"subject": stored.subject, "deliveries": stored.num_delivered},
    )


def with_letter(stored: StoredLetter, letter: DeadLetter) -> StoredLetter:
    """Return the stored letter with ours inside."""
    return replace(stored, letter=_encode(letter))


def complete(stored: StoredLetter) -> StoredLetter:
    """Return a letter that has all fields of both contracts."""
    job = stored.job
    if job is not None:
        stored = replace(
            stored,
            run_id=stored.run_id or job.run_id,
            flow_name=stored.flow_name or job.flow_name,
            tag=stored.tag or job.tag,
            tags=stored.tags or job.tags,
            tenant_id=stored.tenant_id or job.tenant_id,
            api_key_id=stored.api_key_id or job.api_key_id,
        )
    stored = replace(stored, tag=stored.tag or DEFAULT_TAG)
    return with_letter(stored, letter_in(stored))


def redrives_of(letter: DeadLetter) -> list[Redrive]:
    """Return the redrives of a letter, oldest first; those before the last twenty are gone."""
    return [msgspec.convert(one, Redrive) for one in letter.source.get(REDRIVES, ())]


def with_redrive(letter: DeadLetter, redrive: Redrive) -> DeadLetter:
    """Return a letter with a redrive, new or changed."""
    kept = [one for one in redrives_of(letter) if one.generation != redrive.generation]
    rows = [msgspec.to_builtins(one) for one in (*kept, redrive)]
    return replace(letter, source=letter.source | {REDRIVES: rows[-_MOST_KEPT:]})


def with_action(letter: DeadLetter, action: dict[str, Any]) -> DeadLetter:
    """Return a letter with one more line of what people did with it."""
    rows = [*letter.source.get(ACTIONS, ()), action]
    return replace(letter, source=letter.source | {ACTIONS: rows[-_MOST_KEPT:]})
