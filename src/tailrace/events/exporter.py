"""Writing events as the JSON lines that the older program's tools read, or as our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, TextIO

import msgspec

from tailrace.errors import NotFound
from tailrace.events.event_json import OLDER_KEYS, to_json
from tailrace.events.failing import stack_text
from tailrace.events.instants import local_text, parse_instant, utc_text
from tailrace.model.event import Event, EventFilter, EventStatus
from tailrace.ports import EventLog, FailureLog

_PAGE = 500
COMPAT = ("", "utc", "naive")
"""All keys; the older program's keys with times in UTC; the same with local times without zone."""


def export_events(
    log: EventLog,
    out: TextIO,
    *,
    wanted: EventFilter | None = None,
    compat: str = "",
    zone: tzinfo | None = None,
    dead_letters: TextIO | None = None,
    stacks: FailureLog | None = None,
) -> int:
    """Write events as JSON lines, oldest first, and return how many.

    An imported event is written under the id it came with when ``compat`` is set.

    Args:
        log: where they are.
        out: takes the lines.
        wanted: which; None: all.
        compat: one of ``COMPAT``.
        zone: whose local times ``naive`` writes; None: this machine's.
        dead_letters: takes those of status ``dead_letter``, as the older program kept them apart;
            None: ``out`` does.
        stacks: gives ``error_info.stacktrace`` its text; None: it is null.
    """
    count = 0
    for event in read_all(log, wanted or EventFilter()):
        is_dead = event.status == EventStatus.DEAD_LETTER.value
        target = dead_letters if is_dead and dead_letters is not None else out
        line = _exported(event, compat, zone, stacks)
        target.write(json.dumps(line, ensure_ascii=False) + "\n")
        count += 1
    return count


def read_all(log: EventLog, wanted: EventFilter) -> Iterator[Event]:
    """Yield all events of a filter, oldest first, a page at a time."""
    while page := log.events(wanted, limit=_PAGE, oldest_first=True):
        yield from page
        wanted = msgspec.structs.replace(wanted, after_seq=page[-1].seq)


def error_report(log: EventLog, now_ns: int) -> dict[str, Any]:
    """Return the older program's error report: counts, dead letters, failed events, candidates.

    Counts are exact, lists complete; candidates are the dead letters of transient errors.
    """
    dead = [to_json(event) for event in _of_status(log, EventStatus.DEAD_LETTER)]
    failed = [to_json(event) for event in _of_status(log, EventStatus.FAILED)]
    candidates = [event for event in dead if event["error_info"].get("category") == "transient"]
    return {
        "generated_at": utc_text(now_ns),
        "summary": {
            "failed_events": len(failed),
            "dead_letter_queue": len(dead),
            "retry_candidates": len(candidates),
        },
        "dead_letter_queue": dead,
        "failed_events": failed,
        "retry_candidates": candidates,
    }


def _of_status(log: EventLog, status: EventStatus) -> Iterator[Event]:
    return read_all(log, EventFilter(status=status.value))


def _exported(
    event: Event, compat: str, zone: tzinfo | None, stacks: FailureLog | None
) -> dict[str, Any]:
    full = to_json(event)
    if full["error_info"]:
        full["error_info"] = _with_stack(full["error_info"], event, stacks)
    if not compat:
        return full
    line = {key: full[key] for key in OLDER_KEYS}
    line["event_id"] = event.legacy_id or event.event_id
    if compat == "naive":
        line["timestamp"] = local_text(event.ts_ns, zone)
        line["retry_info"] = _naive(line["retry_info"], "next_retry_at", zone)
        line["recovery_actions"] = [
            _naive(action, "timestamp", zone) for action in line["recovery_actions"]
        ]
    return line


def _with_stack(error: dict[str, Any], event: Event, stacks: FailureLog | None) -> dict[str, Any]:
    if stacks is None:
        return {**error, "stacktrace": None} if "stacktrace" in error else error
    if error.get("stacktrace") or not event.failure_id:
        return error
    try:
        return {**error, "stacktrace": stack_text(stacks.failure(event.failure_id))}
    except NotFound:  # beyond the flood limit a failure is counted, but not kept
        return error


def _naive(found: Any, key: str, zone: tzinfo | None) -> Any:
    if not isinstance(found, dict) or not isinstance(found.get(key), str):
        return found
    try:
        ns, is_naive = parse_instant(found[key], zone)
    except ValueError:
        return found
    return found if is_naive else {**found, key: local_text(ns, zone)}
