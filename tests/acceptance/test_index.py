"""The index of a gateway over a real server: whatever happens, it says what the streams say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from index_dump import dump, lists
from jetstream_room import Room, in_room, room_on, until
from jetstream_server import NatsServer
from tailrace.gateway.index import SqliteRunIndex
from tailrace.gateway.indexing import RunFilter
from tailrace.jetstream.resources import ensure
from tailrace.model import (
    FailureOrigin,
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    Span,
    SpanType,
)
from tailrace.model.decision import GroupDecision
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import SpanId
from tailrace.model.remote import CancelRequest, Job, RunState, StoredLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteTraceReader
from tailrace.store.remote import ListFilter, RemoteReader
from tailrace.tracing.otlp import encode_export
from tailrace.tracing.wire import encode

STEP = 1_000_000


def new_job(number: int, **more: Any) -> Job:
    return Job(run_id=f"{number:032x}", flow_name="etl", submitted_at=1.5, **more)


def journal(run_id: str, *, output: bytes = b"1") -> tuple[bytes, bytes, bytes]:
    at = int(run_id, 16) * STEP
    return (
        encode([
            RunStarted(
                RunId(run_id), "etl", "h", "m:etl", at, {}, "http", 99,
                attributes={"worker.id": "w1"},
            ),
            ShapeDeclared(1, "m:load", {}),
        ]),
        encode([
            NodeStarted(2, 3, 1, 1, "load", "", at + 1, {}),
            NodeFinished(2, 3, NodeState.SUCCEEDED, at + 2, "load", output, "json", 1, "stored"),
        ]),
        encode([RunFinished(at + 3, RunStatus.COMPLETED)]),
    )  # fmt: skip


async def execute(room: Room, job: Job, *, output: bytes = b"1", ends: bool = True) -> None:
    """Do what a worker does for a run of one node; its second batch has a message of its own."""
    first, second, last = journal(job.run_id, output=output)
    state = RunState(job=job, status="RUNNING", worker_id="w1", claims=1)
    claim = await room.states.write(replace(state, batches=1, journal=(first,)), expected=0)
    await room.states.append(job.run_id, 1, first, claim=claim)
    await room.states.append(job.run_id, 2, second, claim=claim)
    if ends:
        over = replace(state, status="COMPLETED", batches=3, journal=(last,))
        await room.states.write(over, expected=claim)
        await room.queue.withdraw(job.run_id)


@asynccontextmanager
async def indexing(room: Room, path: Path) -> AsyncIterator[SqliteRunIndex]:
    index = SqliteRunIndex(path, room.link, room.names, room.limits)
    await index.open()
    try:
        yield index
    finally:
        await index.close()


async def caught_up(room: Room, index: SqliteRunIndex) -> None:
    """Wait until lists and traces are made of everything there is."""
    last = (await room.link.info(room.names.runs))["state"]["last_seq"]
    await until(
        lambda: index.position().sequence >= last and index.traced >= last, "the index is whole"
    )


async def holds(read: Callable[[], Any], expected: Any, what: str) -> None:
    """Wait until what is read is as expected."""
    await until(lambda: read() == expected, what)


def statuses(path: Path) -> dict[str, str]:
    with closing(RemoteReader(path)) as reader:
        return {one.job.run_id: one.status for one in reader.runs(ListFilter(), limit=1_000)}


def test_a_run_is_listed_at_once_by_who_has_submitted_it_and_soon_by_others(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        async with (
            indexing(room, tmp_path / "a.db") as mine,
            indexing(room, tmp_path / "b.db") as other,
        ):
            for number in range(20):
                job = new_job(number, params={"n": number})
                await room.queue.submit(job)
                mine.accepted(job)
                page = await mine.runs(RunFilter(limit=50))
                assert page.items[0].job.run_id == job.run_id
                assert len(page.items) == number + 1
                assert {run.status for run in page.items} == {"PENDING"}
            await until(lambda: len(statuses(tmp_path / "b.db")) == 20, "the other has them, too")
            assert (await other.counts()) == {("PENDING", "etl"): 20}
            whole = await mine.runs(RunFilter(limit=2, whole=True))
            assert [run.job.params for run in whole.items] == [{"n": 19}, {"n": 18}]
            await room.states.request_cancel(new_job(3).run_id, CancelRequest(at=2.0))
            await until(
                lambda: statuses(tmp_path / "b.db")[new_job(3).run_id] == "CANCELLING", "the wish"
            )

    in_room(nats_server, nats_prefix, body)


def test_pages_over_a_fresh_run_go_on_where_they_ended(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        async with indexing(room, tmp_path / "a.db") as index:
            for number in range(9):
                await room.queue.submit(new_job(number))
            await caught_up(room, index)
            index.accepted(new_job(99))  # as if the stream had not told of it yet
            seen: list[str] = []
            cursor = ""
            while True:
                page = await index.runs(RunFilter(limit=4, cursor=cursor))
                seen += [run.job.run_id for run in page.items]
                if page.next_cursor is None:
                    break
                cursor = page.next_cursor
            assert seen == [f"{number:032x}" for number in (99, 8, 7, 6, 5, 4, 3, 2, 1, 0)]

    in_room(nats_server, nats_prefix, body)


def test_gateways_that_come_go_and_begin_anew_say_the_same(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        a, b, c = (tmp_path / f"{name}.db" for name in "abc")
        async with indexing(room, a) as steady:
            for number in range(30):
                job = new_job(number)
                await room.queue.submit(job)
                if number % 10 == 0:
                    async with indexing(room, b):
                        await execute(room, job)
                elif number % 3:
                    await execute(room, job, ends=number % 4 != 0)
            await room.link.store(room.names.queue("default", "normal", "rubbish"), b"\xc1")
            await room.link.store(room.names.state("rubbish"), b"\xc1")
            await caught_up(room, steady)
            async with indexing(room, b) as restarted, indexing(room, c) as late:
                await caught_up(room, restarted)
                await caught_up(room, late)
        assert dump(a) == dump(b)
        assert dump(a) == dump(c)
        assert set(statuses(a).values()) == {"PENDING", "RUNNING", "COMPLETED"}

    in_room(nats_server, nats_prefix, body)


def test_it_goes_on_after_the_server_was_killed(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        path = tmp_path / "index.db"
        async with indexing(room, path) as index:
            await room.queue.submit(new_job(1))
            await caught_up(room, index)
            await asyncio.to_thread(own_nats_server.restart)
            await until(lambda: room.link.is_up, "the connection is back")
            await execute(room, new_job(1))
            await caught_up(room, index)
        assert statuses(path) == {new_job(1).run_id: "COMPLETED"}

    in_room(own_nats_server, "tailrace", body)


def test_a_stream_that_was_made_anew_makes_the_index_anew(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "index.db"

    async def before(room: Room) -> None:
        async with indexing(room, path) as index:
            for number in range(5):
                await room.queue.submit(new_job(number))
            await caught_up(room, index)
        await room.link.api(f"STREAM.DELETE.{room.names.runs}")
        await ensure(room.link, room.names, room.limits)

    async def after(room: Room) -> None:
        await room.queue.submit(new_job(7))
        async with indexing(room, path):
            await holds(lambda: statuses(path), {new_job(7).run_id: "PENDING"}, "it is new")

    async def main() -> None:
        async with room_on(nats_server, nats_prefix) as room:
            await before(room)
        async with room_on(nats_server, nats_prefix) as room:
            await after(room)

    asyncio.run(main())


def test_a_batch_kept_beside_its_message_is_read_from_there(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        path = tmp_path / "index.db"
        async with indexing(room, path) as index:
            await execute(room, new_job(1), output=b'"' + b"x" * 900_000 + b'"')
            await caught_up(room, index)
        with closing(SqliteTraceReader(path)) as reader:
            kept = [one for one in reader.checkpoints(new_job(1).run_id) if one.path == "load"]
        assert len(kept[0].body) == 900_002

    in_room(nats_server, nats_prefix, body)


def test_dead_letters_are_read_and_those_removed_are_let_go(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        path = tmp_path / "index.db"
        letters = SqliteDeadLetters(path)

        def ids() -> list[str]:
            return sorted(one.dl_id for one in letters.letters(FailureFilter()))

        async with indexing(room, path) as index:
            for number in (1, 2):
                await room.letters.put(
                    StoredLetter(
                        letter_id=f"DL-{number}", timestamp=5.0, reason="execution_error",
                        error="x", job=new_job(number), tenant_id="a",
                    )
                )  # fmt: skip
            await holds(ids, ["DL-1", "DL-2"], "both are there")
            await room.letters.change(
                FailureFilter(ids=("DL-2",)), "discard", actor="me", reason="why not"
            )
            await holds(ids, ["DL-1"], "one is discarded")
            await room.letters.remove("DL-1")
            assert await index.sweep_letters() == 1
            await holds(ids, [], "one is gone")
        letters.close()

    in_room(nats_server, nats_prefix, body)


def test_spans_from_elsewhere_join_the_run_they_belong_to(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        path = tmp_path / "index.db"
        run_id = new_job(1).run_id
        async with indexing(room, path) as index:
            await execute(room, new_job(1))
            span = Span(
                trace_id=RunId(run_id),
                span_id=SpanId("0000000000000abc"),
                parent_id=None,
                name="query",
                type=SpanType.FOREIGN,
                start_ns=STEP,
                end_ns=STEP + 5,
            )
            export = encode_export([span])
            headers = {"Content-Type": "application/json"}
            await room.link.store(room.names.foreign("g1"), export, headers=headers)
            await room.link.store(room.names.foreign("g1"), b"{rubbish", headers=headers)
            await caught_up(room, index)

            def names() -> set[str]:
                with closing(SqliteTraceReader(path)) as reader:
                    return {span.name for span in reader.trace(run_id).spans}

            await until(lambda: "query" in names(), "the span is there")
            assert "node load" in names()

    in_room(nats_server, nats_prefix, body)


def test_runs_that_expired_or_lost_their_message_are_let_go(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    async def body(room: Room) -> None:
        path = tmp_path / "index.db"
        async with indexing(room, path) as index:
            for number in (1, 2, 3):
                await room.queue.submit(new_job(number))
            await execute(room, new_job(1))
            await caught_up(room, index)
            await room.link.purge(room.names.runs, room.names.queued(new_job(2).run_id))
            later = 4e9
            assert await index.tidy_once(later) == 2
        assert statuses(path) == {new_job(3).run_id: "PENDING"}
        assert lists(path)[-1] == {("PENDING", "etl"): 1}

    in_room(nats_server, nats_prefix, body)


def failing_journal(run_id: str) -> bytes:
    at = int(run_id, 16) * STEP
    failure = FailureRecord(
        "ValueError",
        "no good",
        "permanent",
        fingerprint="v1:" + "a" * 32,
        failure_id=f"F-{int(run_id, 16):026d}",
        captured_ns=at + 2,
        origin=FailureOrigin(("flow:etl", "node:load", "task:1"), "load", "m:load", 3, 1, 1),
        given_up="permanent",
    )
    return encode([
        RunStarted(
            RunId(run_id), "etl", "h", "m:etl", at, {}, "http", 99,
            attributes={"worker.id": "w1"}, code_version="sha256:1",
        ),
        ShapeDeclared(1, "m:load", {}),
        NodeStarted(2, 3, 1, 1, "load", "", at + 1, {}),
        NodeFinished(2, 3, NodeState.FAILED, at + 2, "load", failure=failure),
        RunFinished(at + 3, RunStatus.FAILED, failure, "load"),
    ])  # fmt: skip


def group_states(path: Path) -> list[tuple[str, str]]:
    with closing(SqliteFailureLog(path)) as log:
        found = log.groups(FailureFilter(), limit=9)
    return [(group.state, group.resolved_version) for group in found]


def test_what_is_decided_about_a_group_on_one_gateway_holds_on_all_and_in_those_to_come(
    nats_server: NatsServer, nats_prefix: str, tmp_path: Path
) -> None:
    a, b, c = (tmp_path / f"{name}.db" for name in "abc")
    resolved = ("resolved", "sha256:1")

    async def body(room: Room) -> None:
        job = new_job(1)
        state = RunState(job=job, status="FAILED", worker_id="w1", claims=1, batches=1)
        journaled = replace(state, journal=(failing_journal(job.run_id),))
        async with indexing(room, a) as mine, indexing(room, b):
            await room.queue.submit(job)
            await room.states.write(journaled, expected=0)
            await holds(lambda: group_states(b), [("open", "")], "the group is there")
            decision = GroupDecision(
                fp_site="v1:" + "a" * 32,
                state="resolved",
                at_ns=time.time_ns(),
                resolved_version="sha256:1",
            )
            await mine.decide(replace(decision, state="ignored"))
            await mine.decide(decision)
            await holds(lambda: group_states(a), [resolved], "who decides knows at once")
            await holds(lambda: group_states(b), [resolved], "the other one knows soon")
            await room.link.store(room.names.decision("=", "rubbish"), b"\xc1")
        async with indexing(room, c):
            await holds(lambda: group_states(c), [resolved], "a new one knows, too")

    in_room(nats_server, nats_prefix, body)
