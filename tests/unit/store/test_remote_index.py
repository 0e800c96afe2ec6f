"""An index of runs that are executed elsewhere, however and whenever it is told of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from index_dump import dump, lists, traces
from stream_model import START, StreamModel, WorkerModel
from tailrace.errors import StoreError
from tailrace.model import (
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunId,
    RunStarted,
    RunStatus,
    ShapeDeclared,
    new_run_id,
)
from tailrace.model.failure import FailureFilter
from tailrace.model.journal import LostAttempt, RunContinued
from tailrace.model.remote import Job, RunState
from tailrace.store import SqliteFailureLog, SqliteSearch, SqliteStore, SqliteTraceReader
from tailrace.store.remote import (
    Batch,
    Gone,
    ListFilter,
    Message,
    Piece,
    Position,
    RemoteReader,
    RemoteWriter,
    Stands,
)
from tailrace.tracing.wire import encode

Appends = Callable[..., list[list[Any]]]
Make = Callable[[RunId], list[list[Any]]]
STREAM = "runs"


def job(number: int, **more: Any) -> Job:
    return Job(run_id=f"{number:032x}", flow_name=f"flow{number % 2}", submitted_at=1.5, **more)


def lost_once(run_id: RunId) -> list[list[Any]]:
    """Return the appends of a run whose first worker dies."""
    failure = FailureRecord("WorkerLost", "w1 died", "transient", failure_id="F-" + run_id[-26:])
    started = RunStarted(
        run_id, "etl", "h", "m:etl", 1_000, {}, "http", 99, attributes={"worker.id": "w1"}
    )
    return [
        [started, ShapeDeclared(1, "m:load", {}), NodeStarted(2, 3, 1, 1, "load", "", 1_001, {})],
        [RunContinued(1_002, "w2", 2, (LostAttempt(2, 3, failure),), "worker_lost", "w1")],
        [NodeStarted(4, 5, 1, 1, "load", "", 1_003, {})],
        [
            NodeFinished(4, 5, NodeState.SUCCEEDED, 1_004, "load", b"1", "json", 1, "stored"),
            RunFinished(1_005, RunStatus.COMPLETED),
        ],
    ]


def short(chain: Appends) -> Make:
    return partial(chain, length=1)


def take(
    writer: RemoteWriter, messages: Sequence[Message], *, lists: bool = True, traces: bool = True
) -> list[str]:
    last = max((one.sequence for one in messages), default=0)
    position = Position("made", last, last)
    listed, traced = messages if lists else (), messages if traces else ()
    return writer.apply(listed, traced, STREAM, position)


def states(path: Path) -> dict[str, str]:
    with closing(RemoteReader(path)) as reader:
        return {one.job.run_id: one.status for one in reader.runs(ListFilter(), limit=1_000)}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["step", "step", "step", "tell", "wish", "follow"]), st.integers(0, 4)
    ),
    max_size=40,
)


@settings(
    max_examples=times(15),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(STEPS, st.integers(1, 7))
def test_who_follows_and_who_begins_later_end_up_with_the_same(
    chain: Appends, failing: Appends, steps: list[tuple[str, int]], page: int
) -> None:
    stream = StreamModel()
    makes: list[Make] = [short(chain), partial(chain, length=4), failing, lost_once, failing]
    workers = [
        WorkerModel(stream, job(number), make(RunId(f"{number:032x}")))
        for number, make in enumerate(makes)
    ]
    with tempfile.TemporaryDirectory() as folder:
        live, late = Path(folder, "live.db"), Path(folder, "late.db")
        writer = RemoteWriter(live)
        position = 0
        for worker in workers:
            worker.submit()
        for what, number in [*steps, ("follow", 0)]:
            if what == "follow":
                news = stream.after(position)
                assert take(writer, news) == []
                position = stream.sequence
            elif what == "wish":
                stream.wish(workers[number].job.run_id)
            elif what == "step":
                workers[number].step()
            elif workers[number].state.status == "RUNNING":
                workers[number].tell()
        writer.close()

        writer = RemoteWriter(late)
        rest = stream.after(0)
        for first in range(0, len(rest), page):
            assert take(writer, rest[first : first + page], traces=False) == []
        for first in range(0, len(rest), page):
            assert take(writer, rest[first : first + page], lists=False) == []
        writer.close()

        assert dump(live) == dump(late)
        take(writer := RemoteWriter(late), rest)
        writer.close()
        assert dump(live) == dump(late)


def test_a_run_is_one_and_the_same_trace_whether_it_ran_here_or_elsewhere(
    tmp_path: Path, chain: Appends, failing: Appends
) -> None:
    here, elsewhere = tmp_path / "here.db", tmp_path / "index.db"
    store, writer, stream = SqliteStore(here), RemoteWriter(elsewhere), StreamModel()
    makes: list[Make] = [partial(chain, length=3), failing, lost_once]
    for number, make in enumerate(makes):
        run_id = RunId(f"{number:032x}")
        appends = make(run_id)
        journal = store.open_journal(run_id)
        for records in appends:
            journal.append(records)
        worker = WorkerModel(stream, job(number), appends)
        worker.claim()
        while not worker.is_over:
            worker.step()
    store.close()
    take(writer, stream.after(0))
    writer.close()

    assert traces(elsewhere) == traces(here)


def test_a_run_is_pending_then_running_then_over_and_counted_once(
    tmp_path: Path, chain: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    worker = WorkerModel(stream, job(1), chain(RunId(job(1).run_id), 2))
    seen, position = [], 0
    for act in (worker.submit, worker.claim, worker.finish):
        act()
        take(writer, stream.after(position))
        position = stream.sequence
        with closing(RemoteReader(path)) as reader:
            seen.append(reader.counts())
    writer.close()

    assert seen == [{(status, "flow1"): 1} for status in ("PENDING", "RUNNING", "COMPLETED")]


def test_a_wish_to_cancel_shows_at_once_and_not_after_the_end(
    tmp_path: Path, chain: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    worker = WorkerModel(stream, job(1), chain(RunId(job(1).run_id), 1))
    worker.submit()
    stream.wish(worker.job.run_id)
    take(writer, stream.after(0))
    assert states(path) == {worker.job.run_id: "CANCELLING"}
    worker.claim()
    take(writer, stream.after(0))
    assert states(path) == {worker.job.run_id: "CANCELLING"}
    worker.finish("CANCELLED")
    take(writer, stream.after(0))
    writer.close()

    assert states(path) == {worker.job.run_id: "CANCELLED"}


def test_a_run_that_goes_on_is_searched_and_belongs_to_nobody_who_died(
    tmp_path: Path, chain: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    worker = WorkerModel(stream, job(1), chain(RunId(job(1).run_id), 3))
    worker.submit()
    worker.claim()
    worker.store_batch()
    take(writer, stream.after(0))
    writer.close()

    again = RemoteWriter(path)  # would end the runs of dead processes
    with closing(SqliteTraceReader(path)) as reader:
        assert reader.run(worker.job.run_id).status is RunStatus.RUNNING
    with closing(SqliteSearch(path)) as search:
        found = search.search('{ name = "node n0" }').traces
    assert [one.trace_id for one in found] == [worker.job.run_id]
    worker.finish()
    take(again, stream.after(0))
    again.close()
    with closing(SqliteTraceReader(path)) as reader:
        assert reader.run(worker.job.run_id).status is RunStatus.COMPLETED


def test_a_terminal_state_ends_the_trace_where_no_record_does(
    tmp_path: Path, chain: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    appends = chain(RunId(job(1).run_id), 2)[:2]
    worker = WorkerModel(stream, job(1), appends)
    worker.claim()
    worker.state.error = "killed its worker three times"
    worker.finish("FAILED")
    take(writer, stream.after(0))
    writer.close()

    with closing(SqliteTraceReader(path)) as reader:
        trace = reader.trace(worker.job.run_id)
    assert trace.run.status is RunStatus.FAILED
    assert trace.run.reason == "killed its worker three times"
    assert all(span.end_ns is not None for span in trace.spans)


def test_a_batch_that_is_missing_is_named_and_mended(tmp_path: Path, chain: Appends) -> None:
    path = tmp_path / "index.db"
    writer = RemoteWriter(path)
    run_id = job(1).run_id
    bodies = [encode(records) for records in chain(RunId(run_id), 3)]
    first = Stands(
        1, START, RunState(job=job(1), status="RUNNING", batches=1, journal=(bodies[0],))
    )

    assert take(writer, [first, Batch(3, run_id, 3, bodies[2])]) == [run_id]
    writer.mend([Piece(run_id, dict(enumerate(bodies, 1)), is_whole=True)])
    assert take(writer, [Batch(4, run_id, 2, bodies[1])]) == []
    writer.close()

    with closing(SqliteTraceReader(path)) as reader:
        assert reader.run(run_id).status is RunStatus.COMPLETED


@pytest.mark.parametrize("rubbish", [b"", b"\xc1", encode([RunFinished(5, RunStatus.FAILED)])])
def test_a_journal_that_makes_no_sense_spoils_no_other(
    tmp_path: Path, chain: Appends, rubbish: bytes
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    good = WorkerModel(stream, job(1), chain(RunId(job(1).run_id), 1))
    twice = chain(RunId(job(2).run_id), 1)
    broken = WorkerModel(stream, job(2), [*twice[:1], twice[0][2:], *twice[1:]])
    odd = WorkerModel(stream, job(3), [[]])
    odd.bodies = [rubbish]
    for worker in (broken, odd, good):
        worker.claim()
        worker.finish()
    take(writer, stream.after(0))
    writer.close()

    assert states(path) == {f"{number:032x}": "COMPLETED" for number in (1, 2, 3)}
    with closing(SqliteTraceReader(path)) as reader:
        assert [run.run_id for run in reader.runs()] == [good.job.run_id]


def test_an_output_too_large_for_a_row_becomes_a_file(tmp_path: Path, chain: Appends) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    appends = chain(RunId(job(1).run_id), 1)
    large = b'"' + b"x" * (2 << 20) + b'"'
    appends[1][0] = type(appends[1][0])(*[
        large if name == "output" else getattr(appends[1][0], name)
        for name in appends[1][0].__struct_fields__
    ])  # fmt: skip
    worker = WorkerModel(stream, job(1), appends)
    worker.claim()
    worker.finish()
    take(writer, stream.after(0))
    writer.close()

    with closing(SqliteTraceReader(path)) as reader:
        kept = [one for one in reader.checkpoints(job(1).run_id) if one.path == "n0"]
    assert kept[0].codec == "file:json"


def test_failures_are_kept_with_the_worker_they_happened_on(
    tmp_path: Path, failing: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    for number in range(2):
        worker = WorkerModel(
            stream, job(number), failing(RunId(f"{number:032x}"), attributes={"worker.id": "w1"})
        )
        worker.claim()
        while not worker.is_over:
            worker.step()
    take(writer, stream.after(0))
    writer.close()

    with closing(SqliteFailureLog(path)) as log:
        found = log.failures(FailureFilter())
    assert {one.run_id for one in found} == {f"{number:032x}" for number in range(2)}
    assert {one.path[:2] for one in found} == {("root", "worker:w1")}
    assert {one.disposition for one in found} == {"retried", "terminal"}


def test_what_has_expired_goes_with_its_trace(tmp_path: Path, chain: Appends) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    for number in range(4):
        worker = WorkerModel(stream, job(number), chain(RunId(f"{number:032x}"), 1))
        worker.claim()
        if number:
            worker.finish()
    take(writer, stream.after(0))

    assert writer.expire(START + 6_500, now=START) == 2  # the first one goes on
    assert writer.expire(START + 6_500, now=START) == 0
    take(writer, [Gone(100, f"{3:032x}")])
    writer.remove([f"{0:032x}"])
    writer.close()

    assert states(path) == {}
    assert lists(path) == [{}]


def test_nothing_is_left_after_it_was_wiped_and_all_can_be_made_anew(
    tmp_path: Path, chain: Appends, failing: Appends
) -> None:
    path = tmp_path / "index.db"
    writer, stream = RemoteWriter(path), StreamModel()
    makes: list[Make] = [partial(chain, length=2), failing]
    for number, make in enumerate(makes):
        worker = WorkerModel(stream, job(number), make(RunId(f"{number:032x}")))
        worker.claim()
        worker.finish("COMPLETED" if not number else "FAILED")
    take(writer, stream.after(0))
    before = dump(path)
    writer.wipe()
    assert dump(path) == [[{}], {}, [[], [], []]]
    assert writer.position(STREAM) == Position()
    take(writer, stream.after(0))
    writer.close()

    assert dump(path) == before


def test_a_store_of_local_runs_is_no_index(tmp_path: Path, chain: Appends) -> None:
    path = tmp_path / "tailrace.db"
    store = SqliteStore(path)
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    for records in chain(run_id, 1):
        journal.append(records)
    store.close()

    with pytest.raises(StoreError) as caught:
        RemoteWriter(path)
    assert caught.value.code == "TR522"


def test_two_do_not_make_one_index(tmp_path: Path) -> None:
    writer = RemoteWriter(tmp_path / "index.db")

    with pytest.raises(StoreError) as caught:
        RemoteWriter(tmp_path / "index.db")
    assert caught.value.code == "TR523"
    writer.close()
    RemoteWriter(tmp_path / "index.db").close()
