"""Actions: how a callable is named, and how another process can find it again."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from tailrace.codecs.plain import encode_plain
from tailrace.errors import DefinitionError
from tailrace.events.clean import clean

_MAIN = "__main__"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A callable without arguments, and what is known of it."""

    call: Callable[[], Any]
    name: str
    """Of the innermost function, or of the class of a callable object."""
    task_ref: str = ""
    """``module:function``; empty when another process cannot find it."""
    payload: Any = None
    """``{"args": […], "kwargs": {…}}``; None when there is no ``task_ref``."""
    home: str = ""
    """Folder from which the module can be imported; of a script's own function the script."""
    is_async: bool = False
    """True when calling it gives a coroutine."""

    @property
    def is_repeatable(self) -> bool:
        """True when another process can run it."""
        return bool(self.task_ref)


def describe_action(call: Callable[[], Any]) -> Action:
    """Return an action for any callable. Never raises.

    A function of a module, alone or in a ``partial`` of values that JSON holds exactly, can be run
    again by another process. Lambdas, local functions, bound methods and callable objects cannot:
    what they hold is in this process only. Neither can arguments that hold a secret.
    """
    function, args, kwargs = _taken_apart(call)
    payload = {"args": args, "kwargs": kwargs}
    task_ref = _reference(function)
    if task_ref and not _is_kept_exactly(payload):
        task_ref = ""
    return Action(
        call=call,
        name=name_of(call),
        task_ref=task_ref,
        payload=payload if task_ref else None,
        home=_home(task_ref.partition(":")[0]) if task_ref else "",
        is_async=is_async(call),
    )


def name_of(call: object) -> str:
    """Return the name under which a callable is recorded."""
    while isinstance(call, partial):
        call = call.func
    name = getattr(call, "__name__", None)
    return name if isinstance(name, str) else type(call).__name__


def is_async(call: object) -> bool:
    """Return whether calling it gives a coroutine."""
    while isinstance(call, partial):
        call = call.func
    if inspect.iscoroutinefunction(call):
        return True
    return not inspect.isroutine(call) and inspect.iscoroutinefunction(
        getattr(type(call), "__call__", None)  # noqa: B004 - the function itself is asked for
    )


def find_action(task_ref: str, payload: Any, home: str = "") -> Action:
    """Return the action that a reference and its payload stand for.

    Args:
        task_ref: ``module:function``; the module is imported.
        payload: ``{"args": […], "kwargs": {…}}``, each optional; None: no arguments.
        home: as ``describe_action`` found it; where the module is looked for that is found
            nowhere else.

    Raises:
        DefinitionError: TR335, there is no such function, or the payload has another shape.
    """
    module, _, path = task_ref.partition(":")
    if not module or not path:
        raise _missing(task_ref, "it names no function of a module")
    if module == _MAIN and home and home != _home(_MAIN):
        raise _missing(task_ref, f"it is a function of {home}, which is not this program")
    try:
        function: Any = _imported(module, home)
        for part in path.split("."):
            function = getattr(function, part)
    except Exception as error:  # a module of the user's may raise anything when imported
        raise _missing(task_ref, f"{type(error).__name__}: {error}") from error
    if not callable(function):
        raise _missing(task_ref, f"it is a {type(function).__name__}, which cannot be called")
    args, kwargs = _arguments(task_ref, payload)
    function = _undecorated(function)
    call = partial(function, *args, **kwargs) if args or kwargs else function
    return Action(
        call=call,
        name=name_of(function),
        task_ref=task_ref,
        payload={"args": list(args), "kwargs": dict(kwargs)},
        home=home,
        is_async=is_async(function),
    )


def _undecorated(function: Any) -> Any:
    """Return the function under ``@stream.resilient``: its retries are those of the work."""
    return getattr(function, "__resilient__", function)


def _arguments(task_ref: str, payload: Any) -> tuple[list[Any], dict[str, Any]]:
    found = {} if payload is None else payload
    if isinstance(found, dict):
        args, kwargs = found.get("args", []), found.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict) and found.keys() <= _PARTS:
            return args, kwargs
    raise DefinitionError(
        f"the payload of {task_ref} is {found!r}",
        code="TR335",
        hint='it must be {"args": [...], "kwargs": {...}}, each of them optional',
    )


_PARTS = {"args", "kwargs"}


def _missing(task_ref: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"the action {task_ref or '(unnamed)'} cannot be found: {why}",
        code="TR335",
        hint="name a function at the top level of a module that this program can import",
        details={"task_ref": task_ref},
    )


def _taken_apart(call: object) -> tuple[object, list[Any], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    while isinstance(call, partial):
        args = [*call.args, *args]
        kwargs = {**call.keywords, **kwargs}
        call = call.func
    return call, args, kwargs


def _reference(function: object) -> str:
    module = getattr(function, "__module__", None)
    path = getattr(function, "__qualname__", None)
    if not inspect.isfunction(function) or not isinstance(module, str) or not path:
        return ""
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return f"{module}:{path}" if found is not None and _undecorated(found) is function else ""


def _is_kept_exactly(payload: Any) -> bool:
    return encode_plain(payload) is not None and not clean(payload).flags


def _home(module: str) -> str:
    """Return the folder from which a module was imported; of the program itself its file."""
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    if module == _MAIN:
        return str(Path(file).resolve()) if file else ""
    folders = [str(folder) for folder in getattr(top, "__path__", ())] or ([file] if file else [])
    return str(Path(folders[0]).resolve().parent) if folders else ""


def _imported(module: str, home: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] or not home or home in sys.path:
            raise
    sys.path.append(home)
    return import_module(module)
