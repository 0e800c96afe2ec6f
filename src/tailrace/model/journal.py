"""The records of the journal: the one ordered account of a run. Everything else is a view of it.

Spans are numbered from 1 in the order they open; the run's own span is 1. Instants (``at``) are
nanoseconds since the epoch, advanced by the monotonic clock, so differences are true durations.
Field order is the wire format (MessagePack arrays): append fields with defaults, never reorder.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from tailrace.model.failure import Frame
from tailrace.model.states import NodeState, RunStatus


class Record(msgspec.Struct, frozen=True, array_like=True, tag_field="t", gc=False):
    """Base of all records."""

    def take(self, into: list[AnyRecord]) -> None:
        """Add the record to what is written next."""
        into.append(self)  # type: ignore[arg-type]  # every Record is one of AnyRecord


class Noted(Protocol):
    """What is handed to a journal for later: a record, or what becomes records when it is written.

    So that the thread that notes it pays for nothing but the noting.
    """

    def take(self, into: list[AnyRecord]) -> None:
        """Add the records of what has happened and was not taken before; one thread at a time."""
        ...


class FailureOrigin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where in a run a failure was raised."""

    path: tuple[str, ...]
    """From the flow inwards: ``flow:etl``, ``node:load``, ``task:3``; nested flows repeat."""
    node: str
    """Path of the node, such as ``each[3].load``."""
    task: str = ""
    """``module:function``."""
    span: int = 0
    """Number of the attempt's span."""
    attempt: int = 1
    max_attempts: int = 1
    input_digest: str = ""
    """``sha256:…`` of the encoded inputs; empty when they could not be encoded."""
    policy_ref: str = ""
    """``sha256:…`` of the node's policy."""


class FailureRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A failure as data, bounded in size. ``failures`` makes it from an exception."""

    type: str
    """Qualified class name; builtins without ``builtins.``."""
    message: str
    category: str
    """A value of ``ErrorCategory``."""
    retryable: bool = False
    """False: nothing tries it again, whatever the policy says (cancelled, ``Permanent``)."""
    location: str = ""
    """``file:line`` of the innermost frame of the user's own code."""
    source_line: str = ""
    function: str = ""
    causes: tuple[tuple[str, str], ...] = ()
    """(type, message) of each cause, nearest first."""
    stack: tuple[tuple[str, int, str], ...] = ()
    """(file, line, function), outermost first, bounded."""
    fingerprint: str = ""
    """Equal for failures of one site: type chain and own frames, without lines and files."""
    retry_after: float | None = None
    """Seconds the other side asked to wait before the next attempt."""
    failure_id: str = ""
    """``F-`` and 26 characters that sort by time; the same from the first raise to the end."""
    captured_ns: int = 0
    class_: str = "unknown"
    """A value of ``FailureClass``."""
    rule: str = ""
    """The rule of classification that decided."""
    fp_template: str = ""
    """As ``fingerprint``, with the message in it, ids and numbers taken out."""
    notes: tuple[str, ...] = ()
    children: tuple[tuple[str, str], ...] = ()
    """(type, message) of the members of an exception group, at most 32."""
    child_count: int = 0
    frames: tuple[Frame, ...] = ()
    """The stack with modules, outermost first, at most 64."""
    stack_id: str = ""
    """``b2:`` and 32 hex digits of the frames."""
    thread: str = ""
    pid: int = 0
    redacted: tuple[str, ...] = ()
    """Fields in which a secret was replaced."""
    tags: tuple[tuple[str, str], ...] = ()
    dropped_tags: int = 0
    given_up: str = ""
    """Why nothing tries again (``LetterReason``); set when it is final for its node."""
    origin: FailureOrigin | None = None
    """Set by the engine; None outside of runs."""


