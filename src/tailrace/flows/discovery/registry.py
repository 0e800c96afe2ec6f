"""What a plug-in's hook is given: the same methods as in the ``pyoco`` package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.discovery.callables import make_spec
from tailrace.flows.discovery.describe import Declared, ParameterInfo
from tailrace.model import TaskSpec


class RegisteredTask(Struct, kw_only=True):
    """A callable as a plug-in registered it; the hook may still change it."""

    func: Callable[..., Any]
    name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


class Registry:
    """Takes the tasks of one plug-in."""

    def __init__(self, provider_name: str) -> None:
        self.provider_name = provider_name
        self.declared: dict[str, Declared] = {}
        self._tasks: list[tuple[Any, str | None]] = []

    def register_callable(
        self,
        func: Callable[..., Any],
        *,
        name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
    ) -> RegisteredTask:
        """Register a callable under its own name or another."""
        task = RegisteredTask(
            func=func,
            name=name or str(getattr(func, "__name__", f"{self.provider_name}_task")),
            inputs=dict(inputs or {}),
            outputs=list(outputs or ()),
        )
        self._tasks.append((task, None))
        return task

    def task(
        self,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
    ) -> Any:
        """Register a function; bare, or as a decorator with arguments."""

        def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
            self.register_callable(inner, name=name, inputs=inputs, outputs=outputs)
            return inner

        return decorate if func is None else decorate(func)

    def task_class(self, task_cls: type, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Make an object of a task class and register it; the object is returned.

        Raises:
            TypeError: it is no class.
        """
        if not isinstance(task_cls, type):
            raise TypeError(f"task_class needs a class, not {task_cls!r}")
        task = task_cls(*args, **kwargs)
        self._tasks.append((task, name))
        return task

    def add(self, obj: Any, *, name: str | None = None) -> None:
        """Register anything that can be a task.

        Raises:
            DefinitionError: it cannot.
        """
        make_spec(obj, name=name)
        self._tasks.append((obj, name))

    def task_info(
        self,
        *,
        name: str | None = None,
        summary: str | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        usage: str | None = None,
        tags: Sequence[str] | None = None,
        origin: str | None = None,
    ) -> None:
        """Declare what a task does; inputs and outputs have ``name``, ``type`` and ``required``.

        Raises:
            DefinitionError: something is missing.
        """
        given = {"name": name, "summary": summary, "inputs": inputs, "outputs": outputs}
        missing = [field for field in ("name", "summary") if not given[field]]
        missing += [field for field in ("inputs", "outputs") if given[field] is None]
        if missing:
            raise _incomplete(name, missing)
        for item in outputs or ():
            _parameter(item, name, "outputs")
        self.declared[str(name)] = Declared(
            summary=str(summary),
            inputs=tuple(_parameter(item, name, "inputs") for item in inputs or ()),
            usage=usage or "",
            origin=origin or "",
            tags=tuple(tags or ()),
        )

    def specs(self, origin: str) -> list[TaskSpec]:
        """Return what was registered, as it is now.

        Raises:
            DefinitionError: one of them cannot be a task.
        """
        return [_spec(task, name, origin) for task, name in self._tasks]


def _spec(task: Any, name: str | None, origin: str) -> TaskSpec:
    if not isinstance(task, RegisteredTask):
        return make_spec(task, name=name, origin=origin)
    spec = make_spec(task.func, name=task.name, origin=origin)
    return replace(
        spec,
        inputs={**spec.inputs, **task.inputs},
        outputs=(*spec.outputs, *task.outputs),
    )


def _incomplete(name: str | None, missing: Sequence[str]) -> DefinitionError:
    return DefinitionError(
        f"task_info of {name or 'a task without a name'} lacks {', '.join(missing)}",
        code="TR167",
        hint="Give name, summary, inputs and outputs; lists may be empty.",
    )


def _parameter(item: Any, task: str | None, field: str) -> ParameterInfo:
    fields = ("name", "type", "required", "constraints")
    if not isinstance(item, Mapping):
        item = {field: getattr(item, field, None) for field in fields}
    name, kind, required, constraints = (item.get(field) for field in fields)
    if not name or not kind or required is None:
        raise _incomplete(task, [f"name, type or required of an item of {field}"])
    return ParameterInfo(
        name=str(name), type=str(kind), required=bool(required), doc="; ".join(constraints or ())
    )
