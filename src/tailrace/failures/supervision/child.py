"""A child of a supervisor, and one start of it: an asyncio task, or a thread behind one."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct


class Child(Struct, frozen=True):
    """Work that is begun afresh when it crashes, until it ends by itself."""

    name: str
    run: Callable[..., Any]
    """An async function without parameters, which is cancelled when it has to stop; or a plain
    one, which gets a thread of its own and a ``threading.Event`` that is set then."""


async def run_child(child: Child, grace: float) -> None:
    """Run one start of a child to its end, and raise what it raises.

    Cancelled, a thread is asked to stop and abandoned after ``grace`` seconds.
    """
    value = child.run() if _is_async(child.run) else await _in_thread(child, grace)
    if inspect.isawaitable(value):
        await value


def _is_async(run: Callable[..., Any]) -> bool:
    call = getattr(run, "__call__", None)  # noqa: B004 - an object may have an async __call__
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(call)


async def _in_thread(child: Child, grace: float) -> Any:
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def work() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = (child.run(stop), None)
        except BaseException as error:  # noqa: BLE001 - raised again where the child is awaited
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop is closed: the thread had been abandoned
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, name=child.name, daemon=True).start()
    try:
        value, error = await asyncio.shield(ended)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([ended], timeout=grace)
        if not ended.done() or ended.result()[1] is None:
            raise
        value, error = ended.result()
    if error is not None:
        raise error
    return value
