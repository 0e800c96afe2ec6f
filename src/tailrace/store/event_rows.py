"""Events and attempts as rows. What a user wrote travels in parameters only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tailrace.events.attempts import AttemptRow
from tailrace.events.clean import encode_json
from tailrace.events.event_json import derive, to_json
from tailrace.model.event import Event, EventFilter, EventStatus

INSERT_EVENT = """INSERT INTO stream_event (event_id, legacy_id, ts, type, source, status,
parent_id, attempt_id, failure_id, category, class, fp, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
EVENT_COLUMNS = """seq, event_id, legacy_id, ts, type, source, status, parent_id, attempt_id,
failure_id, category, class, fp, body"""
PUT_ATTEMPT = """INSERT INTO stream_attempt (attempt_id, task_key, generation, attempt, state,
started, ended, owner, next_retry, failure_id, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (attempt_id) DO UPDATE SET state = excluded.state, started = excluded.started,
ended = excluded.ended, owner = excluded.owner, next_retry = excluded.next_retry,
failure_id = excluded.failure_id, body = excluded.body"""
ATTEMPT_COLUMNS = """attempt_id, task_key, generation, attempt, state, started, ended, owner,
next_retry, failure_id, body"""

FAILING = "status <> 'success'"
"""Says that the index may be used that has no successes."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def event_row(event: Event) -> tuple[Any, ...]:
    """Return the parameters of ``INSERT_EVENT``."""
    return (
        event.event_id,
        event.legacy_id,
        event.ts_ns,
        event.type,
        event.source,
        event.status,
        event.parent_id,
        event.attempt_id,
        event.failure_id,
        event.category,
        event.class_,
        event.fp_site,
        encode_json(event.body).decode(),
    )


def event_of(row: Sequence[Any]) -> Event:
    """Return the event of ``EVENT_COLUMNS``, its body complete."""
    seq, event_id, legacy_id, ts, kind, source, status, parent, *_, body = row
    event = derive(
        Event(
            seq=seq,
            event_id=event_id,
            legacy_id=legacy_id,
            ts_ns=ts,
            type=kind,
            source=source,
            status=status,
            parent_id=parent,
            body=_decode(body),
        )
    )
    full = to_json(event)
    del full["seq"]
    return msgspec.structs.replace(event, body=full)


def attempt_row(attempt: AttemptRow, owner: str) -> tuple[Any, ...]:
    """Return the parameters of ``PUT_ATTEMPT``; open ones are ``owner``'s unless they say whose."""
    return (
        attempt.attempt_id,
        attempt.task_key,
        attempt.generation,
        attempt.attempt,
        attempt.state,
        attempt.started_ns,
        attempt.ended_ns,
        (attempt.owner or owner) if attempt.ended_ns is None else "",
        attempt.next_retry_ns,
        attempt.failure_id,
        encode_json(attempt.body).decode(),
    )


def attempt_of(row: Sequence[Any]) -> AttemptRow:
    """Return the attempt of ``ATTEMPT_COLUMNS``."""
    return AttemptRow(
        attempt_id=row[0],
        task_key=row[1],
        generation=row[2],
        attempt=row[3],
        state=row[4],
        started_ns=row[5],
        ended_ns=row[6],
        owner=row[7],
        next_retry_ns=row[8],
        failure_id=row[9],
        body=_decode(row[10]),
    )


def where(wanted: EventFilter) -> tuple[str, list[Any]]:
    """Return a condition over ``stream_event`` and its parameters."""
    terms = ["1"]
    params: list[Any] = []
    equal = (
        ("status", wanted.status),
        ("type", wanted.type),
        ("source", wanted.source),
        ("category", wanted.category),
        ("parent_id", wanted.parent),
    )
    for column, value in equal:
        if value:
            terms.append(f"{column} = ?")
            params.append(value)
    if wanted.status and wanted.status != EventStatus.SUCCESS.value:
        terms.append(FAILING)
    if wanted.parent:
        terms.append("parent_id <> ''")
    if wanted.fingerprint:
        prefix = "v1:" + wanted.fingerprint.removeprefix("v1:")
        terms.append(
            "(fp BETWEEN ? AND ? OR json_extract(body, '$.error_info.fp_template') BETWEEN ? AND ?)"
        )
        params += [prefix, prefix + "\x7f"] * 2
    if wanted.tag:
        terms.append("EXISTS (SELECT 1 FROM json_each(body, '$.tags') WHERE value = ?)")
        params.append(wanted.tag)
    if wanted.since_ns is not None:
        terms.append("ts >= ?")
        params.append(wanted.since_ns)
    if wanted.until_ns is not None:
        terms.append("ts < ?")
        params.append(wanted.until_ns)
    if wanted.after_seq:
        terms.append("seq > ?")
        params.append(wanted.after_seq)
    return " AND ".join(terms), params
