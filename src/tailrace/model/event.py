"""Events of the resilient stream."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class EventStatus(StrEnum):
    """How what an event tells of stands."""

    PENDING = "pending"
    """Begun; written before the action runs."""
    SUCCESS = "success"
    FAILED = "failed"
    RETRYING = "retrying"
    """An attempt failed, and another follows."""
    DEAD_LETTER = "dead_letter"
    """All attempts are used up."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event: what is asked for by name, and the whole of it in ``body``."""

    event_id: str
    """``EVT-YYYYMMDD-HHMMSS-`` and 16 characters."""
    ts_ns: int
    type: str
    source: str
    status: str
    """``pending``, ``success``, ``failed``, ``retrying`` or ``dead_letter``."""
    seq: int = 0
    """Position in the stream; 0 until it is stored."""
    legacy_id: str = ""
    """The id it had in an imported file, where ids repeat."""
    parent_id: str = ""
    run_id: str = ""
    node_id: str = ""
    attempt_id: str = ""
    failure_id: str = ""
    category: str = ""
    class_: str = msgspec.field(default="", name="class")
    fp_site: str = ""
    fp_template: str = ""
    stack_id: str = ""
    body: dict[str, Any] = {}
    """Every key of the event's JSON but ``seq``; unknown keys are kept."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are meant. Empty fields match everything."""

    status: str = ""
    type: str = ""
    source: str = ""
    category: str = ""
    fingerprint: str = ""
    tag: str = ""
    parent: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    after_seq: int = 0


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts of a stream."""

    total: int = 0
    by_status: dict[str, int] = {}
    by_category: dict[str, int] = {}
    by_type: dict[str, int] = {}
    first_ns: int = 0
    last_ns: int = 0
