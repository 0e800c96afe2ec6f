"""Commands that speak to NATS itself, without a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.jetstream.link import Link
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import ensure
from tailrace.settings import NatsSettings

T = TypeVar("T")


async def with_registry(
    settings: NatsSettings,
    act: Callable[[JetStreamRegistry], Awaitable[T]],
    *,
    wait: float = 2.0,
    prepares: bool = False,
) -> T:
    """Return what ``act`` gives, over a connection of its own.

    Args:
        settings: where NATS is.
        act: what is to be done.
        wait: seconds until the connection must stand.
        prepares: make streams that are missing.

    Raises:
        TransportError: NATS cannot be reached within ``wait`` seconds, or refuses.
    """
    link = Link(address_of(settings, name="tailrace command"), timeout=settings.timeout)
    await link.open(wait=wait)
    names = names_of(settings)
    try:
        if prepares:
            await ensure(link, names, limits_of(settings))
        return await act(JetStreamRegistry(link, names))
    finally:
        await link.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end."""
    return asyncio.run(work)
