"""Reading: fast, beside writers, and clear about what is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import NotFound, StoreError
from tailrace.model import RunFinished, RunId, RunStarted, RunStatus, new_run_id
from tailrace.store import SqliteStore, SqliteTraceReader, find_database
from tailrace.store.writer import Writer

Chain = Callable[..., list[list[Any]]]


def write_run(store: SqliteStore, appends: list[list[Any]]) -> RunId:
    run_id: RunId = appends[0][0].run_id
    journal = store.open_journal(run_id)
    for records in appends:
        journal.append(records)
    journal.close()
    return run_id


def test_a_reader_does_not_block_a_writer_nor_the_writer_it(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    first = write_run(store, chain(new_run_id(), 3))
    reader = SqliteTraceReader(path)

    with reader._moment(first) as moment:
        second = write_run(store, chain(new_run_id(), 3))
        assert len(moment.trace(events=True).spans) == 7

    assert [run.run_id for run in reader.runs()] == [second, first]
    reader.close()
    store.close()


def test_a_reader_of_a_folder_without_write_permission_works(tmp_path: Path, chain: Chain) -> None:
    folder = tmp_path / "sealed"
    store = SqliteStore(folder / "runs.db")
    run_id = write_run(store, chain(new_run_id(), 2))
    store.close()
    folder.chmod(0o555)
    try:
        reader = SqliteTraceReader(folder / "runs.db")
        assert len(reader.trace(run_id).spans) == 5
        reader.close()
    finally:
        folder.chmod(0o755)


def test_an_ambiguous_prefix_lists_the_candidates(tmp_path: Path, chain: Chain) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    ids = [RunId(f"abc{number:029x}") for number in range(7)]
    for run_id in ids:
        write_run(store, chain(run_id, 1))
    reader = SqliteTraceReader(tmp_path / "runs.db")

    with pytest.raises(NotFound, match="more than one") as caught:
        reader.resolve("ABC")
    assert ids[0] in caught.value.message
    assert ids[6] not in caught.value.message
    assert reader.resolve(ids[3].upper()) == ids[3]
    with pytest.raises(NotFound, match=r"'zzzz' is no run id: .* of which the first will do$"):
        reader.resolve("zzzz")
    reader.close()
    store.close()


def test_a_damaged_row_is_an_error_of_the_store_not_a_crash(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    run_id = write_run(store, chain(new_run_id(), 2))
    assert store._writer is not None
    store._writer.db.execute("UPDATE span SET attributes = '{broken' WHERE parent = 1")
    reader = SqliteTraceReader(path)

    with pytest.raises(StoreError) as caught:
        reader.trace(run_id)
    assert caught.value.code == "TR505"
    store._writer.db.execute("DELETE FROM shape")
    with pytest.raises(StoreError) as caught:
        reader.trace(run_id)
    assert caught.value.code == "TR505"
    reader.close()
    store.close()


def test_the_database_is_found_from_any_folder_below(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_database(below) is None

    SqliteStore(tmp_path / ".tailrace" / "tailrace.db").close()
    assert find_database(below) == tmp_path / ".tailrace" / "tailrace.db"
    SqliteStore(below / ".tailrace" / "tailrace.db").close()
    assert find_database(below) == below / ".tailrace" / "tailrace.db"


def test_reading_stays_fast_among_many_runs(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    target = write_run(store, chain(new_run_id(), 50))
    writer = store._writer
    assert isinstance(writer, Writer)
    with writer.transaction() as db:
        db.executemany(
            """INSERT INTO run (run_id, flow, source, status, start, "end", span_base, writer)
            VALUES (?, 1, 'test', ?, ?, 5, 7, 'x')""",
            (
                (f"{number:032x}", "FAILED" if number % 100 == 0 else "COMPLETED", number)
                for number in range(30_000)
            ),
        )
    reader = SqliteTraceReader(path)

    def thousands_of_steps(ask: Callable[[], Any]) -> int:
        steps = []
        reader._db.set_progress_handler(lambda: steps.append(1), 1_000)
        ask()
        reader._db.set_progress_handler(None, 0)
        return len(steps)

    assert thousands_of_steps(lambda: reader.runs(limit=50)) < 20
    assert thousands_of_steps(lambda: reader.runs(limit=50, status="FAILED")) < 20
    assert thousands_of_steps(lambda: reader.runs(limit=50, flow="chain", since_ns=500)) < 20
    assert thousands_of_steps(lambda: reader.resolve(target[:20])) < 20
    assert thousands_of_steps(lambda: reader.trace(target)) < 20
    reader.close()
    store.close()


def test_a_filter_by_state_sees_through_the_recorded_one(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    ids = [new_run_id() for _ in range(3)]
    for run_id in ids:
        journal = store.open_journal(run_id)
        journal.append([RunStarted(run_id, "f", "h", "", 5, {}, "test", 1)])
        if run_id == ids[1]:
            journal.append([RunFinished(6, RunStatus.COMPLETED)])
    reader = SqliteTraceReader(path)

    assert len(reader.runs(status="RUNNING")) == 2
    assert reader.runs(status="INTERRUPTED") == []
    assert store._writer is not None
    store._writer.db.execute("UPDATE run SET writer = 'gone' WHERE run_id = ?", (ids[0],))
    assert [run.run_id for run in reader.runs(status="RUNNING")] == [ids[2]]
    (dead,) = reader.runs(status="INTERRUPTED", limit=1)
    assert (dead.run_id, dead.end_ns, dead.reason) == (ids[0], 5, "interrupted")
    reader.close()
    store.close()


def test_a_file_may_have_any_name(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "a ?#%20&mode=x é" / "r'u\"ns.db"
    store = SqliteStore(path)
    run_id = write_run(store, chain(new_run_id(), 1))
    reader = SqliteTraceReader(path)

    assert reader.resolve("@last") == run_id
    reader.close()
    store.close()


def test_all_versions_of_a_flow_are_listed_together_newest_first(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    ids = [new_run_id() for _ in range(6)]
    for position, run_id in enumerate(ids):
        journal = store.open_journal(run_id)
        started = RunStarted(run_id, "f", f"v{position % 2}", "", 10 + position, {}, "test", 1)
        journal.append([started, RunFinished(50, RunStatus.COMPLETED)])
    reader = SqliteTraceReader(tmp_path / "runs.db")

    assert [run.run_id for run in reader.runs(flow="f")] == ids[::-1]
    newest = reader.runs(flow="f", limit=3, status="COMPLETED", until_ns=15)
    assert [(run.run_id, run.flow_hash) for run in newest] == [
        (ids[4], "v0"), (ids[3], "v1"), (ids[2], "v0"),
    ]  # fmt: skip
    reader.close()
    store.close()
