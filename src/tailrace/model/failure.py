"""Failures as data: what happened, where it came from, and the way it went from there."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MOST_HOPS = 65_535
"""Hops are counted up to here."""


class FailureClass(StrEnum):
    """What kind of trouble a failure is; finer than its category."""

    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    NETWORK = "network"
    VALIDATION = "validation"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    RESOURCE = "resource"
    BUG = "bug"
    CANCELLED = "cancelled"
    SERIALIZATION = "serialization"
    WORKER_LOST = "worker_lost"
    POISON = "poison"
    INFRASTRUCTURE = "infrastructure"
    BUDGET_EXCEEDED = "budget_exceeded"
    BENIGN = "benign"
    UNKNOWN = "unknown"


class ScopeLevel(StrEnum):
    """Whose decision a failure waits for, from the inside out."""

    TASK = "task"
    NODE = "node"
    FLOW = "flow"
    RUN = "run"
    WORKER = "worker"
    ROOT = "root"


class Directive(StrEnum):
    """What a scope decides about a failure that reaches it."""

    RESUME = "resume"
    """Go on with a degraded result."""
    RETRY = "retry"
    """Try again, at an instant that is on disk."""
    RESTART = "restart"
    """Begin the scope afresh, as a new generation."""
    STOP = "stop"
    """End the scope; the failure has arrived."""
    ESCALATE = "escalate"
    """Hand it to the scope around."""


class Disposition(StrEnum):
    """Where a failure has ended up."""

    RETRIED = "retried"
    """Another attempt followed."""
    HANDLED = "handled"
    """A scope resumed in spite of it."""
    TERMINAL = "terminal"
    """It ended its run, or reached the root."""
    CANCELLED = "cancelled"
    """It is only the trace of a cancel."""
    OPEN = "open"
    """It is on its way."""


class EscalationStage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How far a failure has come: Initial, or Escalated over a number of scope boundaries."""

    kind: str = "initial"
    """``initial`` or ``escalated``."""
    count: int = msgspec.field(default=0, name="hops")

    def hops(self) -> int:
        """Return how many scope boundaries were crossed, at most 65,535."""
        return self.count

    def is_initial(self) -> bool:
        """Return whether the failure is where it was raised."""
        return self.count == 0

    def escalate(self) -> EscalationStage:
        """Return the stage one boundary further out."""
        return EscalationStage(kind="escalated", count=min(self.count + 1, MOST_HOPS))


INITIAL = EscalationStage()
"""The stage of a failure where it was raised."""


class Hop(msgspec.Struct, frozen=True, gc=False):
    """A failure's arrival at a scope, and what that scope decided."""

    level: str
    """A value of ``ScopeLevel``."""
    path: tuple[str, ...]
    """The scope's own path, such as ``("run:…", "flow:etl")``."""
    directive: str
    """A value of ``Directive``."""
    policy_ref: str = ""
    """Which policy decided, such as ``retry@sha256:9c1f…``."""
    reason: str = ""
    at_ns: int = 0
    """Nanoseconds since the epoch."""


class Cause(msgspec.Struct, frozen=True, gc=False):
    """An exception that stands behind a failure, or a member of a group."""

    type: str
    message: str
    stack_id: str = ""


