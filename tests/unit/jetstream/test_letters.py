from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jetstream_room import Room, in_room, job, room_on
from jetstream_server import NatsServer
from tailrace.errors import NotFound, StoreError
from tailrace.jetstream.letter_text import letter_in, redrives_of
from tailrace.jetstream.redrive import mend_redrives, redrive_letter
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import MOST_GENERATIONS, DeadLetter, LetterReason, Redrive
from tailrace.model.remote import RunState, StoredLetter, decode_job

ANY = FailureFilter()


def stored(number: int = 1, *, with_job: bool = True, **more: Any) -> StoredLetter:
    run = job(f"r{number}", params={"n": number}, tag="cpu", tenant_id="t1")
    return StoredLetter(
        letter_id=f"DL-{new_sortable()}",
        timestamp=1000.0 + number,
        reason="execution_error",
        error="it broke",
        worker_id="w1",
        num_delivered=1,
        job=run if with_job else None,
        **more,
    )


def order(batch_id: str = "B-1", mode: str = "resume") -> Redrive:
    return Redrive(dl_id="", generation=0, batch_id=batch_id, actor="me", mode=mode)


def test_a_letter_is_stored_once_and_has_the_fields_of_its_job(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        letter = stored()
        assert await room.letters.put(letter)
        assert not await room.letters.put(letter)
        found = await room.letters.get(letter.letter_id)
        assert found is not None
        assert (found[0].run_id, found[0].flow_name) == ("r1", "flow")
        assert (found[0].tag, found[0].tenant_id) == ("cpu", "t1")
        ours = letter_in(found[0])
        assert (ours.dl_id, ours.run_id, ours.flow) == (letter.letter_id, "r1", "flow")
        assert (ours.state, ours.message) == ("open", "it broke")
        assert await room.letters.letters(ANY) == [ours]
        assert await room.letters.remove(letter.letter_id)
        assert not await room.letters.remove(letter.letter_id)

    in_room(nats_server, nats_prefix, body)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("invalid_job", LetterReason.UNDECODABLE),
        ("flow_not_found", LetterReason.FLOW_NOT_FOUND),
        ("poison", LetterReason.POISON),
        ("execution_error", LetterReason.PERMANENT),
    ],
)
def test_reasons_of_the_older_contract_mean_ours(reason: str, expected: LetterReason) -> None:
    letter = StoredLetter(letter_id="DL-1", timestamp=1.0, reason=reason, error="e")
    assert letter_in(letter).reason == expected


