"""Task objects known by their shape: Tailrace's own, ``pyoco``'s, and objects with ``run``.

``pyoco`` is never imported: who has its objects has imported it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.model import OnError, Policy, Retry, TaskNode, TaskSpec

_RETRIED = ("transient", "permanent", "unknown", "timeout")
"""A ``pyoco`` task with retries is tried again whatever it raised, 0.1 s later."""


class TaskObject(Struct, frozen=True, kw_only=True):
    """What a task object of another kind says about itself."""

    function: Callable[..., Any]
    name: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    policy: Policy | None = None


def own_node(candidate: Any) -> TaskSpec | None:
    """Return the specification of a Tailrace task with what its copies added, else None."""
    node = None if isinstance(candidate, type) else getattr(candidate, "node", None)
    if not isinstance(node, TaskNode):
        return None
    return replace(
        node.task,
        name=node.name,
        inputs={**node.task.inputs, **node.inputs},
        outputs=node.outputs or node.task.outputs,
        policy=node.policy if node.policy is not None else node.task.policy,
    )


def task_object(candidate: Any) -> TaskObject | None:
    """Return what a task object of ``pyoco``, or an object or class with ``run``, stands for.

    Raises:
        DefinitionError: the class cannot be made without arguments.
    """
    if isinstance(candidate, partial):
        return None
    found = _pyoco_task(candidate)
    if found is not None:
        return found
    if not callable(getattr(candidate, "run", None)):
        return None
    if isinstance(candidate, type):
        return _runner(_made(candidate), candidate.__name__)
    return None if callable(candidate) else _runner(candidate, type(candidate).__name__)


def _pyoco_task(candidate: Any) -> TaskObject | None:
    if isinstance(candidate, type):
        return None
    task = getattr(candidate, "task", candidate)
    function, name = getattr(task, "func", None), getattr(task, "name", None)
    inputs, outputs = getattr(task, "inputs", None), getattr(task, "outputs", None)
    if not (callable(function) and isinstance(name, str) and isinstance(inputs, Mapping)):
        return None
    return TaskObject(
        function=function,
        name=name,
        inputs=dict(inputs),
        outputs=tuple(outputs or ()),
        policy=_policy(task),
    )


def _policy(task: Any) -> Policy | None:
    """Return the policy that the fields of a ``pyoco`` task mean; None for its defaults."""
    given: dict[str, Any] = {}
    if retries := getattr(task, "retries", 0):
        given["retry"] = Retry(max_attempts=retries, delay=0.1, on=list(_RETRIED))
    if timeout := getattr(task, "timeout_sec", None):
        given["timeout"] = timeout
    if getattr(task, "fail_policy", "stop") == "isolate":
        given["on_error"] = OnError(action="isolate")
    return Policy(**given) if given else None


def _made(kind: type) -> Any:
    try:
        return kind()
    except Exception as error:
        raise DefinitionError(
            f"the task class {kind.__qualname__} cannot be made without arguments: {error}",
            code="TR164",
            hint="Give its __init__ defaults, or name an object of the class instead.",
        ) from error


def _runner(instance: Any, name: str) -> TaskObject:
    """Return the ``run`` method of an object; ``pyoco`` leaves one with ``@task`` unbound."""
    run = instance.run
    wrapped = _pyoco_task(run)
    if wrapped is not None:
        return replace(wrapped, function=MethodType(wrapped.function, instance), name=name)
    own = own_node(run)
    if own is not None:
        return TaskObject(
            function=own.function,
            name=name,
            inputs=own.inputs,
            outputs=own.outputs,
            policy=own.policy,
        )
    return TaskObject(function=run, name=name)