class Frame(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line of a stack."""

    module: str
    function: str
    """Qualified name."""
    file: str
    line: int
    in_app: bool
    """True for the user's own code."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a failure was raised; never changes on its way."""

    path: tuple[str, ...] = ()
    """Outermost first: ``root``, ``worker:…``, ``run:…``, ``flow:…``, ``node:…``, ``task:3``."""
    source: str = "task"
    """``task``, or which catch-all met it: ``excepthook``, ``thread``, ``unraisable``, ``loop``,
    ``lost`` (a process that died), ``event`` (the event stream)."""
    thread: str = ""
    """Name of the thread, and of the asyncio task where there is one."""
    pid: int = 0
    host: str = ""


class FailureSnapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that is known of one failure, read-only; holds no exception, traceback or frame.

    ``failure_id``, ``captured_ns`` and ``origin`` never change. Invariants:
    ``len(trail) == stage.hops()`` and ``origin.path[:-hops] == path`` (all of it at no hops).
    """

    failure_id: str
    """``F-`` and 26 characters that sort by time."""
    captured_ns: int
    """Nanoseconds since the epoch."""
    type: str
    """Qualified class name; builtins without ``builtins.``."""
    message: str
    category: str
    """A value of ``ErrorCategory``."""
    class_: str = msgspec.field(default=FailureClass.UNKNOWN.value, name="class")
    """A value of ``FailureClass``."""
    rule: str = ""
    """The rule of classification that decided."""
    retryable: bool = False
    retry_after_s: float | None = None
    origin: Origin = Origin()
    path: tuple[str, ...] = ()
    """The scope it stands at."""
    level: str = ScopeLevel.TASK.value
    stage: EscalationStage = INITIAL
    trail: tuple[Hop, ...] = ()
    disposition: str = Disposition.OPEN.value
    given_up: str = ""
    """Why nothing tries again: a value of ``LetterReason``; empty while something may."""
    notes: tuple[str, ...] = ()
    cause_chain: tuple[Cause, ...] = ()
    """Nearest first, at most 8."""
    children: tuple[Cause, ...] = ()
    """Members of an exception group, at most 32."""
    child_count: int = 0
    """Members in all."""
    fp_site: str = ""
    """``v1:`` and 32 hex digits: equal for failures of one kind at one place."""
    fp_template: str = ""
    """The same with the message, numbers and names in it taken out."""
    stack_id: str = ""
    """``b2:`` and 32 hex digits of the frames."""
    frames: tuple[Frame, ...] = ()
    """Outermost first, at most 64: the first and the last 32."""
    location: str = ""
    """``file:line`` of the innermost frame of the user's own code."""
    source_line: str = ""
    function: str = ""
    run_id: str = ""
    flow: str = ""
    node_id: str = ""
    """Path of the node, such as ``each[3].load``."""
    task_ref: str = ""
    """``module:function``."""
    attempt: int = 0
    """From 1; 0 outside of nodes."""
    max_attempts: int = 0
    """Calls the policy allowed, the first included."""
    generation: int = 0
    """Times the work was redriven."""
    input_digest: str = ""
    """``sha256:…`` of the encoded inputs; empty when they could not be encoded."""
    policy_ref: str = ""
    code_version: str = ""
    worker_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    """Of the attempt."""
    component: str = ""
    endpoint: str = ""
    transport: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    """Bounded in number, ``component``, ``endpoint`` and ``transport`` first, then by key."""
    dropped_tags: int = 0
    redacted: tuple[str, ...] = ()
    """Fields in which a secret was replaced."""
    severity: str = "error"
    description: str = ""


class GroupState(StrEnum):
    """Life of a group of equal failures."""

    OPEN = "open"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    REGRESSED = "regressed"
    """Seen again after it was resolved, by newer code."""


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """All failures of one fingerprint."""

    fp_site: str
    title: str
    """``Type: message`` of the newest one."""
    type: str
    category: str
    class_: str = msgspec.field(default=FailureClass.UNKNOWN.value, name="class")
    location: str = ""
    flow: str = ""
    node_id: str = ""
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    """Exact, those included of which no record was kept."""
    suppressed: int = 0
    """Failures beyond the flood limit: counted, without a record of their own."""
    runs: int = 0
    nodes: int = 0
    state: str = GroupState.OPEN.value
    ignored_until_ns: int = 0
    """0: for good."""
    alias_of: str = ""
    """The group into which this one was merged."""
    last_version: str = ""
    """Code version that failed last."""
    resolved_version: str = ""
    last_failure_id: str = ""
    open_letters: int = 0


class FailureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which failures or dead letters are meant. Empty fields match everything."""

    category: str = ""
    class_: str = msgspec.field(default="", name="class")
    fingerprint: str = ""
    """A fingerprint (site or template), or the beginning of one, with or without ``v1:``."""
    type: str = ""
    """Qualified or plain class name."""
    flow: str = ""
    node: str = ""
    """Name of a node, or its path."""
    run: str = ""
    """A run id."""
    tag: str = ""
    """``key=value``, or a key alone."""
    code_version: str = ""
    reason: str = ""
    """Of dead letters: a value of ``LetterReason``."""
    state: str = ""
    """Of dead letters: a value of ``LetterState``; of failures: a value of ``Disposition``."""
    since_ns: int | None = None
    until_ns: int | None = None
    ids: tuple[str, ...] = ()
    """Exactly these; other fields narrow further."""
    tenant: str | None = None
    """Of an index: only what belongs to this tenant's runs; None: of all."""
