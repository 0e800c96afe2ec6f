from __future__ import annotations

import time
from collections.abc import Collection

from jetstream_room import Room, in_room, job
from jetstream_server import NatsServer
from tailrace.jetstream.handover import hand_over
from tailrace.model.remote import RunState, WorkerRecord, decode_job

TAGS = ("cpu", "gpu")


async def put(room: Room, worker_id: str, *, stopped: bool = False) -> WorkerRecord:
    record = WorkerRecord(
        worker_id=worker_id,
        instance_id=f"i-{worker_id}",
        stopped_at=time.time() if stopped else None,
    )
    await room.registry.put_worker(record)
    return record


async def claim(room: Room, run_id: str, by: WorkerRecord, tag: str = "cpu") -> None:
    state = RunState(
        job=job(run_id, tag=tag), status="RUNNING", claims=1, instance_id=by.instance_id
    )
    await room.states.write(state, expected=0)


async def handed_over(
    room: Room, gone: Collection[str], *, own: str = "", before: WorkerRecord | None = None
) -> set[str]:
    """Return the runs that are delivered again at once, after saying which workers are gone."""
    count = await hand_over(
        room.link, room.names, TAGS, lambda one: one.worker_id in gone, before=before, own=own
    )
    found: list[str] = []
    while len(found) < count:
        taken = await room.queue.take(TAGS, most=10, wait=10)
        found += [decode_job(one.body).run_id for one in taken]
    assert await room.queue.take(TAGS, most=10, wait=0) == []
    return set(found)


def test_where_nobody_lives_all_that_was_delivered_is_delivered_again(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        assert await handed_over(room, {"w1"}) == set()
        w1 = await put(room, "w1")
        await put(room, "w2", stopped=True)
        for name in ("settled", "claimed", "waits", "handed-back"):
            await room.queue.submit(job(name, tag="cpu"))
        await room.queue.submit(job("other", tag="gpu", priority="high"))
        for one in await room.queue.take(TAGS, most=10, wait=10):
            if b"settled" in one.body:
                await one.done()
        await claim(room, "claimed", w1)
        assert await handed_over(room, {"w1"}) == {"claimed", "waits", "handed-back", "other"}

    in_room(nats_server, nats_prefix, body)


def test_where_others_live_only_what_the_one_before_has_claimed_is_delivered_again(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        w1, w2 = await put(room, "w1"), await put(room, "w2")
        for name, by in (("mine", w1), ("theirs", w2), ("waits", None)):
            await room.queue.submit(job(name, tag="cpu"))
            if by is not None:
                await claim(room, name, by)
        assert len(await room.queue.take(TAGS, most=10, wait=10)) == 3
        assert await handed_over(room, {"w1"}) == set()
        assert await handed_over(room, (), own="w1") == set()
        assert await handed_over(room, {"w1"}, own="w1", before=w1) == {"mine"}

    in_room(nats_server, nats_prefix, body)
