"""The executable form of a flow: every decision that needs no data is already taken.

A scope is a directed acyclic graph of steps. Indices are definition order, and definition order is
start order among steps that are ready together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct, field

from tailrace.model.expression import Expression
from tailrace.model.flow import Collect, ScratchMerge, TaskSpec
from tailrace.model.policy import EffectivePolicy
from tailrace.model.rule import Rule


class Constant(Struct, frozen=True):
    """A literal value, without any template in it."""

    value: Any


class Evaluated(Struct, frozen=True):
    """The value of an expression or of a structure that holds some."""

    expression: Expression


class FromContext(Struct, frozen=True):
    """The context itself."""


class FromLoop(Struct, frozen=True):
    """A loop variable."""

    name: str


class FromParam(Struct, frozen=True):
    """A parameter of the run."""

    name: str


class FromResult(Struct, frozen=True):
    """The output of a node upstream."""

    node: str
    default: Constant | None = None
    """The value when the node has not run (a branch not taken); None: that is a failure."""


class FromPayload(Struct, frozen=True):
    """What comes along the edge: the predecessor's output, or a mapping of several by name."""


Source = Constant | Evaluated | FromContext | FromLoop | FromParam | FromResult | FromPayload


class Binding(Struct, frozen=True):
    """Where one parameter of a task gets its value. Parameters without one use their default."""

    parameter: str
    source: Source
    positional: bool = False
    """True for positional-only parameters, which come first and in order."""


class Step(Struct, frozen=True, kw_only=True, eq=False):
    """What all steps of a scope share."""

    index: int
    name: str
    predecessors: tuple[int, ...] = ()
    successors: tuple[int, ...] = ()
    group: int | None = None
    """Position in ``ScopePlan.groups`` of the innermost parallel group, if any."""
    dormant: bool = False
    """True for ``on_error`` targets outside the graph: started only by a failure."""


class TaskStep(Step, frozen=True, kw_only=True, eq=False):
    """A task node. ``handler`` and ``rejoin`` are step indices for ``on_error``."""

    task: TaskSpec
    bindings: tuple[Binding, ...]
    policy: EffectivePolicy
    outputs: tuple[str, ...] = ()
    handler: int | None = None
    rejoin: int | None = None


class CasePlan(Struct, frozen=True, kw_only=True, eq=False):
    """A branch; ``key`` is an Expression where the key was a template."""

    key: Any
    label: str
    body: ScopePlan


class SwitchStep(Step, frozen=True, kw_only=True, eq=False):
    """Runs one branch."""

    on: Expression
    cases: tuple[CasePlan, ...]
    default: ScopePlan | None = None


class ForEachStep(Step, frozen=True, kw_only=True, eq=False):
    """Runs its body per item."""

    over: Expression
    body: ScopePlan
    item: str | None = None
    index_name: str | None = None
    collect: Collect = Collect.LIST
    concurrency: int | Expression = 1


class RepeatStep(Step, frozen=True, kw_only=True, eq=False):
    """Runs its body a number of times."""

    count: int | Expression
    body: ScopePlan
    collect: Collect = Collect.LIST


class UntilStep(Step, frozen=True, kw_only=True, eq=False):
    """Runs its body until a condition holds."""

    condition: Expression
    body: ScopePlan
    max_iterations: int = 1000
    collect: Collect = Collect.LAST


class AnyStep(Step, frozen=True, kw_only=True, eq=False):
    """Runs its branches side by side until the first success."""

    branches: tuple[ScopePlan, ...]
    labels: tuple[str, ...]


class SubFlowStep(Step, frozen=True, kw_only=True, eq=False):
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


class GroupPlan(Struct, frozen=True, kw_only=True, eq=False):
    """A parallel group: a container span around the steps ``members`` (all nested ones too)."""

    name: str
    members: tuple[int, ...]
    parent: int | None = None


class ScopePlan(Struct, frozen=True, kw_only=True, eq=False):
    """A graph of steps. ``entries`` have no predecessor; ``exits`` no successor.

    The scope's output: the output of its one activated exit, or a mapping by name of several.
    """

    steps: tuple[AnyKindOfStep, ...]
    entries: tuple[int, ...]
    exits: tuple[int, ...]
    groups: tuple[GroupPlan, ...] = ()


class FlowPlan(Struct, frozen=True, kw_only=True, eq=False):
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
    rules: tuple[Rule, ...] = ()
    """What failures mean; a flow inside another one is judged by the outer one's."""
    source: str = ""
