from __future__ import annotations

import asyncio

import pytest

from tailrace.errors import TransportError
from tailrace.gateway.caller import Caller
from tailrace.gateway.keys import KeyRing, is_genuine, make_key
from tailrace.gateway.problems import Problem
from tailrace.model.remote import KeyRecord


class Source:
    """Keys in a dictionary, counting who asks."""

    def __init__(self, *records: KeyRecord) -> None:
        self.records = {one.key_id: one for one in records}
        self.asked = 0
        self.is_away = False

    async def key(self, key_id: str) -> KeyRecord | None:
        self.asked += 1
        if self.is_away:
            raise TransportError("away")
        return self.records.get(key_id)


def test_a_key_is_kept_as_a_hash_only() -> None:
    key, record = make_key(tenant_id="acme")
    secret = key.partition(".")[2]
    assert is_genuine(secret, record, "")
    assert not is_genuine(secret, record, "pepper")
    assert secret.encode() not in record.digest + record.salt
    with pytest.raises(ValueError, match="no role"):
        make_key(tenant_id="acme", role="root")


def test_a_key_that_was_seen_costs_nothing() -> None:
    key, record = make_key(tenant_id="acme", role="read")
    source = Source(record)

    async def ask() -> None:
        ring = KeyRing(source)
        callers = {await ring.caller(key) for _ in range(100)}
        assert callers == {Caller(key_id=record.key_id, tenant_id="acme", role="read")}
        for _ in range(100):
            with pytest.raises(Problem) as caught:
                await ring.caller(key + "x")
            assert caught.value.status == 403

    asyncio.run(ask())
    assert source.asked == 2


def test_a_known_key_is_good_while_nats_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    key, record = make_key(tenant_id="acme")
    source = Source(record)
    now = 0.0
    monkeypatch.setattr("tailrace.gateway.keys.time.monotonic", lambda: now)

    async def ask() -> None:
        nonlocal now
        ring = KeyRing(source)
        known = await ring.caller(key)
        source.is_away, now = True, 30.0
        assert await ring.caller(key) == known
        other, _ = make_key(tenant_id="acme")
        with pytest.raises(TransportError):
            await ring.caller(other)
        now = 100.0
        with pytest.raises(TransportError):
            await ring.caller(key)

    asyncio.run(ask())


def test_roles_and_tenants() -> None:
    read, admin = Caller(tenant_id="a", role="read"), Caller(tenant_id="a", role="admin")
    assert read.may("read")
    assert not read.may("submit")
    assert admin.may("operate")
    assert admin.sees_all
    assert not read.sees_all
    assert Caller().sees_all