class RunStarted(Record, frozen=True, array_like=True, tag=1):
    """Opens span 1."""

    run_id: str
    flow: str
    flow_hash: str
    flow_source: str
    at: int
    params: dict[str, Any]
    """Summaries of the params, redacted."""
    source: str
    """``cli``, ``api``, ``http`` or ``test``."""
    span_base: int
    parent_span_id: str = ""
    resumed_from: str = ""
    """The run whose finished nodes this one reuses."""
    attributes: dict[str, Any] = {}
    code_version: str = ""
    """Of the definition and the code of its tasks."""
    inputs: bytes | None = None
    """Encoded ``params``, ``payload``, ``scratch`` and ``policy``: what the run can be started
    with again."""
    inputs_codec: str = ""
    lineage: str = ""
    """The first run of the chain of resumes and redrives; empty when it is this one."""
    letter: str = ""
    """Id of the dead letter that this run redrives."""
    generation: int = 0
    """Redrives of that letter so far, this one included."""
    policies: dict[str, Any] = {}
    """Snapshot of the flow's policy."""
    fingerprints: bytes = b""
    """JSON object of the fingerprint of each node's code and definition, by static path."""
    resumed_span: str = ""
    """Id of the span of the run ``resumed_from``."""


class ShapeDeclared(Record, frozen=True, array_like=True, tag=2):
    """Static attributes that many node spans share; numbered from 1 within the run."""

    shape: int
    task: str
    attributes: dict[str, Any]


class NodeStarted(Record, frozen=True, array_like=True, tag=3):
    """Opens the node's span and the span of its first attempt."""

    span: int
    attempt_span: int
    parent: int
    shape: int
    name: str
    path: str
    """Empty when it equals the name."""
    at: int
    inputs: dict[str, Any]
    """Summaries by parameter, redacted."""
    max_attempts: int = 1
    attempt: int = 1
    """Number of its first attempt here; above 1 when an earlier run made the others."""
    not_reused: str = ""
    """Why it runs although an earlier run has finished it, or its task is cached."""
    waits_until: int = 0
    """Instant before which its first attempt does not begin, put on disk by an earlier run; the
    attempt's span is then opened by a record of its own. 0: it begins at once."""


class AttemptFailed(Record, frozen=True, array_like=True, tag=4):
    """Closes an attempt's span. The node goes on: another attempt follows."""

    attempt_span: int
    at: int
    failure: FailureRecord
    attempt: int
    delay: float
    """Seconds until the next attempt."""


class AttemptStarted(Record, frozen=True, array_like=True, tag=5):
    """Opens the span of an attempt for which the node with span ``node`` has waited."""

    attempt_span: int
    node: int
    attempt: int
    at: int
    delay: float
    max_attempts: int = 1


class NodeFinished(Record, frozen=True, array_like=True, tag=6):
    """Closes a node's span and that of its last attempt. The output is its checkpoint."""

    span: int
    attempt_span: int
    state: NodeState
    at: int
    path: str
    output: bytes | None = None
    codec: str = ""
    """Name of the codec of ``output``; empty when there is no checkpoint."""
    summary: Any = None
    checkpoint: str = ""
    """``stored``, ``none``, or why it could not be stored."""
    failure: FailureRecord | None = None
    handled: str = ""
    """The ``on_error`` action that handled the failure; empty when none did."""
    attempt: int = 1
    attributes: dict[str, Any] | None = None
    """Set by the task through ``ctx.span.set_attribute``."""
    policy: dict[str, Any] | None = None
    """Snapshot of the node's policy; given with a failure only."""
    extra: bytes | None = None
    """What the node left besides its output: scratch, artifacts, routes."""
    key: str = ""
    """Under which later runs find the output of a cached task; empty: they do not."""


class NodeSkipped(Record, frozen=True, array_like=True, tag=7):
    """A span of no duration for a node that will not run."""

    span: int
    parent: int
    shape: int
    name: str
    path: str
    at: int
    state: NodeState
    """SKIPPED or CANCELLED."""
    reason: str


