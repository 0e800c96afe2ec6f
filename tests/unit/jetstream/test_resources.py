from __future__ import annotations

from dataclasses import replace

import pytest

from jetstream_room import Room, in_room, job, room_on
from jetstream_server import NatsServer
from tailrace.errors import TransportError
from tailrace.jetstream.queue import JetStreamQueue
from tailrace.jetstream.resources import (
    Limits,
    ensure,
    ensure_consumers,
    known_tags,
    migrate,
    streams,
)


def test_what_was_made_is_what_was_asked_for(nats_server: NatsServer, nats_prefix: str) -> None:
    async def body(room: Room) -> None:
        assert await ensure(room.link, room.names, room.limits) == []
        for wanted in streams(room.names, room.limits):
            assert (await room.link.info(wanted["name"]))["config"]["subjects"]
        made = await ensure_consumers(room.link, room.names, room.limits, ["a", "b-c"])
        assert made == (30.0, [])
        again = await ensure_consumers(room.link, room.names, room.limits, ["a", "b-c"])
        assert again == (30.0, [])
        assert await known_tags(room.link, room.names) == ["a", "b-c"]

    in_room(nats_server, nats_prefix, body)


def test_a_stream_that_differs_is_named_left_alone_and_mended_on_demand(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        await ensure_consumers(room.link, room.names, room.limits, ["a"])
        wanted = replace(room.limits, letter_count=7, ack_wait=2.0)
        [difference] = await ensure(room.link, room.names, wanted)
        assert str(difference) == f"{room.names.letters}: max_msgs is 100000, should be 7"
        config = (await room.link.info(room.names.letters))["config"]
        assert config["max_msgs"] == 100_000
        changed = await migrate(room.link, room.names, wanted)
        assert {item.setting for item in changed} == {"max_msgs", "ack_wait"}
        assert await migrate(room.link, room.names, wanted) == []
        assert await ensure_consumers(room.link, room.names, wanted, ["a"]) == (2.0, [])

    in_room(nats_server, nats_prefix, body)


def test_an_older_layout_is_named_and_a_newer_one_refused(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        config = (await room.link.info(room.names.runs))["config"]
        for version in ("0", "2"):
            config["metadata"]["tailrace.layout"] = version
            await room.link.api(f"STREAM.UPDATE.{room.names.runs}", config)
            if version == "0":
                [difference] = await ensure(room.link, room.names, room.limits)
                assert (difference.found, difference.wanted) == ("0", "1")
        with pytest.raises(TransportError) as caught:
            await migrate(room.link, room.names, room.limits)
        assert caught.value.code == "TR405"

    in_room(nats_server, nats_prefix, body)


def test_a_worker_with_another_ack_wait_keeps_to_the_one_in_force(
    nats_server: NatsServer, nats_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(room: Room) -> None:
        await room.queue.take(["a"], most=1, wait=0)
        async with room_on(nats_server, nats_prefix) as other:
            queue = JetStreamQueue(other.link, other.names, Limits(ack_wait=60))
            await queue.submit(job("r1", tag="a"))
            assert len(await queue.take(["a"], most=1, wait=5)) == 1
            assert queue.ack_wait == 5.0
            await queue.close()
        assert "ack_wait is 5 s, should be 60 s" in caplog.text

    in_room(nats_server, nats_prefix, body, ack_wait=5.0)
