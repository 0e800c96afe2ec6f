"""Waiting for one future under a deadline and a cancel scope."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from tailrace.engine.cancel import CancelScope


class Woken(Enum):
    """Why a wait ended."""

    DONE = "done"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


async def wait_for(
    future: asyncio.Future[Any] | None, *, timeout: float | None, cancel: CancelScope
) -> Woken:
    """Wait until the future is done, ``timeout`` seconds are over, or ``cancel`` is requested.

    The future is never cancelled here. Without a future this is a sleep that can be cancelled.
    """
    if future is not None and future.done():
        return Woken.DONE
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    if future is not None:
        future.add_done_callback(wake)
    timer = None if timeout is None else loop.call_later(max(0.0, timeout), wake)
    cancel.on_cancel(wake)
    try:
        await waiter
    finally:
        cancel.forget(wake)
        if timer is not None:
            timer.cancel()
        if future is not None:
            future.remove_done_callback(wake)
    if future is not None and future.done():
        return Woken.DONE
    return Woken.CANCELLED if cancel.requested else Woken.TIMEOUT
