"""Dead letters: work that gave up, kept so that it can be run again, and its redrives."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

MOST_GENERATIONS = 5
"""Redrives of one letter; after that it is parked."""
POISON_LIMIT = 3
"""Processes that one letter's work may take down; after that it is parked as poison."""


class LetterState(StrEnum):
    """Life of a dead letter."""

    OPEN = "open"
    PARKED = "parked"
    """Kept out of redrives until somebody reopens it."""
    REDRIVING = "redriving"
    RESOLVED = "resolved"
    DISCARDED = "discarded"


class LetterReason(StrEnum):
    """Why work gave up."""

    MAX_ATTEMPTS = "max_attempts"
    PERMANENT = "permanent"
    UNKNOWN_EXHAUSTED = "unknown_exhausted"
    MAX_ELAPSED = "max_elapsed"
    BUDGET_EXCEEDED = "budget_exceeded"
    RETRY_AFTER = "retry_after"
    """The other side asked for a longer wait than is obeyed."""
    WORKER_LOST = "worker_lost"
    """The process died."""
    POISON = "poison"
    """Its processes died, as often as is allowed."""
    EXPIRED = "expired"
    UNDECODABLE = "undecodable"
    FLOW_NOT_FOUND = "flow_not_found"
    VERSION_MISMATCH = "version_mismatch"
    """What it goes on with was made by other code than the worker has."""
    MANUAL = "manual"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to run a piece of work again that gave up."""

    dl_id: str
    """``DL-`` and 26 characters that sort by time."""
    task_key: str
    """Idempotency key of the work: stable over attempts, generations and redeliveries."""
    kind: str = "run"
    """``run`` (redriven by the runtime) or ``event`` (an action of the event stream)."""
    run_id: str = ""
    """The run that failed last."""
    flow: str = ""
    flow_source: str = ""
    """Where the flow can be loaded from: ``path/flow.yaml``, ``module:name``; empty: nowhere."""
    node_id: str = ""
    """Path of the node that failed."""
    task_ref: str = ""
    failure_id: str = ""
    """The failure that ended it last."""
    reason: str = LetterReason.PERMANENT.value
    category: str = "unknown"
    class_: str = msgspec.field(default="unknown", name="class")
    type: str = ""
    message: str = ""
    location: str = ""
    fp_site: str = ""
    fp_template: str = ""
    payload_ref: str = ""
    """Where the inputs are: ``run:<run id>`` for the inputs kept with a run; ``inline``."""
    payload_digest: str = ""
    """``sha256:…`` of the inputs as they were first given; never changes."""
    payload: Any = None
    """The inputs themselves where ``payload_ref`` is ``inline``; JSON-able."""
    policy: dict[str, Any] = {}
    """Snapshot of the failed node's policy; durations in seconds."""
    code_version: str = ""
    attempts_total: int = 0
    """Attempts over all generations; never reset."""
    crash_attempts: int = 0
    """Processes that died over it."""
    state: str = LetterState.OPEN.value
    generation: int = 0
    """Redrives so far."""
    created_ns: int = 0
    updated_ns: int = 0
    expires_ns: int = 0
    """0: never."""
    source: dict[str, Any] = {}
    """Of distributed work: stream, sequence, deliveries; of events: event id and stream."""
    tags: tuple[tuple[str, str], ...] = ()


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a dead letter."""

    dl_id: str
    generation: int
    batch_id: str
    actor: str
    reason: str = ""
    mode: str = "resume"
    """``resume``, ``node`` or ``new-run``."""
    patch: Any = None
    """JSON merge patch (RFC 7386) of the inputs; None: unchanged."""
    run_id: str = ""
    """The run it became; empty while none has started."""
    at_ns: int = 0
    outcome: str = ""
    """``resolved``, ``failed``, ``lost``; empty while it runs."""


FailureFilterData = dict[str, Any]
"""A ``FailureFilter`` as JSON-able data, empty fields left out."""


class RedriveBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A redrive of many letters, resumable after a crash."""

    batch_id: str
    """``B-`` and 26 characters, or the name that was given."""
    filter: FailureFilterData
    actor: str
    reason: str = ""
    mode: str = "resume"
    rate: float = 0.0
    """Letters per second; 0: as fast as they go."""
    canary: int = 0
    """First letters that must all succeed before the others follow; 0: none."""
    limit: int = 0
    """Most letters; 0: no bound."""
    stop_ratio: float = 1.0
    """Share of failed letters, of at least ten, above which the batch stops."""
    patch: Any = None
    policy: Any = None
    """Policy that overrides the flow's, as written; None: unchanged."""
    force: bool = False
    state: str = "running"
    """``running``, ``paused``, ``done`` or ``stopped``."""
    created_ns: int = 0
    counts: dict[str, int] = {}
    """``claimed``, ``resolved``, ``failed``, ``parked``."""


class RecoveryAction(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail. Each line's hash covers the line before it."""

    seq: int
    at_ns: int
    subject: str
    """Id of the letter, group or batch."""
    action: str
    """``redrive``, ``resolve``, ``discard``, ``park``, ``reopen``, ``ignore``, ``merge``,
    ``purge``, ``pause``, ``continue`` …"""
    actor: str
    reason: str = ""
    detail: dict[str, Any] = {}
    """``before`` and ``after``, and what else is worth knowing."""
    prev_hash: str = ""
    hash: str = ""
