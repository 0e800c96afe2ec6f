"""Packages that some sinks need and Tailrace does not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from tailrace.errors import SettingsError


def load_extra(module: str, package: str, sink: str) -> ModuleType:
    """Import and return a module.

    Raises:
        SettingsError: it is not installed (TR331); the message names the package.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"{sink} needs {package}, which cannot be imported: {error}",
            code="TR331",
            hint=f"pip install {package}",
            details={"package": package, "sink": sink},
        ) from error
