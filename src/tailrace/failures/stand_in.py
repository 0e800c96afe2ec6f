"""Exceptions that stand for ones that are only described, so that rules can be tried out."""

from __future__ import annotations

import builtins
import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from tailrace.errors import DefinitionError
from tailrace.failures.types import TYPES
from tailrace.failures.waiting import read_wish

_NOT_IMPORTED = frozenset({"antigravity", "this"})
"""Modules of Python that do something when they are imported."""


def stand_in(
    type_name: str | None,
    *,
    status: int | None,
    errno: int | None,
    message: str,
    wish: float | str | None,
) -> BaseException:
    """Return an exception with these properties.

    Raises:
        DefinitionError: one of them cannot be what it is (TR321).
    """
    kind: type[BaseException] = OSError if errno is not None else Exception
    if type_name is not None:
        kind = _type_named(type_name.strip(), kind)
    if kind is OSError and errno is not None:
        kind = type(OSError(errno, message))
    error: Any = _instance(kind, message or (os.strerror(errno) if errno is not None else ""))
    if errno is not None and isinstance(error, OSError):
        error.errno = errno
    if status is not None:
        _demand_status(status)
        error.response = SimpleNamespace(status_code=status)
    if wish is not None:
        error.retry_after = _read(wish)
    return cast("BaseException", error)


def _instance(kind: type[BaseException], message: str) -> Any:
    """Return an exception of a type, made without its constructor, with that text."""
    same = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    texts = {**same, "__init__": _do_nothing, "__str__": lambda _: message}
    if issubclass(kind, BaseExceptionGroup):
        return type(kind.__name__, (kind,), texts)(message, [Exception(message)])
    for base in kind.__mro__:  # a type of another language may be made by its constructor only
        made: Any = type(kind.__name__, (base,), texts)
        with suppress(TypeError):
            return made.__new__(made)
    raise AssertionError(f"{kind} is no exception")


def _do_nothing(*_: object) -> None:
    """Stand where a constructor was."""


def _type_named(name: str, default: type[BaseException]) -> type[BaseException]:
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise _refusal(
            f"{name!r} is no name of a type", "Write it as in ValueError or httpx.ReadTimeout."
        )
    name = name.removeprefix("builtins.")
    found = _loaded(name) or _loaded(_listed(name))
    if found is not None:
        return found
    module, _, plain = _listed(name).rpartition(".")
    return type(plain, (default,), {"__module__": module or "__main__", "__qualname__": plain})


def _listed(name: str) -> str:
    """Return the qualified name of the one listed type with a plain name, else the name."""
    full = [listed for listed in TYPES if listed.endswith(f".{name}")]
    return full[0] if len(full) == 1 and name not in TYPES else name


def _loaded(name: str) -> type[BaseException] | None:
    module, _, path = name.rpartition(".")
    while True:
        found = _look(module or builtins.__name__, path)
        if found is not None or not module:
            return found
        module, _, inner = module.rpartition(".")
        path = f"{inner}.{path}"


def _look(module: str, path: str) -> type[BaseException] | None:
    top = module.partition(".")[0]
    if module not in sys.modules and top in sys.stdlib_module_names and top not in _NOT_IMPORTED:
        from importlib import import_module  # noqa: PLC0415 - only for dry runs

        try:
            import_module(module)
        except Exception:  # noqa: BLE001 - then it is not known
            return None
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _demand_status(status: object) -> None:
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status < 600:
        raise _refusal(f"{status!r} is no HTTP status", "Give a number from 100 to 599.")


def _read(wish: float | str) -> float:
    seconds = read_wish(wish)
    if seconds is None:
        raise _refusal(
            f"{wish!r} is neither seconds nor a date",
            "Write it as the header does: 12, or Wed, 21 Oct 2026 07:28:00 GMT.",
        )
    return seconds


def _refusal(problem: str, hint: str) -> DefinitionError:
    return DefinitionError(f"the failure cannot be classified: {problem}", code="TR321", hint=hint)
