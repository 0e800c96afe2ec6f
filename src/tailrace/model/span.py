"""Spans and runs as they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from tailrace.model.ids import RunId, SpanId
from tailrace.model.states import RunStatus, SpanKind, SpanStatus, SpanType

Scalar = str | int | float | bool
Attribute = Scalar | list[str] | list[int] | list[float] | list[bool]
"""What OpenTelemetry allows as an attribute value."""


class SpanEvent(Struct, kw_only=True):
    """Something that happened inside a span. ``time_ns`` counts from the epoch."""

    time_ns: int
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


class SpanLink(Struct, kw_only=True):
    """A pointer to a span of another trace."""

    trace_id: RunId
    span_id: SpanId
    attributes: dict[str, Any] = field(default_factory=dict)
    trace_state: str = ""
    """W3C ``tracestate`` of that span, as it came."""


class InstrumentationScope(Struct, frozen=True, kw_only=True):
    """The library that made a span."""

    name: str = ""
    version: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


NO_SCOPE = InstrumentationScope()


class Span(Struct, kw_only=True):
    """One span. ``end_ns`` is None while it is open. ``name`` is the full name (``node clean``).

    ``resource`` and ``scope`` are shared by many spans and never changed.
    """

    trace_id: RunId
    span_id: SpanId
    parent_id: SpanId | None
    name: str
    type: SpanType
    start_ns: int
    end_ns: int | None = None
    kind: SpanKind = SpanKind.INTERNAL
    status: SpanStatus = SpanStatus.UNSET
    message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[SpanEvent] = field(default_factory=list)
    links: list[SpanLink] = field(default_factory=list)
    dropped_events: int = 0
    resource: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the program that made the span; ``service.name`` of a run is its flow."""
    scope: InstrumentationScope = NO_SCOPE
    trace_state: str = ""
    """W3C ``tracestate``, as it came."""

    @property
    def duration_ns(self) -> int | None:
        """Nanoseconds from start to end; None while it is open."""
        return None if self.end_ns is None else self.end_ns - self.start_ns


class RunSummary(Struct, kw_only=True):
    """One line of ``trace list``."""

    run_id: RunId
    flow: str
    status: RunStatus
    start_ns: int
    end_ns: int | None
    spans: int
    failed_node: str = ""
    reason: str = ""
    """``ErrorType: message`` of the failure that ended the run."""
    flow_hash: str = ""
    flow_source: str = ""
    source: str = ""
    handled_failures: int = 0
    lineage: str = ""
    """The first run of the chain of resumes and redrives; empty when it is this one."""
    resumed_from: str = ""
    """The run that this one goes on with."""
    letter: str = ""
    """The dead letter that this run redrives."""
    generation: int = 0
    """Redrives of that letter so far, this one included."""
    code_version: str = ""


class Folded(Struct, frozen=True, kw_only=True):
    """Children of one span that were left out when a large trace was read, with all under them."""

    type: SpanType
    count: int
    failed: int
    """How many of them failed, or hold something that did."""


class Trace(Struct, kw_only=True):
    """A run with its spans, in order of start (parents before children)."""

    run: RunSummary
    spans: list[Span]
    folded: dict[SpanId, list[Folded]] = field(default_factory=dict)
    """What was left out, by parent; empty when all spans are there."""

    def _repr_html_(self) -> str:
        from tailrace.model.notebook import trace_html  # noqa: PLC0415 - only in notebooks

        return trace_html(self)


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The stored output of a finished node."""

    path: str
    codec: str
    body: bytes
    time_ns: int
    extra: bytes | None = None
    """What the node left besides its output, encoded."""


class Recalled(Struct, frozen=True, kw_only=True):
    """The output of a cached task, as some run recorded it."""

    run_id: str
    codec: str
    body: bytes
    time_ns: int
    """When the task ended, in nanoseconds since the epoch."""
    extra: bytes | None = None
    """What the task left besides its output, encoded."""
