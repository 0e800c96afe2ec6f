"""A name for what each node of a plan does, so that a resumed run knows what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, assert_never

import msgspec

from tailrace.engine.code import code_fingerprint, task_reference
from tailrace.model import (
    AnyKindOfStep,
    AnyStep,
    Constant,
    Evaluated,
    FlowPlan,
    ForEachStep,
    FromContext,
    FromLoop,
    FromParam,
    FromPayload,
    FromResult,
    RepeatStep,
    ScopePlan,
    Source,
    SubFlowStep,
    SwitchStep,
    TaskStep,
    UntilStep,
)
from tailrace.model.plan import inner_scopes

_DIGITS = 16


def node_fingerprints(plan: FlowPlan) -> dict[str, str]:
    """Return 16 hex digits per task, by its path without loop indices (``each.load``).

    Equal while the task's own code, its inputs, what they come from, and its outputs are. What the
    code calls does not count, nor do policies, nor which params a run was given.
    """
    return dict(_of_scope(plan.scope, "", {}))


def _of_scope(scope: ScopePlan, prefix: str, codes: dict[int, str]) -> Iterator[tuple[str, str]]:
    names = [step.name for step in scope.steps]
    for step in scope.steps:
        if isinstance(step, TaskStep):
            before = [names[index] for index in step.predecessors]
            yield prefix + step.name, _fingerprint(step, before, codes)
        else:
            for inner in inner_scopes(step):
                yield from _of_scope(inner, inner_prefix(step, prefix), codes)


def steps_of(scope: ScopePlan, prefix: str = "") -> Iterator[tuple[str, TaskStep]]:
    """Yield the tasks of a scope, those inside containers included, with their static paths."""
    for step in scope.steps:
        if isinstance(step, TaskStep):
            yield prefix + step.name, step
        else:
            for inner in inner_scopes(step):
                yield from steps_of(inner, inner_prefix(step, prefix))


def inner_prefix(step: AnyKindOfStep, prefix: str) -> str:
    """Return what stands before the static paths of the nodes inside a step."""
    match step:
        case ForEachStep() | RepeatStep() | UntilStep() | SubFlowStep():
            return f"{prefix}{step.name}."
        case SwitchStep() | AnyStep() | TaskStep():
            return prefix
        case _:
            assert_never(step)


def static_path(path: str) -> str:
    """Return a path such as ``each[3].load`` without its loop indices: ``each.load``."""
    if "[" not in path:
        return path
    kept, depth, quoted = [], 0, False
    for index, character in enumerate(path):
        if depth and character == '"' and path[index - 1] != "\\":
            quoted = not quoted
        elif character == "[" and not quoted:
            depth += 1
        elif character == "]" and not quoted:
            depth -= 1
            continue
        if not depth:
            kept.append(character)
    return "".join(kept)


def _fingerprint(step: TaskStep, before: Sequence[str], codes: dict[int, str]) -> str:
    """Return the fingerprint of a task; ``codes`` holds what is known of tasks in many nodes."""
    code = codes.get(id(step.task))
    if code is None:
        code = f"{task_reference(step.task)}\x1f{code_fingerprint(step.task.function)}"
        codes[id(step.task)] = code
    parts = [code]
    for bound in step.bindings:
        source = bound.source
        if isinstance(source, FromParam) and source.name == bound.parameter:
            continue  # bound where the param is given, and to its default where it is not
        parts.append(f"{bound.parameter}={_source(source)}")
        if isinstance(source, FromPayload | Evaluated):
            parts.append(f"of {' '.join(before)}")
    parts += step.outputs
    return sha256("\x1f".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def _source(source: Source) -> str:
    match source:
        case Constant(value):
            return f"constant {_plain(value)}"
        case Evaluated(expression):
            return f"expression {expression.source}"
        case FromContext():
            return "context"
        case FromLoop(name):
            return f"loop {name}"
        case FromParam(name):
            return f"param {name}"
        case FromResult(node, default):
            return f"result {node} {'' if default is None else _plain(default.value)}"
        case FromPayload():
            return "payload"
        case _:
            assert_never(source)


def _plain(value: Any) -> str:
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except Exception:  # noqa: BLE001 - a constant of a Python flow may be anything
        return f"<{type(value).__qualname__}>"


def changed_nodes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return what is ``changed`` or ``gone`` of the nodes in ``old``, by static path."""
    return {
        path: "changed" if path in new else "gone"
        for path, fingerprint in old.items()
        if new.get(path) != fingerprint
    }
