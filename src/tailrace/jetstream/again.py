"""Asking again until NATS answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tailrace.jetstream.answers import Unreachable

T = TypeVar("T")
_FIRST = 0.05
_MOST = 1.0


async def persist(call: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
    """Return what a call gives, which is made again for as long as NATS cannot be reached.

    For calls that may be repeated: submissions, writes of states and batches, letters, reads.

    Args:
        call: makes the call once.
        seconds: the longest time; None: for ever.

    Raises:
        Unreachable: not in that time.
    """
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    pause = _FIRST
    while True:
        try:
            return await call()
        except Unreachable:
            if end is not None and loop.time() + pause > end:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _MOST)