def test_letters_are_found_by_what_begins_their_ids_and_by_filters(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        letters = [stored(number) for number in range(1, 4)]
        for one in letters:
            await room.letters.put(one)
        found = await room.letters.letters(ANY)
        assert [one.run_id for one in found] == ["r3", "r2", "r1"]
        assert [one.run_id for one in await room.letters.letters(ANY, limit=1)] == ["r3"]
        [second] = await room.letters.letters(FailureFilter(run="r2"))
        assert second.dl_id == letters[1].letter_id
        assert (await room.letters.letter(second.dl_id[3:])).run_id == "r2"
        assert (await room.letters.letter(second.dl_id.lower())).run_id == "r2"
        for prefix in ("DL-", "DL-ZZZ", ""):
            with pytest.raises(NotFound):
                await room.letters.letter(prefix)

    in_room(nats_server, nats_prefix, body)


def test_letters_are_parked_reopened_and_discarded_with_a_reason(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        await room.letters.put(stored())
        change = room.letters.change
        [parked] = await change(ANY, "park", actor="me", reason="later")
        assert parked.state == "parked"
        assert await change(ANY, "park", actor="me", reason="again") == []
        [opened] = await change(ANY, "reopen", actor="me", reason="")
        assert opened.state == "open"
        for action, reason in (("discard", " "), ("burn", "x")):
            with pytest.raises(StoreError):
                await change(ANY, action, actor="me", reason=reason)
        [gone] = await change(ANY, "discard", actor="you", reason="no use")
        assert gone.state == "discarded"
        told = [(one["action"], one["actor"]) for one in gone.source["actions"]]
        assert told == [("park", "me"), ("reopen", "me"), ("discard", "you")]
        assert await room.letters.letters(ANY) == []
        [found] = await room.letters.letters(FailureFilter(state="discarded"))
        assert found == gone

    in_room(nats_server, nats_prefix, body)


def test_each_letter_is_claimed_by_one_of_many_claimers(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        for number in range(12):
            await room.letters.put(stored(number))
        async with room_on(nats_server, nats_prefix) as other:
            claims = await asyncio.gather(
                *(
                    one.letters.claim(ANY, order(batch_id=f"B-{number}"), limit=5)
                    for number, one in enumerate((room, other, room, other))
                )
            )
        taken = [letter.dl_id for claim in claims for letter in claim]
        assert len(taken) == len(set(taken)) == 12
        assert all(one.generation == 1 for claim in claims for one in claim)

    in_room(nats_server, nats_prefix, body)


def test_a_redrive_goes_on_where_the_run_failed_and_settles_its_letter(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        letter = stored()
        await room.letters.put(letter)
        made = await redrive_letter(room.queue, room.letters, letter.letter_id, order())
        assert made is not None
        assert await redrive_letter(room.queue, room.letters, letter.letter_id, order()) is None
        [delivery] = await room.queue.take(["cpu"], most=1, wait=10)
        again = decode_job(delivery.body)
        assert again == made
        assert (again.resumed_from, again.lineage, again.params) == ("r1", "r1", {"n": 1})
        assert (again.letter, again.generation) == (letter.letter_id, 1)
        [ours] = await room.letters.letters(FailureFilter(state="redriving"))
        assert redrives_of(ours)[0].run_id == again.run_id
        ended = await room.letters.settle(ours, "resolved", failure=None)
        assert ended is not None
        assert ended.state == "resolved"
        assert await room.letters.settle(ours, "failed", failure=None) is None

    in_room(nats_server, nats_prefix, body)


def test_a_letter_whose_redrives_all_fail_is_parked_in_the_end(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        letter = stored()
        await room.letters.put(letter)
        states = []
        for number in range(MOST_GENERATIONS):
            redrive = order(batch_id=f"B-{number}", mode="new-run")
            made = await redrive_letter(
                room.queue, room.letters, letter.letter_id, redrive, params={"n": 7}
            )
            assert made is not None
            assert (made.resumed_from, made.params) == ("", {"n": 7})
            ours = await room.letters.letter(letter.letter_id)
            ended = await room.letters.settle(ours, "failed", failure=None)
            assert ended is not None
            states.append(ended.state)
        assert states == ["open"] * (MOST_GENERATIONS - 1) + ["parked"]

    in_room(nats_server, nats_prefix, body)


def test_redrives_that_were_left_behind_are_settled_by_what_became_of_their_run(
    nats_server: NatsServer, nats_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(room: Room) -> None:
        letters = [stored(number) for number in range(1, 5)]
        runs = {}
        for one in letters:
            await room.letters.put(one)
            made = await redrive_letter(room.queue, room.letters, one.letter_id, order())
            assert made is not None
            runs[one.letter_id] = made
        over, failed, waiting, never = (runs[one.letter_id] for one in letters)
        await room.states.write(RunState(job=over, status="COMPLETED"), expected=0)
        await room.states.write(RunState(job=failed, status="FAILED"), expected=0)
        await room.queue.withdraw(never.run_id)
        assert await mend_redrives(room.queue, room.states, room.letters) == 0
        now = time.time_ns() + 120_000_000_000
        monkeypatch.setattr("tailrace.jetstream.redrive.time.time_ns", lambda: now)
        assert await mend_redrives(room.queue, room.states, room.letters) == 3
        found: list[DeadLetter] = [await room.letters.letter(one.letter_id) for one in letters]
        assert [one.state for one in found] == ["resolved", "open", "redriving", "open"]
        assert await room.queue.find(waiting.run_id) is not None

    in_room(nats_server, nats_prefix, body)


def test_a_message_that_is_no_job_cannot_be_redriven(
    nats_server: NatsServer, nats_prefix: str
) -> None:
    async def body(room: Room) -> None:
        letter = stored(with_job=False, payload="{garbage", tag="any thing")
        await room.letters.put(letter)
        assert await redrive_letter(room.queue, room.letters, letter.letter_id, order()) is None
        assert (await room.letters.letter(letter.letter_id)).payload == "{garbage"

    in_room(nats_server, nats_prefix, body)
