"""The plan of a replay: that of the flow, with every task replaced by what was recorded of it.

The engine then walks it as it walked the run, binding inputs as it did, but calls no task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.frame import StepScope
from tailrace.model import (
    AnyKindOfStep,
    AnyStep,
    Binding,
    CallKind,
    Constant,
    Evaluated,
    Expression,
    FlowPlan,
    ForEachStep,
    FromContext,
    FromResult,
    Isolation,
    RepeatStep,
    ScopePlan,
    Source,
    SubFlowStep,
    SwitchStep,
    TaskStep,
    UntilStep,
)
from tailrace.model.policy import EffectivePolicy, EffectiveRetry
from tailrace.runtime.replay.missing import Missing
from tailrace.runtime.replay.record import RunRecord, iterations_of

SCOPE = "tailrace:scope"
"""Parameter by which a stand-in gets the names that its step sees."""
CONTEXT = "tailrace:context"
"""Asked for so that the engine gives each step scratch of its own."""
_OWN = (Binding(CONTEXT, FromContext()),)

Visit = Callable[..., Any]
"""Takes a step, then its arguments and ``SCOPE``; returns what the step gave, or raises."""
Instead = Callable[[StepScope, Any], Any]
"""Takes the scope and a Missing value; returns what to go on with."""


def stand_in_plan(plan: FlowPlan, record: RunRecord, visit: Visit) -> FlowPlan:
    """Return a plan whose steps call ``visit`` in place of their tasks."""
    walk = _Rewriting(record, visit)
    policy = dataclasses.replace(plan.policy, fail_fast=False)
    return replace(plan, policy=policy, scope=walk.scope(plan.scope))


class _Here(Struct, frozen=True):
    """An expression that gives the names a step sees."""

    source = SCOPE
    references: tuple[tuple[str, ...], ...] = ()

    def evaluate(self, scope: Any) -> Any:
        """Return the scope itself."""
        return scope


class _Guarded(Struct, frozen=True):
    """An expression that gives ``Missing`` where what it reads is not known."""

    inner: Expression
    instead: Instead | None = None

    @property
    def source(self) -> str:
        """Canonical source text."""
        return self.inner.source

    @property
    def references(self) -> tuple[tuple[str, ...], ...]:
        """Static paths it reads."""
        return self.inner.references

    def evaluate(self, scope: Any) -> Any:
        """Return the value, or what stands for it."""
        value = self._value(scope)
        if isinstance(value, Missing) and self.instead is not None:
            return self.instead(scope, value)
        return value

    def _value(self, scope: Any) -> Any:
        cause = next(filter(None, (_missing_at(path, scope) for path in self.references)), None)
        if cause is not None:
            return cause
        try:
            return self.inner.evaluate(scope)
        except Exception as error:  # noqa: BLE001 - it worked on values of a user
            return Missing(f"{self.source!r} cannot be worked out: {error}")


def _missing_at(path: tuple[str, ...], scope: Any) -> Missing | None:
    """Return the first Missing on the way along a reference."""
    try:
        value = scope.lookup(path[0])
        for key in path[1:]:
            if isinstance(value, Missing):
                return value
            value = value[key]
    except Exception:  # noqa: BLE001 - the expression itself will say so, in its own words
        return None
    return value if isinstance(value, Missing) else None


class _Rewriting:
    """One pass over a plan."""

    def __init__(self, record: RunRecord, visit: Visit) -> None:
        self._record = record
        self._visit = visit

    def scope(self, plan: ScopePlan) -> ScopePlan:
        return replace(plan, steps=tuple(self._step(step) for step in plan.steps))

    def _step(self, step: AnyKindOfStep) -> AnyKindOfStep:
        match step:
            case TaskStep():
                return self._task(step)
            case SwitchStep():
                return self._switch(step)
            case ForEachStep():
                limit = step.concurrency
                return replace(
                    step,
                    over=_Guarded(step.over, partial(self._items, step.name)),
                    body=self.scope(step.body),
                    concurrency=limit if isinstance(limit, int) else _Guarded(limit, _one),
                )
            case RepeatStep():
                count = step.count
                if not isinstance(count, int):
                    count = _Guarded(count, partial(self._count, step.name))
                return replace(step, count=count, body=self.scope(step.body))
            case UntilStep():
                condition = _Guarded(step.condition, self._is_last)
                return replace(step, condition=condition, body=self.scope(step.body))
            case AnyStep():
                return replace(step, branches=tuple(map(self.scope, step.branches)))
            case SubFlowStep():
                inputs = {name: _guarded(source) for name, source in step.inputs.items()}
                flow = replace(step.flow, scope=self.scope(step.flow.scope))
                return replace(step, inputs=inputs, flow=flow)
            case _:
                assert_never(step)

    def _task(self, step: TaskStep) -> TaskStep:
        spec = replace(
            step.task,
            function=partial(self._visit, step),
            kind=CallKind.SYNC,
            isolation=Isolation.INLINE,
            checkpoint="none",
        )
        bindings = tuple(replace(one, source=_guarded(one.source)) for one in step.bindings)
        bindings += (*_OWN, Binding(SCOPE, Evaluated(_Here())))
        return replace(step, task=spec, bindings=bindings, policy=_without_waiting(step.policy))

    def _switch(self, step: SwitchStep) -> SwitchStep:
        cases = tuple(
            replace(
                case,
                key=_Guarded(case.key) if hasattr(case.key, "evaluate") else case.key,
                body=self.scope(case.body),
            )
            for case in step.cases
        )
        default = None if step.default is None else self.scope(step.default)
        return replace(step, on=_Guarded(step.on), cases=cases, default=default)

    # What loops go on with where what they are over is not known.

    def _items(self, name: str, scope: StepScope, _: Any) -> Any:
        return self._record.items(scope.frame.prefix + name)

    def _count(self, name: str, scope: StepScope, _: Any) -> int:
        return len(self._record.items(scope.frame.prefix + name))

    def _is_last(self, scope: StepScope, _: Any) -> bool:
        """Tell whether an ``until`` went no further than the iteration that ``scope`` is in."""
        loop, key = list(iterations_of(scope.frame.prefix))[-1]
        return str(int(key) + 1) not in self._record.iterations(loop)


def _one(scope: StepScope, missing: Any) -> int:  # noqa: ARG001 - shape of ``Instead``
    return 1


def _guarded(source: Source) -> Source:
    match source:
        case Evaluated(expression):
            return Evaluated(_Guarded(expression))
        case FromResult(node, None):
            return FromResult(node, Constant(Missing(f"{node} gave nothing in this run")))
        case _:
            return source


def _without_waiting(policy: EffectivePolicy) -> EffectivePolicy:
    return dataclasses.replace(policy, retry=EffectiveRetry(), timeout=0.0, total_timeout=0.0)
