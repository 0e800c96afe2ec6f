"""The event loop of processes that talk to NATS."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the faster event loop where it is installed; None: Python's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
