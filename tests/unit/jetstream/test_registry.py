from __future__ import annotations

import pytest

from jetstream_room import Room, in_room
from jetstream_server import NatsServer
from tailrace.errors import Conflict
from tailrace.model.remote import WorkerRecord


def test_a_hidden_worker_stays_hidden_over_its_restarts(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        registry = room.registry
        assert await registry.workers() == {}
        assert await registry.worker("w1") is None
        for instance in ("1", "2"):
            await registry.put_worker(WorkerRecord(worker_id="w1", instance_id=instance))
            await registry.hide("w1", hidden=True)
        await registry.put_worker(WorkerRecord(worker_id="w2", instance_id="3", tags=("a",)))
        found = await registry.workers()
        assert {name: hidden for name, (_, hidden) in found.items()} == {"w1": True, "w2": False}
        assert found["w1"][0].instance_id == "2"
        await registry.hide("w1", hidden=False)
        assert await registry.hidden() == frozenset()
        assert await registry.forget_worker("w1")
        assert not await registry.forget_worker("w1")
        assert list(await registry.workers()) == ["w2"]

    in_room(nats_server, nats_prefix, body)


def test_a_key_is_written_over_the_one_that_was_read_only(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        registry = room.registry
        first = await registry.put_key("k1", b"one", expected=0)
        assert await registry.put_key("k1", b"one", expected=0) == first
        with pytest.raises(Conflict):
            await registry.put_key("k1", b"other", expected=0)
        second = await registry.put_key("k1", b"two", expected=first)
        assert await registry.key("k1") == (b"two", second)
        assert dict(await registry.keys()) == {"k1": (b"two", second)}
        assert await registry.remove_key("k1")
        assert await registry.key("k1") is None

    in_room(nats_server, nats_prefix, body)
