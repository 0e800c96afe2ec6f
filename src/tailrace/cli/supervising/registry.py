"""Looking into the registry of workers while they start."""

from __future__ import annotations

from tailrace.cli.nats_access import with_registry
from tailrace.errors import TailraceError
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.jetstream.server import LocalServer
from tailrace.settings import NatsSettings, load_settings


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
