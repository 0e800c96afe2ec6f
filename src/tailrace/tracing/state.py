"""How a run stands: its spans, events and checkpoints as the projection keeps them."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from tailrace.model.states import NodeState, RunStatus, SpanStatus, SpanType

_SUCCEEDED = NodeState.SUCCEEDED


class Shape(msgspec.Struct, eq=False):
    """What many spans share. Equal spans of one projection share one object."""

    type: SpanType
    construct: str = ""
    """For a container, what it is (``foreach``, …)."""
    task: str = ""
    attributes: dict[str, Any] = {}
    _ended: dict[tuple[str, str], Shape] = {}
    _succeeded: dict[str, Shape] = {}

    def ended(self, state: str, checkpoint: str = "") -> Shape:
        """Return the shape of a span that has ended in ``state`` (``run`` spans: the status)."""
        if state is _SUCCEEDED:  # by identity first: the hash of an enum member is a Python call
            known = self._succeeded.get(checkpoint)
            if known is None:
                known = self._succeeded[checkpoint] = self._with(state, checkpoint)
            return known
        key = (state, checkpoint)
        known = self._ended.get(key)
        if known is None:
            known = self._ended[key] = self._with(state, checkpoint)
        return known

    def _with(self, state: str, checkpoint: str) -> Shape:
        attributes = dict(self.attributes)
        is_run = self.type is SpanType.RUN
        attributes["tailrace.status" if is_run else "tailrace.state"] = str(state)
        if checkpoint:
            attributes["tailrace.checkpoint"] = checkpoint
        return Shape(self.type, self.construct, self.task, attributes)

    @property
    def prefix(self) -> str:
        """What stands before the short name in the full one."""
        match self.type:
            case SpanType.RUN | SpanType.NODE | SpanType.ATTEMPT:
                return f"{self.type} "
            case SpanType.CONTAINER:
                return f"{self.construct} "
            case SpanType.ITERATION | SpanType.BRANCH | SpanType.USER | SpanType.FOREIGN:
                return ""
            case _:
                assert_never(self.type)


class SpanState(msgspec.Struct, eq=False, gc=False):
    """One span as it stands. ``name`` is short, ``path`` empty when it equals the name."""

    number: int
    parent: int
    """Number of the parent; 0 for the run's own span."""
    shape: Shape
    name: str
    path: str
    start: int
    attributes: dict[str, Any]
    """Without those of the shape."""
    end: int | None = None
    status: SpanStatus = SpanStatus.UNSET
    message: str = ""
    dropped: int = 0
    known: bool = False
    """True once it was handed out; later changes are updates."""


class RunState(msgspec.Struct):
    """The run as it stands. Instants are nanoseconds since the epoch."""

    run_id: str
    flow: str
    flow_hash: str
    flow_source: str
    source: str
    start: int
    span_base: int
    parent_span_id: str = ""
    status: RunStatus = RunStatus.RUNNING
    end: int | None = None
    spans: int = 0
    events: int = 0
    """Events so far; the next one has this number."""
    failed_node: str = ""
    reason: str = ""
    handled_failures: int = 0
    lineage: str = ""
    resumed_from: str = ""
    letter: str = ""
    generation: int = 0
    code_version: str = ""
    trace_state: str = ""
    """W3C ``tracestate`` of the caller whose trace this is; known while the run is live."""


class EventAdded(msgspec.Struct, gc=False):
    """Event number ``number`` of the run, counted from 0."""

    number: int
    span: int
    time: int
    name: str
    attributes: dict[str, Any]


class CheckpointStored(msgspec.Struct, gc=False):
    """The encoded output of a node that has ended."""

    span: SpanState
    codec: str
    body: bytes
    extra: bytes | None = None
    """What the node left besides its output."""
    key: str = ""
    """Under which later runs find the output of a cached task."""

    @property
    def path(self) -> str:
        """Path of the node; empty for what the run was started with."""
        return "" if self.span.number == 1 else self.span.path or self.span.name

    @property
    def time(self) -> int:
        """When the node ended, in nanoseconds since the epoch."""
        return self.span.start if self.span.end is None else self.span.end


class Changes(msgspec.Struct):
    """What happened since the last time, in the order in which it is to be written."""

    shapes: list[Shape]
    """Declared for the nodes of this run, in the order of their numbers."""
    opened: list[SpanState]
    """New spans; many of them have ended already."""
    changed: list[SpanState]
    """Spans handed out before."""
    events: list[EventAdded]
    checkpoints: list[CheckpointStored]
    dropped: list[tuple[int, int]]
    """(span, count) of events dropped from spans that had ended."""
