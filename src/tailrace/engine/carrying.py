"""Threads, pools and programs that a task starts by itself are part of its attempt, too.

Python gives a new thread an empty context, and a program the environment of the whole process. So
the starting of both is wrapped, once per process; outside of tasks that changes nothing. Only our
own context variables go along, and the spans of OpenTelemetry: those of others stay as Python has
them.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import thread as pools
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any

from tailrace.tracing.bridge import BRIDGE

_OURS = "tailrace-"
"""Threads of the program's own begin with this: they serve many attempts."""
_ENV = tuple(signature(subprocess.Popen).parameters).index("env")
Environment = Callable[[], Mapping[str, str] | None]
"""Returns what a program started here finds in its environment; None: no attempt runs here."""


class _Sources:
    variables: tuple[ContextVar[Any], ...] = ()
    environments: tuple[Environment, ...] = ()


def carry(environment: Environment, *variables: ContextVar[Any]) -> None:
    """Carry the variables into threads and pools, and the environment into programs.

    The first variable says whether an attempt runs here: None means none does.
    """
    if environment in _Sources.environments:
        return
    is_first = not _Sources.environments
    _Sources.environments = (environment, *_Sources.environments)
    _Sources.variables = (*_Sources.variables, *variables)
    if is_first:
        _wrap()


class _Carried:
    """Calls a function as part of the attempt that it was made in."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._values = [(variable, variable.get(None)) for variable in _Sources.variables]
        self._attached = None if BRIDGE.attached is None else BRIDGE.attached()

    def __call__(self, *args: Any, **options: Any) -> Any:
        tokens = [(variable, variable.set(value)) for variable, value in self._values]
        bridge = BRIDGE.context if self._attached else None
        attached = None if bridge is None else bridge.attach(self._attached)  # type: ignore[arg-type]  # not empty
        try:
            return self._function(*args, **options)
        finally:
            if bridge is not None and attached is not None:
                bridge.detach(attached)
            for variable, token in tokens:
                variable.reset(token)


def _is_inside() -> bool:
    return any(variable.get(None) is not None for variable in _Sources.variables)


def _wrap() -> None:
    thread: Any = threading.Thread
    pool: Any = pools.ThreadPoolExecutor
    popen: Any = subprocess.Popen
    start, submit, opened = thread.start, pool.submit, popen.__init__

    @wraps(start)
    def start_inside(self: threading.Thread) -> None:
        if _is_inside() and not self.name.startswith(_OURS) and not _is_of_pool(self):
            self.run = _Carried(self.run)  # type: ignore[method-assign]  # as a subclass would
        start(self)

    @wraps(submit)
    def submit_inside(
        self: pools.ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **options: Any
    ) -> Any:
        return submit(self, _Carried(fn) if _is_inside() else fn, *args, **options)

    @wraps(opened)
    def open_inside(self: Any, *args: Any, **options: Any) -> None:
        if len(args) <= _ENV and options.get("env") is None:
            for environment in _Sources.environments:
                found = environment()
                if found is not None:
                    options["env"] = {**os.environ, **found}
                    break
        opened(self, *args, **options)

    thread.start, pool.submit, popen.__init__ = start_inside, submit_inside, open_inside


def _is_of_pool(thread: threading.Thread) -> bool:
    """Tell whether it will serve whoever submits to a pool."""
    return getattr(thread, "_target", None) is pools._worker  # noqa: SLF001 - there is no other sign of it
