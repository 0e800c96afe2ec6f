from __future__ import annotations

from jetstream_room import Room, in_room, job
from jetstream_server import NatsServer
from tailrace.jetstream.letter_text import letter_id_of
from tailrace.jetstream.reconcile import Reconciler
from tailrace.model.failure import FailureFilter
from tailrace.model.remote import StoredLetter


async def _reports(room: Room) -> int:
    return int((await room.link.info(room.names.advisories))["state"]["messages"])


async def _until_reported(room: Room, count: int) -> None:
    found = 0
    while found < count:
        found = await _reports(room)


def test_a_message_that_was_removed_without_a_letter_gets_one(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        for name in ("r1", "r2"):
            await room.queue.submit(job(name, tag="cpu"))
        first, second = await room.queue.take(["cpu"], most=2, wait=10)
        await room.letters.put(
            StoredLetter(
                letter_id=letter_id_of(first.sequence),
                timestamp=1.0,
                reason="invalid_job",
                error="is no job",
                payload="{",
            )
        )
        await first.drop("is no job")
        await second.drop("is no job either")
        await _until_reported(room, 2)
        reconciler = Reconciler(room.link, room.names, room.letters)
        assert (await reconciler.run_once()).letters == [letter_id_of(second.sequence)]
        assert (await reconciler.run_once()).letters == []
        assert await _reports(room) == 0
        found = await room.letters.letters(FailureFilter())
        assert sorted(one.message for one in found) == ["is no job", "is no job either"]

    in_room(nats_server, nats_prefix, body)


def test_a_message_that_a_changed_consumer_has_given_up_on_is_delivered_again(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        await room.queue.take(["cpu"], most=1, wait=0)
        call = f"{room.names.runs}.{room.names.consumer('cpu', 'normal')}"
        config = (await room.link.api(f"CONSUMER.INFO.{call}"))["config"] | {"max_deliver": 1}
        await room.link.api(
            f"CONSUMER.CREATE.{call}.{config['filter_subject']}",
            {"stream_name": room.names.runs, "config": config},
        )
        for name in ("r1", "r2"):
            await room.queue.submit(job(name, tag="cpu"))
        first, second = await room.queue.take(["cpu"], most=2, wait=10)
        await second.done()
        reconciler = Reconciler(room.link, room.names, room.letters)
        assert (await reconciler.run_once()).revived == 0
        await first.give_back()
        revived = 0
        while not revived:
            assert await room.queue.take(["cpu"], most=1, wait=0) == []
            revived = (await reconciler.run_once()).revived
        [again] = await room.queue.take(["cpu"], most=2, wait=10)
        assert again.body == first.body
        await again.done()

    in_room(nats_server, nats_prefix, body)
