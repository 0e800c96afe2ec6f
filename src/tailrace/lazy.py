"""Names of a package that are loaded when first used (PEP 562).

A command imports what it names and nothing else: whoever asks for help, lists traces or pauses a
batch must not wait for the engine. A package states its names three times on purpose: under
``TYPE_CHECKING`` for checkers and editors, in ``__all__`` for readers, and in the table given here,
which is all that runs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: each name with the module that defines it, as a path below ``package``.

    The first use of a name imports its module and keeps the value in the package, so a second use
    costs what any attribute costs. ``__getattr__`` raises AttributeError for a name without a home.
    Bind both under ``if not TYPE_CHECKING``, or a checker takes every name for one that exists.
    """
    names = vars(sys.modules[package])

    def load(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = names[name] = getattr(import_module(f"{package}.{home}"), name)
        return value

    def listing() -> list[str]:
        return sorted({*names, *homes})

    return load, listing
