"""Giving inputs of single nodes other values than the flow says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, assert_never

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.findings import listed, meant
from tailrace.flows.signature import read_signature
from tailrace.model import (
    AnyKindOfStep,
    AnyStep,
    Binding,
    Constant,
    FlowPlan,
    ForEachStep,
    RepeatStep,
    ScopePlan,
    SubFlowStep,
    SwitchStep,
    TaskStep,
    UntilStep,
)
from tailrace.runtime.fingerprint import inner_prefix, steps_of

Alterations = Mapping[str, Mapping[str, Any]]
"""Values by static path of a node, then by the name of an input."""


def alter(plan: FlowPlan, changes: Alterations) -> FlowPlan:
    """Return the plan with these inputs bound to these very values.

    Inside a loop all iterations get them. The plan that is given stays as it is.

    Raises:
        DefinitionError: there is no such node or input; the message names the nearest (TR313).
    """
    _demand_shape(changes)
    if not changes:
        return plan
    steps = dict(steps_of(plan.scope))
    for path, values in changes.items():
        if path not in steps:
            raise _unknown(f"the flow has no node {path!r}", path, steps)
        _demand_inputs(path, steps[path], values)
    return replace(plan, scope=_scope(plan.scope, "", changes))


def applicable(plan: FlowPlan, changes: Alterations) -> dict[str, dict[str, Any]]:
    """Return those of the changes that the plan still has a node and an input for."""
    if not changes:
        return {}
    steps = dict(steps_of(plan.scope))
    kept = {
        path: {name: value for name, value in values.items() if _takes(steps[path], name)}
        for path, values in changes.items()
        if path in steps
    }
    return {path: values for path, values in kept.items() if values}


def merged(old: Alterations, new: Alterations) -> dict[str, dict[str, Any]]:
    """Return both, the new ones where they meet."""
    paths = dict.fromkeys((*old, *new))
    return {path: {**old.get(path, {}), **new.get(path, {})} for path in paths}


def _demand_shape(changes: Any) -> None:
    """Refuse what a program wrote that is not values by input, by node."""
    if not isinstance(changes, Mapping):
        raise _misshapen(f"changes are {type(changes).__name__}")
    for path, values in changes.items():
        if not isinstance(values, Mapping):
            raise _misshapen(f"the changes of node {path!r} are {type(values).__name__}")


def _misshapen(message: str) -> DefinitionError:
    return DefinitionError(
        f"{message}, not a mapping", code="TR313", hint='write changes={"node": {"input": value}}'
    )


def _demand_inputs(path: str, step: TaskStep, names: Collection[str]) -> None:
    for name in names:
        if not _takes(step, name):
            known = _inputs(step)
            raise _unknown(f"node {path!r} has no input {name!r}", name, known)


def _takes(step: TaskStep, name: str) -> bool:
    signature = read_signature(step.task.function)
    return name in _inputs(step) or (signature is not None and signature.takes_any)


def _inputs(step: TaskStep) -> list[str]:
    """Return the names of what can be given to a task; the context is given by the engine."""
    signature = read_signature(step.task.function)
    if signature is None:
        return [binding.parameter for binding in step.bindings]
    return [parameter.name for parameter in signature.parameters if not parameter.is_context]


def _unknown(message: str, name: str, known: Collection[str]) -> DefinitionError:
    return DefinitionError(
        f"{message} (known: {listed(known)}){meant(name, known)}",
        code="TR313",
        hint="write NODE.INPUT=JSON, in a loop LOOP.NODE.INPUT=JSON; for a param params.NAME=JSON",
    )


def _scope(scope: ScopePlan, prefix: str, changes: Alterations) -> ScopePlan:
    return replace(scope, steps=tuple(_step(step, prefix, changes) for step in scope.steps))


def _step(step: AnyKindOfStep, prefix: str, changes: Alterations) -> AnyKindOfStep:
    if isinstance(step, TaskStep):
        values = changes.get(prefix + step.name)
        return step if values is None else replace(step, bindings=_bindings(step, values))
    below = inner_prefix(step, prefix)
    if not any(path.startswith(below) for path in changes):
        return step
    return _container(step, lambda scope: _scope(scope, below, changes))


def _container(step: AnyKindOfStep, inner: Callable[[ScopePlan], ScopePlan]) -> AnyKindOfStep:
    match step:
        case ForEachStep() | RepeatStep() | UntilStep():
            return replace(step, body=inner(step.body))
        case SwitchStep():
            cases = tuple(replace(case, body=inner(case.body)) for case in step.cases)
            default = None if step.default is None else inner(step.default)
            return replace(step, cases=cases, default=default)
        case AnyStep():
            return replace(step, branches=tuple(inner(branch) for branch in step.branches))
        case SubFlowStep():
            return replace(step, flow=replace(step.flow, scope=inner(step.flow.scope)))
        case TaskStep():
            return step
        case _:
            assert_never(step)


def _bindings(step: TaskStep, values: Mapping[str, Any]) -> tuple[Binding, ...]:
    """Return a task's bindings with these values; positional-only parameters come first."""
    bound = {binding.parameter: binding for binding in step.bindings}
    for before in _positional_before(step, values):
        bound.setdefault(before.parameter, before)
    for name, value in values.items():
        known = bound.get(name)
        positional = known is not None and known.positional
        bound[name] = Binding(name, Constant(value), positional)
    ordered = sorted(bound.values(), key=lambda binding: not binding.positional)
    return tuple(ordered)


def _positional_before(step: TaskStep, values: Mapping[str, Any]) -> Iterator[Binding]:
    """Yield defaults of the positional-only parameters up to the last one that is given."""
    signature = read_signature(step.task.function)
    parameters = () if signature is None else signature.positional
    last = max((i for i, each in enumerate(parameters) if each.name in values), default=-1)
    for parameter in parameters[: last + 1]:
        yield Binding(parameter.name, Constant(parameter.default), positional=True)
