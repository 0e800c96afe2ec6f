"""Any Python callable as a task specification."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from msgspec.structs import replace

from tailrace.errors import DefinitionError
from tailrace.flows.discovery.foreign import own_node, task_object
from tailrace.model import CallKind, TaskSpec


def make_spec(
    function: Any,
    *,
    name: str | None = None,
    origin: str = "python",
) -> TaskSpec:
    """Return the specification of a task.

    Functions, methods, builtins, lambdas, partials, callable objects and classes are taken; so are
    task objects of Tailrace and ``pyoco``, and classes and objects with a ``run`` method.

    Args:
        function: what runs the task.
        name: public name; the function's own when left out.
        origin: ``python``, ``yaml``, or ``plugin:<distribution>``.

    Raises:
        DefinitionError: it cannot be called, or its class cannot be made without arguments.
    """
    own = own_node(function)
    if own is not None:
        return replace(own, name=name or own.name, origin=origin)
    found = task_object(function)
    if found is not None:
        return replace(
            _plain_spec(found.function, found.name, origin),
            name=name or found.name or _name(found.function),
            inputs=found.inputs,
            outputs=found.outputs,
            policy=found.policy,
        )
    if not callable(function):
        raise DefinitionError(
            f"{name or 'the task'} is {_article(type(function).__qualname__)}, "
            "which cannot be called",
            code="TR164",
            hint="Name a function, or an object with a __call__ or run method.",
        )
    return _plain_spec(function, name, origin)


def _plain_spec(function: Callable[..., Any], name: str | None, origin: str) -> TaskSpec:
    return TaskSpec(
        name=name or _name(function),
        function=function,
        reference=reference_of(function),
        kind=call_kind(function),
        doc=_doc(function),
        origin=origin,
    )


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def call_kind(function: Callable[..., Any]) -> CallKind:
    """Return how a callable is run; partials, methods and ``__call__`` are looked through."""
    inner = _inner(function)
    if not isinstance(inner, type | FunctionType | MethodType | BuiltinFunctionType):
        inner = _inner(type(inner).__call__)
    if inspect.isasyncgenfunction(inner):
        return CallKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(inner):
        return CallKind.GENERATOR
    if inspect.iscoroutinefunction(inner):
        return CallKind.ASYNC
    return CallKind.SYNC


def _inner(function: Any) -> Any:
    """Return the function behind partials and static methods."""
    while isinstance(function, partial | staticmethod):
        function = function.func if isinstance(function, partial) else function.__func__
    return function


def reference_of(function: Callable[..., Any]) -> str:
    """Return ``module:qualname`` for what can be imported, else a description in ``<>``.

    It holds no file name and no line, so that it is equal wherever the code lies.
    """
    if isinstance(function, partial):
        return f"<partial {reference_of(function.func).strip('<>')}>"
    if isinstance(function, staticmethod):
        return reference_of(function.__func__)
    owner = getattr(function, "__self__", None)
    if isinstance(function, MethodType) and not isinstance(owner, type):
        return f"<method {reference_of(function.__func__).strip('<>')}>"
    module = getattr(function, "__module__", None) or getattr(type(owner), "__module__", "builtins")
    qualname = getattr(function, "__qualname__", None)
    if qualname is None:
        kind = type(function)
        return f"<{kind.__module__}:{kind.__qualname__} object>"
    if "<lambda>" in qualname:
        return f"<lambda {module}>"
    if "<locals>" in qualname:
        return f"<function {module}:{qualname.replace('<locals>.', '')}>"
    return f"{module}:{qualname}"


def _name(function: Any) -> str:
    inner = _inner(function)
    name = getattr(inner, "__name__", None) or type(inner).__name__
    return "lambda" if name == "<lambda>" else str(name)


def _doc(function: Any) -> str:
    """Return the docstring of the task itself; an object's class speaks for the object."""
    return inspect.cleandoc(getattr(_inner(function), "__doc__", None) or "")
