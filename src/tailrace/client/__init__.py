"""A Tailrace server from Python: ``Client``, and ``AsyncClient`` for asyncio.

::

    from tailrace.client import Client

    with Client() as client:
        run = client.run("nightly", {"region": "tokyo"}).raise_for_status()
        print(run.output)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tailrace.client.shapes import (
    Page,
    Run,
    RunEvent,
    Submitted,
    TaskRecord,
    Tasks,
    Worker,
)

if TYPE_CHECKING:
    from tailrace.client.aio import AsyncClient
    from tailrace.client.sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Page",
    "Run",
    "RunEvent",
    "Submitted",
    "TaskRecord",
    "Tasks",
    "Worker",
]


def __getattr__(name: str) -> Any:
    """Load a client when it is asked for: it needs the extra ``tailrace[client]``."""
    modules = {"Client": "sync", "AsyncClient": "aio"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"tailrace.client.{modules[name]}")
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise ImportError(f"{name} needs httpx: pip install 'tailrace[client]'") from error
    return getattr(module, name)
