"""The write side: what is on disk when, and what becomes of interrupted statements."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.model import (
    Durability,
    EventsDropped,
    Logged,
    NodeFinished,
    NodeState,
    RunFinished,
    RunStatus,
    new_run_id,
)
from tailrace.store import SqliteStore, SqliteTraceReader, shared_store
from tailrace.store.journal import BATCH
from tailrace.tracing.spans import fold
from waiting import wait_until

Chain = Callable[..., list[list[Any]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "runs.db")
    yield store
    store.close()


def rows(store: SqliteStore, query: str) -> list[tuple[Any, ...]]:
    """What another program sees in the file."""
    db = sqlite3.connect(store.path, isolation_level=None)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_an_append_is_in_the_file_when_it_returns(store: SqliteStore, chain: Chain) -> None:
    first, second, *_ = chain(new_run_id(), 3)
    journal = store.open_journal(first[0].run_id)

    journal.append(first)
    assert rows(store, "SELECT status FROM run") == [("RUNNING",)]
    journal.append(second)
    assert rows(store, "SELECT count(*) FROM journal") == [(1,)]


def test_batches_become_rows_and_leave_the_journal(store: SqliteStore, chain: Chain) -> None:
    appends = chain(new_run_id(), BATCH)
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends[:-1]:
        journal.append(records)

    assert rows(store, "SELECT count(*) FROM journal")[0][0] < BATCH
    assert rows(store, "SELECT count(*) FROM span")[0][0] > BATCH / 4
    journal.append(appends[-1])
    assert rows(store, "SELECT count(*) FROM journal") == [(0,)]
    assert rows(store, "SELECT status, spans FROM run") == [("COMPLETED", 2 * BATCH + 1)]


def test_a_node_that_succeeds_at_once_shares_a_row_with_its_attempt(
    store: SqliteStore, chain: Chain
) -> None:
    appends = chain(new_run_id(), 50, at=time.time_ns())
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        journal.append(records)

    assert rows(store, "SELECT count(*) FROM span")[0][0] < 60
    assert rows(store, "SELECT count(*) FROM spans") == [(101,)]


def test_events_dropped_late_reach_an_attempt_without_a_row_of_its_own(
    store: SqliteStore, chain: Chain
) -> None:
    appends = chain(new_run_id(), 4)
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends[:-1]:
        journal.append(records)
    journal.flush()
    assert rows(store, "SELECT count(*) FROM span WHERE attempt > 0") != [(0,)]

    journal.append([EventsDropped(5, 3)])
    journal.append(appends[-1])

    reader = SqliteTraceReader(store.path)
    records = [record for batch in (*appends[:-1], [EventsDropped(5, 3)], appends[-1])
               for record in batch]  # fmt: skip
    assert reader.trace(appends[0][0].run_id) == fold(records).trace()
    reader.close()


def test_a_note_is_in_the_file_soon_though_nothing_is_appended(
    store: SqliteStore, chain: Chain
) -> None:
    first, *_ = chain(new_run_id(), 1)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)

    journal.note(Logged(3, 1_005, "stdout", {"message": "hello"}))
    wait_until(lambda: rows(store, "SELECT name FROM event") == [("stdout",)], "the line is there")


def test_rows_of_a_live_run_come_soon_though_nothing_is_appended(
    store: SqliteStore, chain: Chain
) -> None:
    first, second, *_ = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.append(second)

    wait_until(
        lambda: rows(store, "SELECT count(*) FROM checkpoint") == [(1,)], "a checkpoint is there"
    )
    assert rows(store, "SELECT count(*) FROM journal") == [(0,)]


def test_relaxed_records_are_in_the_file_soon(tmp_path: Path, chain: Chain) -> None:
    store = SqliteStore(tmp_path / "runs.db", durability=Durability.RELAXED)
    first, second, *_ = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.append(second)

    assert rows(store, "SELECT count(*) FROM journal") == [(0,)]
    wait_until(
        lambda: rows(store, "SELECT count(*) FROM checkpoint") == [(1,)], "a checkpoint is there"
    )
    store.close()


def test_power_durability_syncs_every_commit(tmp_path: Path) -> None:
    levels = {}
    for durability in Durability:
        store = SqliteStore(tmp_path / f"{durability}.db", durability=durability)
        assert store._writer is not None
        levels[durability] = store._writer.db.execute("PRAGMA synchronous").fetchone()[0]
        store.close()

    assert levels == {Durability.POWER: 2, Durability.PROCESS: 1, Durability.RELAXED: 1}


def test_a_run_released_without_an_end_is_interrupted(store: SqliteStore, chain: Chain) -> None:
    first, *_ = chain(new_run_id(), 1)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.close()

    assert rows(store, "SELECT status, reason FROM run") == [("INTERRUPTED", "interrupted")]
    assert rows(store, "SELECT count(*) FROM span WHERE duration IS NULL") == [(0,)]


def test_a_journal_that_was_never_used_leaves_nothing(store: SqliteStore) -> None:
    store.open_journal(new_run_id()).close()

    assert rows(store, "SELECT count(*) FROM run") == [(0,)]


def test_closing_the_store_writes_what_waits(tmp_path: Path, chain: Chain) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    first, *_ = chain(new_run_id(), 1)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.note(Logged(3, 1_005, "log", {}))
    store.close()
    store.close()

    assert rows(store, "SELECT name FROM event") == [("log",)]
    assert rows(store, "SELECT status FROM run") == [("INTERRUPTED",)]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["runs.db", "runs.db-ballast", "runs.db-live"]
    assert list((tmp_path / "runs.db-live").iterdir()) == []


def test_a_closed_journal_takes_nothing_and_a_note_never_raises(
    store: SqliteStore, chain: Chain
) -> None:
    appends = chain(new_run_id(), 1)
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        journal.append(records)
    journal.close()
    journal.close()

    journal.note(Logged(1, 5, "late", {}))
    with pytest.raises(StoreError, match="is closed"):
        journal.append([Logged(1, 5, "late", {})])
    assert rows(store, "SELECT count(*) FROM event") == [(0,)]


def test_a_closed_store_opens_no_journal(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    store.close()

    with pytest.raises(StoreError, match="is closed"):
        store.open_journal(new_run_id())


def test_a_run_id_is_used_once(store: SqliteStore, chain: Chain) -> None:
    appends = chain(new_run_id(), 1)
    store.open_journal(appends[0][0].run_id).append(appends[0])

    with pytest.raises(StoreError, match="already"):
        store.open_journal(appends[0][0].run_id).append(appends[0])
    assert rows(store, "SELECT count(*) FROM span WHERE parent = 0") == [(1,)]


def test_a_run_that_is_deleted_while_it_runs_stops(store: SqliteStore, chain: Chain) -> None:
    first, *_, last = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    rows(store, "DELETE FROM run")

    with pytest.raises(StoreError, match="deleted") as caught:
        journal.append(last)
    assert caught.value.code == "TR503"
    assert rows(store, "SELECT count(*) FROM span") == [(0,)]
    with pytest.raises(StoreError):
        journal.close()


def test_the_journal_of_a_deleted_run_says_so_when_it_is_closed(
    store: SqliteStore, chain: Chain
) -> None:
    first, second, *_ = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.append(second)
    rows(store, "DELETE FROM run")

    with pytest.raises(StoreError, match="deleted") as caught:
        journal.close()
    assert caught.value.code == "TR503"


def test_runs_of_many_threads_share_the_store(store: SqliteStore, chain: Chain) -> None:
    ids = [new_run_id() for _ in range(6)]

    def run(run_id: Any) -> None:
        journal = store.open_journal(run_id)
        for records in chain(run_id, 200):
            journal.append(records)
        journal.close()

    threads = [threading.Thread(target=run, args=(run_id,)) for run_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    reader = SqliteTraceReader(store.path)
    for run_id in ids:
        expected = fold([record for batch in chain(run_id, 200) for record in batch])
        assert reader.trace(run_id) == expected.trace()
    reader.close()


class _Interrupting:
    """A cursor after whose first statement with a certain word an interrupt hits."""

    def __init__(self, cursor: sqlite3.Cursor, word: str) -> None:
        self._cursor = cursor
        self._word: str | None = word

    def execute(self, statement: str, *parameters: Any) -> Any:
        result = self._cursor.execute(statement, *parameters)
        if self._word is not None and self._word in statement:
            self._word = None
            raise KeyboardInterrupt
        return result

    def close(self) -> None:
        self._cursor.close()


@pytest.mark.parametrize("hit", [0, 1, 4])
@pytest.mark.parametrize("word", ["INSERT INTO journal", "BEGIN", "COMMIT"])
def test_an_interrupt_right_after_a_statement_neither_loses_nor_doubles_anything(
    store: SqliteStore, chain: Chain, word: str, hit: int
) -> None:
    appends = chain(new_run_id(), 4)
    journal = store.open_journal(appends[0][0].run_id)
    writer = store._writer
    assert writer is not None
    for position, records in enumerate(appends):
        if position == hit:
            interrupting: Any = _Interrupting(writer.cursor, word)
            writer.cursor, journal._execute = interrupting, interrupting.execute
        try:
            journal.append(records)
        except KeyboardInterrupt:
            if word == "BEGIN":
                journal.append(records)  # it was before the commit: nothing is written yet

    reader = SqliteTraceReader(store.path)
    expected = fold([record for batch in appends for record in batch])
    assert reader.trace(appends[0][0].run_id) == expected.trace()
    reader.close()


def test_the_shared_store_is_opened_once_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    first = shared_store(path)
    again = shared_store(tmp_path / "." / "runs.db")
    relaxed = shared_store(path, durability=Durability.RELAXED)

    assert first is again
    assert relaxed is not first
    first.close()
    renewed = shared_store(path)
    assert renewed is not first
    renewed.close()
    relaxed.close()


@pytest.mark.no_cover
def test_a_long_run_does_not_grow_the_process(store: SqliteStore, chain: Chain) -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    run_id = new_run_id()
    journal = store.open_journal(run_id)
    journal.append(chain(run_id, 1)[0][:2])
    body = b"x" * 200
    before = 0
    for index in range(17_500):
        span = 2 + 2 * index
        started = chain(run_id, 1)[0][2]
        journal.append([
            type(started)(span, span + 1, 1, 1, f"n{index}", "", index, {"x": index}),
            NodeFinished(
                span, span + 1, NodeState.SUCCEEDED, index, f"n{index}", body, "json", 1, "stored"
            ),
        ])  # fmt: skip
        if index == 5_000:
            before = resident()
    after = resident()
    journal.append([RunFinished(9, RunStatus.COMPLETED)])

    assert after - before < 4 << 20
    assert rows(store, "SELECT spans FROM run") == [(35_001,)]


def test_what_was_noted_before_an_append_that_failed_is_not_lost(
    store: SqliteStore, chain: Chain
) -> None:
    first, second, *_ = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    assert store._writer is not None
    db = store._writer.db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    journal.note(Logged(3, 1_005, "log", {"message": "x" * 50_000}))
    with pytest.raises(StoreError):
        journal.append(second)

    db.execute("PRAGMA max_page_count = 1073741823")
    journal.append(second)
    reader = SqliteTraceReader(store.path)
    (event,) = reader.trace(first[0].run_id).spans[2].events
    assert event.name == "log"
    reader.close()
