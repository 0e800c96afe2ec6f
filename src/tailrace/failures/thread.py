"""Which thread, and which asyncio task, code runs in."""

from __future__ import annotations

import sys
from threading import current_thread


def thread_name() -> str:
    """Return the name of this thread, and ``/`` and that of the asyncio task where one runs."""
    name = current_thread().name
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - the public one raises where there is none, at twenty times the cost
    task = None if loop is None else asyncio.current_task(loop)  # type: ignore[union-attr]  # there is a loop
    return name if task is None else f"{name}/{task.get_name()}"
