"""Dead letters of the event stream: what is needed to run an action again that gave up."""

from __future__ import annotations

from hashlib import sha256

from tailrace.events.clean import encode_json
from tailrace.events.order import Order
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter, LetterReason

KIND = "event"
"""Kind of the letters that this room redrives."""


def letter_of(
    order: Order,
    snapshot: FailureSnapshot,
    *,
    task_key: str,
    event_id: str,
    at_ns: int,
    crashes: int = 0,
) -> DeadLetter:
    """Return the dead letter that a failure leaves for which nothing is tried any more.

    Args:
        order: what was to be done.
        snapshot: the failure that ended it; ``given_up`` is the reason.
        task_key: key of the work.
        event_id: the event that tells of it.
        at_ns: nanoseconds since the epoch.
        crashes: processes that died over it.
    """
    body = order.to_body()
    for key in ("task_ref", "payload"):
        del body[key]
    return DeadLetter(
        dl_id=f"DL-{new_sortable()}",
        task_key=task_key,
        kind=KIND,
        node_id=snapshot.node_id,
        task_ref=order.action.task_ref,
        failure_id=snapshot.failure_id,
        reason=snapshot.given_up or LetterReason.PERMANENT.value,
        category=snapshot.category,
        class_=snapshot.class_,
        type=snapshot.type,
        message=snapshot.message,
        location=snapshot.location,
        fp_site=snapshot.fp_site,
        fp_template=snapshot.fp_template,
        payload_ref="inline" if order.action.is_repeatable else "",
        payload_digest=_digest(order.action.payload) if order.action.is_repeatable else "",
        payload=order.action.payload,
        policy=order.policy_data(),
        code_version=order.code_version,
        attempts_total=snapshot.attempt,
        crash_attempts=crashes,
        created_ns=at_ns,
        updated_ns=at_ns,
        source={"event_id": event_id, "stream": order.source, **body},
        tags=snapshot.tags,
    )


def _digest(payload: object) -> str:
    return f"sha256:{sha256(encode_json(payload)).hexdigest()}"
