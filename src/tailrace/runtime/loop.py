"""Running a coroutine to its end from synchronous code, whoever is calling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine on an event loop of its own and return its result.

    Inside a running loop (a notebook, an async program) this happens in another thread, and the
    caller's loop stands still until it is over.
    """
    return _run_in_thread(coroutine) if _is_inside_a_loop() else _run(coroutine)


def _is_inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine())
    finally:
        try:
            _stop_leftovers(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def _stop_leftovers(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what user code left running; what ignores that is left behind, silently."""
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks, timeout=0.1))
    for task in tasks:
        if not task.done():
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - said in the trace


def _run_in_thread(coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []
    context = copy_context()

    def body() -> None:
        try:
            outcome.append(context.run(_run, coroutine))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name="tailrace-run")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
