"""Names of modules and types that are the same however a program was started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

_MAIN = frozenset({"__main__", "__mp_main__"})


def module_name(names: Mapping[str, Any], file: str = "") -> str:
    """Return the name of a module; a script's is the name of its file, as if it were imported.

    Args:
        names: the module's own: its globals.
        file: where its code lies; empty: as the module says.
    """
    name = names.get("__name__")
    if name in _MAIN:
        name = _script_name(names, file) or name
    return encodable(name) if type(name) is str else ""


def _script_name(names: Mapping[str, Any], file: str) -> str:
    spec = getattr(names.get("__spec__"), "name", None)
    if isinstance(spec, str) and spec not in _MAIN:
        return spec.removesuffix(".__main__")
    path = file or names.get("__file__")
    if not isinstance(path, str) or path.startswith("<"):
        return ""
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 - pathlib takes 10 ms


def qualified_name(kind: type) -> str:
    """Return the qualified name of a type; builtins without ``builtins.``. Never raises."""
    module = _text(kind, "__module__")
    name = _text(kind, "__qualname__") or "Exception"
    if module in _MAIN and module in sys.modules:
        module = module_name(vars(sys.modules[module])) or module
    return name if module in ("builtins", "") else f"{module}.{name}"


def _text(kind: type, name: str) -> str:
    try:
        value = type.__getattribute__(kind, name)
    except Exception:  # noqa: BLE001 - what stands there may raise anything
        return ""
    return encodable(value) if type(value) is str else ""


def encodable(text: str) -> str:
    """Return the text as a plain ``str`` that UTF-8 can hold."""
    if text.isascii():
        return text if type(text) is str else "".join(text)
    return text.encode("utf-8", "backslashreplace").decode()