class ScopeStarted(Record, frozen=True, array_like=True, tag=8):
    """Opens the span of a container, an iteration or a branch."""

    span: int
    parent: int
    type: str
    """``container``, ``iteration`` or ``branch`` (``SpanType``)."""
    construct: str
    """``all any switch foreach repeat until subflow``; what the container is."""
    name: str
    path: str
    at: int
    attributes: dict[str, Any]


class ScopeFinished(Record, frozen=True, array_like=True, tag=9):
    """Closes such a span. A container that is a node of its own carries a checkpoint too."""

    span: int
    state: NodeState
    at: int
    path: str
    attributes: dict[str, Any]
    failure: FailureRecord | None = None
    output: bytes | None = None
    codec: str = ""


class UserSpanStarted(Record, frozen=True, array_like=True, tag=10):
    """``with ctx.span(name)`` inside a task."""

    span: int
    parent: int
    name: str
    at: int
    attributes: dict[str, Any]


class UserSpanFinished(Record, frozen=True, array_like=True, tag=11):
    """Closes it."""

    span: int
    at: int
    attributes: dict[str, Any]
    failure: FailureRecord | None = None


class Logged(Record, frozen=True, array_like=True, tag=12):
    """An event of a span: a log line, captured output, or ``ctx.event``."""

    span: int
    at: int
    name: str
    """``log``, ``stdout``, ``stderr``, or the name given to ``ctx.event``."""
    attributes: dict[str, Any]
    """``message``, ``level``, ``logger`` for logs; free for events."""


class EventsDropped(Record, frozen=True, array_like=True, tag=13):
    """Events beyond a span's bound were counted instead of kept."""

    span: int
    count: int


class Progress(Record, frozen=True, array_like=True, tag=14):
    """``ctx.progress``: the newest one of a span counts."""

    span: int
    at: int
    done: float
    total: float | None


class NodeReused(Record, frozen=True, array_like=True, tag=16):
    """A span of no duration for a node whose output an earlier run gives.

    That run is one of the lineage, or any that recorded the output of a cached task. Such an
    output is a checkpoint of this run, too.
    """

    span: int
    parent: int
    shape: int
    name: str
    path: str
    at: int
    run_id: str
    """The run in which it ran."""
    cached_at: int = 0
    """When it ended there, for a cached task; 0: the run is one of the lineage."""
    output: bytes | None = None
    codec: str = ""
    extra: bytes | None = None


class RunFinished(Record, frozen=True, array_like=True, tag=15):
    """Closes span 1 and every span still open."""

    at: int
    status: RunStatus
    failure: FailureRecord | None = None
    failed_node: str = ""
    """Path of the node whose failure ended the run."""
    handled_failures: int = 0
    output: Any = None
    """Summary of the run's output."""
    reason: str = ""


class LostAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt that was under way when its worker was lost."""

    node: int
    """Number of the node's span."""
    span: int
    """Number of the attempt's span; 0: the node waited for its next attempt."""
    failure: FailureRecord


class RunContinued(Record, frozen=True, array_like=True, tag=17):
    """Another worker goes on with the run: closes every open span but the first."""

    at: int
    worker_id: str
    """Who goes on."""
    claim: int
    """Deliveries claimed so far, this one included."""
    lost: tuple[LostAttempt, ...] = ()
    """Empty where nothing was under way, or the worker before handed the run back."""
    reason: str = ""
    """Why the worker before did not end it: ``worker_lost`` or ``handed_back``."""
    lost_worker: str = ""
    """Who had it before."""


AnyRecord = (
    RunStarted
    | ShapeDeclared
    | NodeStarted
    | AttemptFailed
    | AttemptStarted
    | NodeFinished
    | NodeSkipped
    | NodeReused
    | ScopeStarted
    | ScopeFinished
    | UserSpanStarted
    | UserSpanFinished
    | Logged
    | EventsDropped
    | Progress
    | RunContinued
    | RunFinished
)
