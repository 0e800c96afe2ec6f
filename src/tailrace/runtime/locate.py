"""Where a flow can be loaded from again."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from tailrace.model import FlowPlan
from tailrace.runtime.fingerprint import steps_of

_PROGRAM = "__main__"


def locate(flow: object, plan: FlowPlan) -> str:
    """Return what ``tailrace run`` would take to load a flow: a file, ``file.py:name``, a module.

    Empty when no module holds the flow under a name. The module that made it and those of its tasks
    go before the program that runs it: to load a program is to run it once more.
    """
    if plan.source and Path(plan.source).is_file():
        return str(Path(plan.source).resolve())
    names = dict.fromkeys(
        getattr(step.task.function, "__module__", "") for _, step in steps_of(plan.scope)
    )
    names[getattr(flow, "home", "")] = None
    names.pop(_PROGRAM, None)
    for name in (*names, _PROGRAM):
        module = sys.modules.get(name or "")
        attribute = None if module is None else _name_in(module, flow)
        if module is not None and attribute is not None:
            return _target(module, attribute)
    return ""


def _name_in(module: ModuleType, flow: object) -> str | None:
    return next((name for name, value in vars(module).items() if value is flow), None)


def _target(module: ModuleType, attribute: str) -> str:
    file = getattr(module, "__file__", None)
    if module.__name__ != _PROGRAM and "." in module.__name__:
        return f"{module.__name__}:{attribute}"
    if file is None or not Path(file).is_file():  # standard input has a name, but is no file
        return ""
    return f"{Path(file).resolve()}:{attribute}"
