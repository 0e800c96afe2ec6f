"""The executable form of a flow: every decision that needs no data is already taken.

A scope is a directed acyclic graph of steps. Indices are definition order, and definition order is
start order among steps that are ready together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from tailrace.model.flow import Collect, ScratchMerge, TaskSpec

if TYPE_CHECKING:
    from tailrace.model.expression import Expression
    from tailrace.model.policy import EffectivePolicy


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal value, without any template in it."""

    value: Any


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The value of an expression or of a structure that holds some."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class FromContext:
    """The context itself."""


@dataclass(frozen=True, slots=True)
class FromLoop:
    """A loop variable."""

    name: str


@dataclass(frozen=True, slots=True)
class FromParam:
    """A parameter of the run."""

    name: str


@dataclass(frozen=True, slots=True)
class FromResult:
    """The output of a node upstream."""

    node: str
    default: Constant | None = None
    """The value when the node has not run (a branch not taken); None: that is a failure."""


@dataclass(frozen=True, slots=True)
class FromPayload:
    """What comes along the edge: the predecessor's output, or a mapping of several by name."""


Source = Constant | Evaluated | FromContext | FromLoop | FromParam | FromResult | FromPayload


@dataclass(frozen=True, slots=True)
class Binding:
    """Where one parameter of a task gets its value. Parameters without one use their default."""

    parameter: str
    source: Source
    positional: bool = False
    """True for positional-only parameters, which come first and in order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What all steps of a scope share."""

    index: int
    name: str
    predecessors: tuple[int, ...] = ()
    successors: tuple[int, ...] = ()
    group: int | None = None
    """Position in ``ScopePlan.groups`` of the innermost parallel group, if any."""
    dormant: bool = False
    """True for ``on_error`` targets outside the graph: started only by a failure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskStep(Step):
    """A task node. ``handler`` and ``rejoin`` are step indices for ``on_error``."""

    task: TaskSpec
    bindings: tuple[Binding, ...]
    policy: EffectivePolicy
    outputs: tuple[str, ...] = ()
    handler: int | None = None
    rejoin: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CasePlan:
    """A branch; ``key`` is an Expression where the key was a template."""

    key: Any
    label: str
    body: ScopePlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SwitchStep(Step):
    """Runs one branch."""

    on: Expression
    cases: tuple[CasePlan, ...]
    default: ScopePlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForEachStep(Step):
    """Runs its body per item."""

    over: Expression
    body: ScopePlan
    item: str | None = None
    index_name: str | None = None
    collect: Collect = Collect.LIST
    concurrency: int | Expression = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RepeatStep(Step):
    """Runs its body a number of times."""

    count: int | Expression
    body: ScopePlan
    collect: Collect = Collect.LIST


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UntilStep(Step):
    """Runs its body until a condition holds."""

    condition: Expression
    body: ScopePlan
    max_iterations: int = 1000
    collect: Collect = Collect.LAST


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyStep(Step):
    """Runs its branches side by side until the first success."""

    branches: tuple[ScopePlan, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubFlowStep(Step):
    """Runs another plan with params of its own."""

    flow: FlowPlan
    inputs: Mapping[str, Source]


AnyKindOfStep = TaskStep | SwitchStep | ForEachStep | RepeatStep | UntilStep | AnyStep | SubFlowStep


def inner_scopes(step: AnyKindOfStep) -> Sequence[ScopePlan]:
    """Return the scopes inside a step; none for a task."""
    match step:
        case SwitchStep():
            bodies = [case.body for case in step.cases]
            return bodies if step.default is None else [*bodies, step.default]
        case ForEachStep() | RepeatStep() | UntilStep():
            return [step.body]
        case AnyStep():
            return step.branches
        case SubFlowStep():
            return [step.flow.scope]
        case TaskStep():
            return []
        case _:
            assert_never(step)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupPlan:
    """A parallel group: a container span around the steps ``members`` (all nested ones too)."""

    name: str
    members: tuple[int, ...]
    parent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScopePlan:
    """A graph of steps. ``entries`` have no predecessor; ``exits`` no successor.

    The scope's output: the output of its one activated exit, or a mapping by name of several.
    """

    steps: tuple[AnyKindOfStep, ...]
    entries: tuple[int, ...]
    exits: tuple[int, ...]
    groups: tuple[GroupPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlowPlan:
    """A flow ready to run."""

    name: str
    definition_hash: str
    """SHA-256 in hex of the canonical definition."""
    scope: ScopePlan
    defaults: Mapping[str, Any] = field(default_factory=dict)
    policy: EffectivePolicy
    """The flow-wide policy; ``fail_fast`` is read from here."""
    max_parallel: int = 8
    expose_env: tuple[str, ...] = ()
    scratch_merge: ScratchMerge = ScratchMerge.ERROR_ON_CONFLICT
    source: str = ""
