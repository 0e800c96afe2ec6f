"""Looking a run up: who asks at the same time shares a request, and nobody is told old news."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from tailrace.gateway.known import KnownRun, RunLookup
from tailrace.jetstream.answers import Stored, Unreachable
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import Names
from tailrace.model.remote import Job, RunState, encode

NAMES = Names("t")
JOB = Job(run_id="r1", flow_name="f")


class Stream:
    """Answers with the state as it was when a request came, as soon as it may."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.is_away = False

    async def last_of(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        self.asked += 1
        body = encode(RunState(job=JOB, status=self.status))
        subject = NAMES.state("r1")
        await self.may_answer.wait()
        if self.is_away:
            raise Unreachable(f"{stream} does not answer about {subjects}")
        return [Stored(subject, self.asked, "2026-01-01T00:00:00.5Z", body, {})]


async def asked(lookup: RunLookup, count: int) -> list[asyncio.Task[KnownRun | None]]:
    tasks = [asyncio.create_task(lookup.find("r1")) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_many_who_ask_at_once_share_two_requests_and_see_what_was_written_before() -> None:
    async def body() -> None:
        stream = Stream()
        lookup = RunLookup(cast("Link", stream), NAMES)
        early = await asked(lookup, 1)
        stream.status = "COMPLETED"
        late = await asked(lookup, 500)
        late[0].cancel()
        stream.may_answer.set()
        found = await asyncio.gather(*early, *late[1:])
        assert [run.status for run in found if run] == ["RUNNING"] + ["COMPLETED"] * 499
        assert stream.asked == 2
        await lookup.find("r1")
        assert stream.asked == 3

    asyncio.run(body())


def test_a_request_that_fails_fails_those_who_share_it_and_no_other() -> None:
    async def body() -> None:
        stream = Stream()
        lookup = RunLookup(cast("Link", stream), NAMES)
        stream.is_away = True
        first = await asked(lookup, 1)
        stream.may_answer.set()
        outcomes = await asyncio.gather(*first, return_exceptions=True)
        assert isinstance(outcomes[0], Unreachable)
        stream.is_away = False
        run = await lookup.find("r1")
        assert run is not None
        assert run.updated_at == 1767225600.5

    asyncio.run(body())
