"""Events as JSON: every key the older program had, unchanged, and the newer ones beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec

from tailrace.events.clean import MOST_BYTES, clean, cut, encode_json
from tailrace.events.ids import new_event_id
from tailrace.events.instants import parse_instant, utc_text
from tailrace.model.event import Event, EventStatus

SCHEMA = 2
"""Version of the JSON; it only grows keys."""
OLDER_KEYS = (
    "event_id",
    "timestamp",
    "event_type",
    "source",
    "data",
    "parent_event_id",
    "related_hypothesis_id",
    "tags",
    "importance",
    "status",
    "error_info",
    "retry_info",
    "recovery_actions",
    "latency_ms",
    "exit_code",
)
"""Keys of the older program's events, in its order."""
_COLUMNS = frozenset({"schema", "seq", "event_id", "timestamp", "event_type", "source", "status"})
_DEFAULTS: dict[str, Any] = {
    "data": {},
    "parent_event_id": None,
    "related_hypothesis_id": None,
    "tags": [],
    "importance": 3,
    "error_info": {},
    "retry_info": {},
    "recovery_actions": [],
    "latency_ms": None,
    "exit_code": None,
    "failure": None,
    "run": None,
}
_NO_DEFAULT = object()


def seal(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says beside its columns: cleaned, bounded, defaults left out.

    What had to be changed stands under ``cleaned``, by place.
    """
    kept = {
        key: value
        for key, value in keys.items()
        if key not in _COLUMNS and not _says_nothing(key, value)
    }
    before = kept.pop("cleaned", None)
    found = clean(kept)
    sealed: dict[str, Any] = found.value
    flags = {place[2:]: flag for place, flag in found.flags.items()}
    if len(encode_json(sealed)) > MOST_BYTES:
        for key, value in sealed.items():
            sealed[key] = _bounded(value)
            if sealed[key] is not value:
                flags[key] = "cut"
    if flags or before:
        sealed["cleaned"] = {**(before if isinstance(before, dict) else {}), **flags}
    return sealed


def _says_nothing(key: str, value: Any) -> bool:
    default = _DEFAULTS.get(key, _NO_DEFAULT)
    return type(default) is type(value) and bool(default == value)


def _bounded(value: Any) -> Any:
    kept = cut(value)
    return [kept] if kept is not value and isinstance(value, list) else kept


def complete(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the keys in their order that were left out because they say nothing."""
    full = {key: body[key] if key in body else copy(default) for key, default in _DEFAULTS.items()}
    full.update(body)
    return full


def to_json(event: Event) -> dict[str, Any]:
    """Return the event as the mapping that its JSON is.

    Keys: ``schema``, ``seq``, those of the older program in its order, ``failure``, ``run``, and
    then whatever else the event carries.
    """
    full = complete(event.body)
    head = {
        "schema": SCHEMA,
        "seq": event.seq,
        "event_id": event.event_id,
        "timestamp": utc_text(event.ts_ns),
        "event_type": event.type,
        "source": event.source,
    }
    keys = ("data", "parent_event_id", "related_hypothesis_id", "tags", "importance")
    head.update((key, full.pop(key)) for key in keys)
    head["status"] = event.status
    head.update((key, value) for key, value in full.items() if key not in head)
    return head


def from_json(found: Mapping[str, Any]) -> Event:
    """Return the event that a mapping of this program's JSON stands for.

    Unknown keys are kept. An id or an instant that is missing is made.

    Raises:
        ValueError: the timestamp is no instant.
    """
    instant = found.get("timestamp")
    ts_ns = parse_instant(str(instant), None)[0] if instant else time.time_ns()
    event_id = found.get("event_id") or new_event_id(ts_ns)
    return new_event(
        event_id=str(event_id),
        ts_ns=ts_ns,
        type=str(found.get("event_type", "")),
        source=str(found.get("source", "")),
        status=str(found.get("status", EventStatus.SUCCESS.value)),
        keys=found,
    )


def new_event(
    *,
    event_id: str,
    ts_ns: int,
    type: str,  # noqa: A002 - the field's name
    source: str,
    status: str,
    keys: Mapping[str, Any],
) -> Event:
    """Return an event whose columns agree with its body; ``keys`` are cleaned."""
    body = seal(keys)
    return derive(
        Event(
            event_id=event_id,
            ts_ns=ts_ns,
            type=type,
            source=source,
            status=status,
            parent_id=_text(body.get("parent_event_id")),
            body=body,
        )
    )


def derive(event: Event) -> Event:
    """Return the event with the fields set that its body says."""
    error, failure, run = (event.body.get(key) for key in ("error_info", "failure", "run"))
    if not (error or failure or run):
        return event
    error, failure, run = (part if isinstance(part, dict) else {} for part in (error, failure, run))
    return msgspec.structs.replace(
        event,
        run_id=_text(run.get("run_id")),
        node_id=_text(run.get("node_id")),
        attempt_id=_text(run.get("attempt_id")),
        failure_id=_text(failure.get("failure_id")),
        category=_text(error.get("category")),
        class_=_text(error.get("class")),
        fp_site=_text(error.get("fp_site")),
        fp_template=_text(error.get("fp_template")),
        stack_id=_text(error.get("stack_id")),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
