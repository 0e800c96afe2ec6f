"""The nouns of Tailrace: frozen data, no input or output."""

from tailrace.model.context import Context, LoopFrame, Routing, SpanHandle
from tailrace.model.expression import Expression, Scope
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
from tailrace.model.ids import RunId, SpanId, new_run_id, new_span_base, span_id
from tailrace.model.journal import (
    AnyRecord,
    AttemptFailed,
    AttemptStarted,
    EventsDropped,
    FailureRecord,
    Logged,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    Progress,
    RunFinished,
    RunStarted,
    ScopeFinished,
    ScopeStarted,
    ShapeDeclared,
    UserSpanFinished,
    UserSpanStarted,
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
from tailrace.model.span import Attribute, Checkpoint, RunSummary, Span, SpanEvent, SpanLink, Trace
from tailrace.model.states import (
    Durability,
    ErrorCategory,
    NodeState,
    RunStatus,
    SpanKind,
    SpanStatus,
    SpanType,
)

__all__ = [
    "All", "AnyKindOfStep", "AnyOf", "AnyRecord", "AnyStep", "AttemptFailed", "AttemptStarted",
    "Attribute", "Binding", "CallKind", "Case", "CasePlan", "Checkpoint", "Collect", "Constant",
    "Context", "Durability", "Duration", "EffectiveOnError", "EffectivePolicy", "EffectiveRetry",
    "ErrorCategory", "Evaluated", "EventsDropped", "Expression", "FailureRecord", "Finding",
    "Flow", "FlowPlan", "ForEach", "ForEachStep", "FromContext", "FromLoop", "FromParam",
    "FromPayload", "FromResult", "Graph", "GroupPlan", "Isolation", "Logged", "LoopFrame", "Node",
    "NodeFinished", "NodeSkipped", "NodeStarted", "NodeState", "OnError", "Policy", "Progress",
    "Repeat", "RepeatStep", "Retry", "Routing", "RunFinished", "RunId", "RunStarted", "RunStatus",
    "RunSummary", "Scope", "ScopeFinished", "ScopePlan", "ScopeStarted", "ScratchMerge", "Seq",
    "Severity", "ShapeDeclared", "Source", "SourceSpan", "Span", "SpanEvent", "SpanHandle",
    "SpanId", "SpanKind", "SpanLink", "SpanStatus", "SpanType", "Step", "SubFlow", "SubFlowStep",
    "Switch", "SwitchStep", "TaskNode", "TaskSpec", "TaskStep", "Trace", "Until", "UntilStep",
    "UserSpanFinished", "UserSpanStarted", "new_run_id", "new_span_base", "span_id",
]  # fmt: skip
