"""Classes by name: what a checkpoint says of a user's class, and how that is found again."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import PurePath
from types import ModuleType
from typing import Any

from tailrace.codecs.types import NotThisValue

_SCRIPTS = frozenset({"__main__", "__mp_main__"})


def name_of(kind: type) -> str:
    """Return ``module:qualname``; a script's module is the one that its file can be imported as.

    Raises:
        NotThisValue: the class cannot be found under its name.
    """
    if "<locals>" in kind.__qualname__:
        raise NotThisValue("which is defined inside a function, where nobody finds it again")
    try:
        found = _walk(sys.modules[kind.__module__], kind.__qualname__)
    except (KeyError, AttributeError):
        found = None
    if found is not kind:
        raise NotThisValue("whose name leads to something else")
    module = kind.__module__
    return f"{_stem(sys.modules[module]) if module in _SCRIPTS else module}:{kind.__qualname__}"


def find_class(name: str) -> type:
    """Return the class of a name that ``name_of`` gave.

    Raises:
        ValueError: it is not there, or no class.
    """
    module, _, qualname = name.partition(":")
    try:
        found = _walk(_module(module), qualname)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the class {name} is not there: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"{name} is no class")  # noqa: TRY004 - what was stored is wrong
    return found


def _module(name: str) -> ModuleType:
    """Return a module; the running script stands for the one that its file can be imported as."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    for script in _SCRIPTS:
        main = sys.modules.get(script)
        if main is not None and _stem(main) == name:
            return main
    return import_module(name)


def _stem(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return PurePath(file).stem if file else module.__name__


def _walk(found: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
