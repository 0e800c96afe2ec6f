"""What a dead letter of the older program becomes: a failure, and a letter without an action."""

from __future__ import annotations

from typing import Any

from tailrace.events.letters import KIND
from tailrace.failures.fingerprint import site_fingerprint, template_fingerprint
from tailrace.failures.snapshot import host_name
from tailrace.model.event import Event
from tailrace.model.failure import Disposition, FailureClass, FailureSnapshot, Origin, ScopeLevel
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter, LetterReason

_REASONS = {
    "transient": LetterReason.MAX_ATTEMPTS,
    "permanent": LetterReason.PERMANENT,
    "unknown": LetterReason.UNKNOWN_EXHAUSTED,
}


def imported_failure(event: Event, source: str) -> FailureSnapshot:
    """Return the failure of which an imported dead letter tells.

    Args:
        event: the imported event.
        source: the file.
    """
    error = _mapping(event.body.get("error_info"))
    retries = _number(_mapping(event.body.get("retry_info")).get("count"))
    kind, message = str(error.get("type") or "Exception"), str(error.get("message") or "")
    category = str(error.get("category"))
    category = category if category in _REASONS else "unknown"
    site = event.fp_site or site_fingerprint(
        (kind,), ("imported",), (("imported", _action(event)),)
    )
    path = (ScopeLevel.ROOT.value,)
    return FailureSnapshot(
        failure_id=event.failure_id or f"F-{new_sortable()}",
        captured_ns=event.ts_ns,
        type=kind,
        message=message,
        category=category,
        class_=str(error.get("class") or FailureClass.UNKNOWN.value),
        rule="imported",
        origin=Origin(path, "event", "", 0, host_name()),
        path=path,
        level=ScopeLevel.ROOT.value,
        disposition=Disposition.TERMINAL.value,
        given_up=_REASONS[category].value,
        fp_site=site,
        fp_template=event.fp_template or template_fingerprint(site, message),
        location=source,
        node_id=_action(event),
        attempt=retries + 1,
        max_attempts=retries + 1,
        description=f"{kind}: {message}",
    )


def imported_letter(event: Event, failure: FailureSnapshot, source: str) -> DeadLetter:
    """Return the letter; it can be looked at and discarded, but holds no action to run again.

    Args:
        event: the imported event.
        failure: as ``imported_failure`` made it.
        source: the file.
    """
    return DeadLetter(
        dl_id=f"DL-{new_sortable()}",
        task_key=event.event_id,
        kind=KIND,
        node_id=failure.node_id,
        failure_id=failure.failure_id,
        reason=failure.given_up,
        category=failure.category,
        class_=failure.class_,
        type=failure.type,
        message=failure.message,
        fp_site=failure.fp_site,
        fp_template=failure.fp_template,
        attempts_total=failure.attempt,
        created_ns=event.ts_ns,
        updated_ns=event.ts_ns,
        source={
            "event_id": event.event_id,
            "legacy_id": event.legacy_id,
            "file": source,
            "event_type": event.type,
            "source": event.source,
            "data": event.body.get("data", {}),
        },
    )


def _action(event: Event) -> str:
    name = _mapping(event.body.get("data")).get("attempted_action")
    return name if isinstance(name, str) else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
