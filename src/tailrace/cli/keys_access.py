"""API keys in the registry of NATS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from tailrace.cli.nats_access import run, with_registry
from tailrace.client.local import running_in
from tailrace.errors import Conflict, NotFound
from tailrace.gateway.keys import make_key
from tailrace.jetstream.registry import JetStreamRegistry
from tailrace.model.remote import KeyRecord, decode_key, encode
from tailrace.settings import STATE_FOLDER, NatsSettings, load_settings


def create(
    nats_url: str | None, *, role: str, tenant: str | None, label: str, expires: float | None
) -> tuple[str, KeyRecord]:
    """Make a key, store what is kept of it, and return both.

    Raises:
        TransportError: NATS cannot be reached.
    """
    expires_at = None if expires is None else time.time() + expires
    pepper = load_settings().gateway.key_pepper
    key, record = make_key(
        tenant_id=tenant, role=role, label=label, expires_at=expires_at, pepper=pepper
    )

    async def store(registry: JetStreamRegistry) -> None:
        await registry.put_key(record.key_id, encode(record), expected=0)

    run(with_registry(nats_settings(nats_url), store, prepares=True))
    return key, record


def list_all(nats_url: str | None) -> list[KeyRecord]:
    """Return all keys, the newest first.

    Raises:
        TransportError: NATS cannot be reached.
    """

    async def read(registry: JetStreamRegistry) -> list[KeyRecord]:
        return [decode_key(body) for body, _ in (await registry.keys()).values()]

    found = run(with_registry(nats_settings(nats_url), read, prepares=True))
    return sorted(found, key=lambda record: record.created_at, reverse=True)


def revoke(nats_url: str | None, key_ids: Sequence[str]) -> None:
    """Mark keys as revoked.

    Raises:
        NotFound: there is no key with one of these ids; those before it are revoked.
        TransportError: NATS cannot be reached.
    """

    async def change(registry: JetStreamRegistry) -> None:
        for key_id in key_ids:
            await _revoke(registry, key_id)

    run(with_registry(nats_settings(nats_url), change, prepares=True))


async def _revoke(registry: JetStreamRegistry, key_id: str) -> None:
    while True:
        found = await registry.key(key_id) if key_id.isalnum() else None
        if found is None:
            raise NotFound(
                f"there is no key {key_id!r}", hint="tailrace admin key list shows their ids"
            )
        record = decode_key(found[0])
        if record.revoked_at is not None:
            return
        record.revoked_at = time.time()
        try:
            await registry.put_key(key_id, encode(record), expected=found[1])
        except Conflict:
            continue  # somebody changes the same key
        return


def nats_settings(url: str | None) -> NatsSettings:
    """Return how NATS is reached: as named, as set, or the one of ``tailrace up`` here."""
    settings = load_settings()
    if url:
        return replace(settings.nats, url=(url,))
    if settings.origins["nats.url"] == "default":
        here = Path.cwd()
        for folder in (one / STATE_FOLDER for one in (here, *here.parents)):
            if running_in(folder) is not None:
                address = (folder / "nats" / "url").read_text("utf-8").strip()
                return replace(settings.nats, url=(address,))
    return settings.nats
