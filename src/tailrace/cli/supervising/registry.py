"""What ``tailrace up`` itself asks of NATS while its parts start."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from msgspec.structs import replace

from tailrace.cli.nats_access import with_registry
from tailrace.errors import TailraceError, TransportError
from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.jetstream.handover import hand_over
from tailrace.jetstream.link import Link
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.resources import ensure, known_tags, migrate_consumers
from tailrace.jetstream.server import LocalServer
from tailrace.settings import NatsSettings, load_settings
from tailrace.worker.machine import has_left


async def keep_to(server: LocalServer, ack_wait: float) -> bool:
    """Give the queues that are there already this ack wait, in seconds; False: they had it.

    Raises:
        TransportError: NATS does not answer, or refuses.
    """
    own = load_settings().nats
    settings = replace(own, url=(server.url,), token=server.token, ack_wait=ack_wait)
    link, names, limits = Link(address_of(settings)), names_of(settings), limits_of(settings)
    await link.open()
    try:
        await ensure(link, names, limits)
        return bool(await migrate_consumers(link, names, limits))
    finally:
        await link.close()


async def hand_over_left(server: LocalServer, folder: Path) -> int:
    """Have the runs delivered at once that workers had which are gone; return how many.

    Args:
        server: of the queue.
        folder: where workers leave what they could not store.
    """
    own = load_settings().nats
    settings = replace(own, url=(server.url,), token=server.token)
    link, names = Link(address_of(settings)), names_of(settings)
    try:
        await link.open()
        tags = await known_tags(link, names)
        return await hand_over(link, names, tags, partial(has_left, folder))
    except TransportError:
        return 0  # nothing is there yet; and what is comes back by itself
    finally:
        await link.close()


async def seen_at(server: LocalServer, worker_id: str) -> float:
    """Return when a worker was seen last, in Unix seconds; 0: never, or NATS does not say."""
    prefix = load_settings().nats.prefix
    settings = NatsSettings(url=(server.url,), token=server.token, prefix=prefix)

    async def look(registry: JetStreamRegistry) -> float:
        record = await registry.worker(worker_id)
        return 0.0 if record is None else record.last_seen_at

    try:
        return await with_registry(settings, look, wait=0.5)
    except TailraceError:
        return 0.0
