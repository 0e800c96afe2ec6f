"""What a task's result depends on besides its inputs: its code, and what that carries with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from tailrace.model import TaskSpec

_DIGITS = 16
_LAYERS = 16
"""Decorators, partials and methods around a function that are looked through."""
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_SCRIPTS = frozenset({"__main__", "__mp_main__"})


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
    for _ in range(_LAYERS):
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


def task_reference(task: TaskSpec) -> str:
    """Return the task's reference; a script's is the same as that of the module it can be, too."""
    module, _, name = task.reference.partition(":")
    if module in _SCRIPTS:
        code = code_of(task.function)
        module = "" if code is None else PurePath(code.co_filename).stem
    return f"{module}:{name}"


def captured(function: Callable[..., Any], bound: Collection[str]) -> dict[str, Any]:
    """Return what a function carries with it: values that its result may depend on.

    They are variables of the functions around it, defaults of parameters that are not ``bound``,
    and what a method or a partial is bound to. Functions among them stand as their own code and
    what they carry. Globals do not count.
    """
    return dict(_captured(function, frozenset(bound), frozenset()))


def _captured(
    function: Any, bound: frozenset[str], around: frozenset[int]
) -> Iterator[tuple[str, Any]]:
    for layer in range(_LAYERS):
        if isinstance(function, partial):
            carried = [list(function.args), function.keywords]
            yield f"partial {layer}", _shown(carried, around)
            function = function.func
        elif isinstance(function, MethodType):
            yield f"self {layer}", _shown(function.__self__, around)
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    if not isinstance(function, FunctionType):
        if not isinstance(function, BuiltinFunctionType | type):
            yield "self", function
        return
    around |= {id(function)}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, _shown(_content(cell), around)
    for name, default in _defaults(function):
        if name not in bound:
            yield f"{name}=", _shown(default, around)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing has been put into it yet
        return None


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _shown(value: Any, around: frozenset[int]) -> Any:
    """Return a value with what is code in it replaced by data."""
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, type | BuiltinFunctionType):
        return ["name", value.__module__, value.__qualname__]
    is_code = isinstance(value, FunctionType | MethodType | partial)
    if is_code or (callable(value) and hasattr(value, "__wrapped__")):
        if id(value) in around:
            return ["itself"]
        carried = dict(_captured(value, frozenset(), around | {id(value)}))
        return ["function", code_fingerprint(value), carried]
    return value
