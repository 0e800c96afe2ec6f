"""The nouns of Tailrace: frozen data, no input or output.

Names are loaded when first used: whoever reads a trace has no use for plans and policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.model.context import Context, LoopFrame, Routing, SpanHandle
    from tailrace.model.event import Event, EventCounts, EventFilter
    from tailrace.model.expression import Expression, Scope
    from tailrace.model.failure import (
        Cause,
        Directive,
        Disposition,
        EscalationStage,
        FailureClass,
        FailureFilter,
        FailureGroup,
        FailureSnapshot,
        Frame,
        GroupState,
        Hop,
        Origin,
        ScopeLevel,
    )
    from tailrace.model.finding import Finding, Severity, SourceSpan
    from tailrace.model.flow import (
        All,
        AnyOf,
        CallKind,
        Case,
        Collect,
        Flow,
        ForEach,
        Graph,
        Isolation,
        Node,
        Repeat,
        ScratchMerge,
        Seq,
        SubFlow,
        Switch,
        TaskNode,
        TaskSpec,
        Until,
    )
    from tailrace.model.ids import RunId, SpanId, new_run_id, new_sortable, new_span_base, span_id
    from tailrace.model.journal import (
        AnyRecord,
        AttemptFailed,
        AttemptStarted,
        EventsDropped,
        FailureOrigin,
        FailureRecord,
        Logged,
        LostAttempt,
        NodeFinished,
        NodeReused,
        NodeSkipped,
        NodeStarted,
        Progress,
        RunContinued,
        RunFinished,
        RunStarted,
        ScopeFinished,
        ScopeStarted,
        ShapeDeclared,
        UserSpanFinished,
        UserSpanStarted,
    )
    from tailrace.model.letter import (
        DeadLetter,
        LetterReason,
        LetterState,
        RecoveryAction,
        Redrive,
        RedriveBatch,
    )
    from tailrace.model.plan import (
        AnyKindOfStep,
        AnyStep,
        Binding,
        CasePlan,
        Constant,
        Evaluated,
        FlowPlan,
        ForEachStep,
        FromContext,
        FromLoop,
        FromParam,
        FromPayload,
        FromResult,
        GroupPlan,
        RepeatStep,
        ScopePlan,
        Source,
        Step,
        SubFlowStep,
        SwitchStep,
        TaskStep,
        UntilStep,
    )
    from tailrace.model.policy import (
        Duration,
        EffectiveOnError,
        EffectivePolicy,
        EffectiveRetry,
        OnError,
        Policy,
        Retry,
    )
    from tailrace.model.report import RuntimeExecutionReport
    from tailrace.model.span import (
        Attribute,
        Checkpoint,
        Folded,
        Recalled,
        RunSummary,
        Span,
        SpanEvent,
        SpanLink,
        Trace,
    )
    from tailrace.model.states import (
        Durability,
        ErrorCategory,
        NodeState,
        RunStatus,
        SpanKind,
        SpanStatus,
        SpanType,
    )

_NAMES = {
    "context": (
        "Context", "LoopFrame", "Routing", "SpanHandle",
    ),
    "expression": (
        "Expression", "Scope",
    ),
    "event": (
        "Event", "EventCounts", "EventFilter",
    ),
    "failure": (
        "Cause", "Directive", "Disposition", "EscalationStage", "FailureClass",
        "FailureFilter", "FailureGroup", "FailureSnapshot", "Frame", "GroupState", "Hop",
        "Origin", "ScopeLevel",
    ),
    "letter": (
        "DeadLetter", "LetterReason", "LetterState", "RecoveryAction", "Redrive",
        "RedriveBatch",
    ),
    "finding": (
        "Finding", "Severity", "SourceSpan",
    ),
    "flow": (
        "All", "AnyOf", "CallKind", "Case", "Collect", "Flow", "ForEach", "Graph",
        "Isolation", "Node", "Repeat", "ScratchMerge", "Seq", "SubFlow", "Switch",
        "TaskNode", "TaskSpec", "Until",
    ),
    "ids": (
        "RunId", "SpanId", "new_run_id", "new_sortable", "new_span_base", "span_id",
    ),
    "journal": (
        "AnyRecord", "AttemptFailed", "AttemptStarted", "EventsDropped", "FailureOrigin",
        "FailureRecord", "Logged", "LostAttempt", "NodeFinished", "NodeReused", "NodeSkipped",
        "NodeStarted", "Progress", "RunContinued", "RunFinished", "RunStarted", "ScopeFinished",
        "ScopeStarted", "ShapeDeclared", "UserSpanFinished", "UserSpanStarted",
    ),
    "plan": (
        "AnyKindOfStep", "AnyStep", "Binding", "CasePlan", "Constant", "Evaluated",
        "FlowPlan", "ForEachStep", "FromContext", "FromLoop", "FromParam", "FromPayload",
        "FromResult", "GroupPlan", "RepeatStep", "ScopePlan", "Source", "Step",
        "SubFlowStep", "SwitchStep", "TaskStep", "UntilStep",
    ),
    "policy": (
        "Duration", "EffectiveOnError", "EffectivePolicy", "EffectiveRetry", "OnError",
        "Policy", "Retry",
    ),
    "report": (
        "RuntimeExecutionReport",
    ),
    "span": (
        "Attribute", "Checkpoint", "Folded", "Recalled", "RunSummary", "Span", "SpanEvent",
        "SpanLink", "Trace",
    ),
    "states": (
        "Durability", "ErrorCategory", "NodeState", "RunStatus", "SpanKind", "SpanStatus",
        "SpanType",
    ),
}  # fmt: skip
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
"""The module of this room that defines each name."""

__all__ = [
    "All", "AnyKindOfStep", "AnyOf", "AnyRecord", "AnyStep", "AttemptFailed", "AttemptStarted",
    "Attribute", "Binding", "CallKind", "Case", "CasePlan", "Cause", "Checkpoint", "Collect",
    "Constant", "Context", "DeadLetter", "Directive", "Disposition", "Durability", "Duration",
    "EffectiveOnError", "EffectivePolicy", "EffectiveRetry", "ErrorCategory", "EscalationStage",
    "Evaluated", "Event", "EventCounts", "EventFilter", "EventsDropped", "Expression",
    "FailureClass", "FailureFilter", "FailureGroup", "FailureOrigin", "FailureRecord",
    "FailureSnapshot", "Finding", "Flow", "FlowPlan", "Folded", "ForEach", "ForEachStep", "Frame",
    "FromContext", "FromLoop", "FromParam", "FromPayload", "FromResult", "Graph", "GroupPlan",
    "GroupState", "Hop", "Isolation", "LetterReason", "LetterState", "Logged", "LoopFrame",
    "LostAttempt", "Node", "NodeFinished", "NodeReused", "NodeSkipped", "NodeStarted", "NodeState",
    "OnError", "Origin", "Policy", "Progress", "Recalled", "RecoveryAction", "Redrive",
    "RedriveBatch", "Repeat", "RepeatStep", "Retry", "Routing", "RunContinued", "RunFinished",
    "RunId", "RunStarted", "RunStatus", "RunSummary", "RuntimeExecutionReport", "Scope",
    "ScopeFinished", "ScopeLevel", "ScopePlan", "ScopeStarted", "ScratchMerge", "Seq", "Severity",
    "ShapeDeclared", "Source", "SourceSpan", "Span", "SpanEvent", "SpanHandle", "SpanId",
    "SpanKind", "SpanLink", "SpanStatus", "SpanType", "Step", "SubFlow", "SubFlowStep", "Switch",
    "SwitchStep", "TaskNode", "TaskSpec", "TaskStep", "Trace", "Until", "UntilStep",
    "UserSpanFinished", "UserSpanStarted", "new_run_id", "new_sortable", "new_span_base", "span_id",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
