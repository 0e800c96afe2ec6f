from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from jetstream_room import Room, in_room, job, until_gone
from jetstream_server import NatsServer
from tailrace.errors import NotFound
from tailrace.jetstream.states import JetStreamStates
from tailrace.model.remote import RunState


def test_a_run_that_is_over_expires_with_its_journal_and_leaves_markers_for_followers(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        limits = replace(room.limits, keep_days=1 / 86_400)
        states = JetStreamStates(room.link, room.names, limits)
        over, running = RunState(job=job("r1")), RunState(job=job("r2"), status="RUNNING")
        claim = await states.write(over, expected=0)
        await states.append("r1", 1, b"batch", claim=claim)
        over.status = "COMPLETED"
        await states.write(over, expected=claim)
        await states.write(running, expected=0)
        await until_gone(partial(states.read, "r1"), "the state")
        await until_gone(partial(states.journal, "r1"), "the journal")
        assert await states.read("r2") is not None
        found = await room.link.scan(room.names.runs, 1, subject=room.names.state("*"))
        assert {one.subject.rpartition(".")[2]: one.is_marker for one in found} == {
            "r1": True,
            "r2": False,
        }
        assert not await room.queue.submit(job("r1"))

    in_room(nats_server, nats_prefix, body)


def test_an_object_expires_unless_it_is_put_again(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        objects = room.states.objects
        gone = await objects.put(b"gone", keep=0)
        kept = await objects.put(b"kept", keep=0)
        assert await objects.put(b"kept", keep=600) == kept
        piece = room.names.chunk(gone, 0)
        await until_gone(partial(room.link.last, room.names.objects, piece), "the object")
        with pytest.raises(NotFound):
            await objects.get(gone)
        assert await objects.get(kept) == b"kept"
        await objects.remove(kept)
        with pytest.raises(NotFound):
            await objects.get(kept)

    in_room(nats_server, nats_prefix, body)
