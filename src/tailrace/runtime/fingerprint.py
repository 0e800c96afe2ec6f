"""A name for what each node of a plan does, so that a resumed run knows what has changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePath
from types import CodeType
from typing import Any, assert_never

import msgspec

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
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def node_fingerprints(plan: FlowPlan) -> dict[str, str]:
    """Return 16 hex digits per task, by its path without loop indices (``each.load``).

    Equal while the task's own code, its inputs and its outputs are. What the code calls does not
    count, nor do policies.
    """
    return {path: _fingerprint(step) for path, step in steps_of(plan.scope)}


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


def _fingerprint(step: TaskStep) -> str:
    parts = [
        _reference(step),
        code_fingerprint(step.task.function),
        *(f"{bound.parameter}={_source(bound.source)}" for bound in step.bindings),
        *step.outputs,
    ]
    return sha256("\x1f".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def _reference(step: TaskStep) -> str:
    """Return the task's reference; a script's is the same as that of the module it can be, too."""
    module, _, name = step.task.reference.partition(":")
    if module in {"__main__", "__mp_main__"}:
        code = code_of(step.task.function)
        module = "" if code is None else PurePath(code.co_filename).stem
    return f"{module}:{name}"


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


def code_fingerprint(function: Callable[..., Any]) -> str:
    """Return 16 hex digits of a function's own code; equal wherever its file and lines are."""
    code = code_of(function)
    return "" if code is None else _of_code(code)


@lru_cache(maxsize=4096)
def _of_code(code: CodeType) -> str:
    digest = sha256(_PYTHON.encode())
    for part in _code_parts(code):
        digest.update(part.encode("utf-8", "backslashreplace"))
        digest.update(b"\x1f")
    return digest.hexdigest()[:_DIGITS]


def code_of(function: Callable[..., Any]) -> CodeType | None:
    """Return the code behind decorators, partials, methods and callable objects."""
    seen: Any = function
    for _ in range(16):
        inner = getattr(seen, "__wrapped__", None) or getattr(seen, "func", None)
        if inner is None:
            break
        seen = inner
    code = getattr(seen, "__code__", None) or getattr(type(seen).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _code_parts(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    yield repr(code.co_varnames)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def changed_nodes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return what is ``changed`` or ``gone`` of the nodes in ``old``, by static path."""
    return {
        path: "changed" if path in new else "gone"
        for path, fingerprint in old.items()
        if new.get(path) != fingerprint
    }
