"""The file itself: whose it is, how it grows up, what it refuses."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.model import Logged, RunId, new_run_id
from tailrace.store import SqliteStore, SqliteTraceReader, inspect_store, verify_store
from tailrace.store.migrations import APPLICATION_ID, migrate
from tailrace.store.schema import STEPS

Chain = Callable[..., list[list[Any]]]
NEXT = (*STEPS, ("CREATE TABLE later (x)", "INSERT INTO later SELECT count(*) FROM run"))


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def filled(path: Path, chain: Chain, *, length: int = 3) -> RunId:
    store = SqliteStore(path)
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, length, at=1_700_000_000_123_456_789)
    appends[-1].insert(0, Logged(1, 1_700_000_000_123_456_790, "log", {"message": "m"}))
    for records in appends:
        journal.append(records)
    store.close()
    return run_id


def test_a_new_file_is_ours_in_the_newest_version_and_can_shrink(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "runs.db"
    SqliteStore(path).close()

    db = raw(path)
    pragmas = ("application_id", "user_version", "auto_vacuum", "journal_mode")
    assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == [
        APPLICATION_ID, len(STEPS), 2, "wal",
    ]  # fmt: skip
    db.close()


def test_every_step_keeps_what_is_there(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    run_id = filled(path, chain)
    db = raw(path)

    migrate(db, str(path), NEXT)
    migrate(db, str(path), NEXT)

    assert db.execute("PRAGMA user_version").fetchone() == (len(NEXT),)
    assert db.execute("SELECT x FROM later").fetchall() == [(1,)]
    assert db.execute("SELECT count(*) FROM spans WHERE trace_id = ?", (run_id,)).fetchone() == (7,)
    db.close()


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    filled(path, chain)
    db = raw(path)
    broken = (*STEPS, ("CREATE TABLE later (x)", "CREATE TABLE run (x)"))

    with pytest.raises(sqlite3.OperationalError):
        migrate(db, str(path), broken)

    assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)
    db.close()


def test_many_may_open_a_new_file_at_once(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    problems: list[BaseException] = []
    barrier = threading.Barrier(8)

    def open_it() -> None:
        barrier.wait()
        try:
            SqliteStore(path).close()
        except BaseException as error:  # noqa: BLE001 - reported by the assertion
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    filled(path, chain)
    assert verify_store(path) == []


@pytest.mark.parametrize("opened", [SqliteStore, SqliteTraceReader])
def test_a_newer_file_is_refused(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    path = tmp_path / "runs.db"
    SqliteStore(path).close()
    db = raw(path)
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError, match="schema version 99") as caught:
        opened(path)
    assert caught.value.code == "TR502"


@pytest.mark.parametrize("opened", [SqliteStore, SqliteTraceReader])
def test_a_file_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    path = tmp_path / "runs.db"
    db = raw(path)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="another program") as caught:
        opened(path)
    assert caught.value.code == "TR505"
    assert path.read_bytes() == before


@pytest.mark.parametrize("opened", [SqliteStore, SqliteTraceReader])
@pytest.mark.parametrize("content", [b"this is no database at all, only text. " * 200, b"x"])
def test_a_file_that_is_no_database_is_refused(
    tmp_path: Path, opened: Callable[[Path], Any], content: bytes
) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(content)

    with pytest.raises(StoreError) as caught:
        opened(path)
    assert caught.value.code == "TR505"
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError) as caught:
        SqliteStore(tmp_path / "file" / "runs.db")
    assert caught.value.code == "TR501"
    assert "--db" in caught.value.hint


def test_a_folder_in_place_of_the_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        SqliteStore(tmp_path)
    assert caught.value.code == "TR501"


def test_a_reader_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store") as caught:
        SqliteTraceReader(tmp_path / "none.db")
    assert caught.value.code == "TR501"
    assert not (tmp_path / "none.db").exists()


def test_deleting_a_run_deletes_everything_of_it_and_nothing_else(
    tmp_path: Path, chain: Chain
) -> None:
    path = tmp_path / "runs.db"
    gone, kept = filled(path, chain), filled(path, chain)
    tables = ("span", "event", "checkpoint", "journal")
    db = raw(path)
    count = "SELECT count(*) FROM {}"
    before = [db.execute(count.format(table)).fetchone()[0] for table in tables]

    db.execute("DELETE FROM run WHERE run_id = ?", (gone,))

    after = [db.execute(count.format(table)).fetchone()[0] for table in tables]
    assert after == [number // 2 for number in before]
    assert before[0] > 0
    assert db.execute("SELECT run_id FROM runs").fetchall() == [(kept,)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


def test_the_number_of_a_deleted_run_is_never_given_again(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    filled(path, chain)
    db = raw(path)
    db.execute("DELETE FROM run")
    db.close()
    filled(path, chain)

    db = raw(path)
    assert db.execute("SELECT no FROM run").fetchall() == [(2,)]
    db.close()


def test_the_views_have_the_older_names_and_columns(tmp_path: Path, chain: Chain) -> None:
    path = tmp_path / "runs.db"
    run_id = filled(path, chain, length=1)
    reader = SqliteTraceReader(path)
    spans = reader.trace(run_id).spans
    reader.close()
    db = raw(path)
    db.row_factory = sqlite3.Row

    rows = {row["span_id"]: dict(row) for row in db.execute("SELECT * FROM spans")}
    assert list(next(iter(rows.values()))) == [
        "span_id", "trace_id", "parent_span_id", "service_name", "kind", "name", "attributes",
        "status", "error", "start_time", "end_time", "policy_snapshot", "timeout",
    ]  # fmt: skip
    assert len(rows) == len(spans) == 3
    for span in spans:
        row = rows[span.span_id]
        assert (row["trace_id"], row["parent_span_id"]) == (run_id, span.parent_id)
        assert (row["name"], row["kind"], row["service_name"]) == (span.name, span.type, "chain")
        assert json.loads(row["attributes"]) == span.attributes
        assert (row["status"], row["error"], row["timeout"]) == ("OK", None, 0)
        assert row["start_time"] == "2023-11-14T22:13:20.123456Z"
    node = rows[spans[1].span_id]
    assert json.loads(node["policy_snapshot"]) == {"a": 1}

    traces = [dict(row) for row in db.execute("SELECT * FROM traces")]
    assert list(traces[0]) == [
        "span_id", "run_id", "parent_span_id", "name", "start_time", "end_time", "attributes_json",
    ]  # fmt: skip
    assert {row["span_id"] for row in traces} == set(rows)
    (run,) = (dict(row) for row in db.execute("SELECT * FROM runs"))
    assert (run["run_id"], run["flow"], run["status"], run["spans"]) == (
        run_id, "chain", "COMPLETED", 3,
    )  # fmt: skip
    db.close()


def test_a_file_of_the_first_schema_is_migrated_and_takes_failures(
    tmp_path: Path, chain: Chain, failing: Chain
) -> None:
    path = tmp_path / "runs.db"
    db = raw(path)
    db.execute("PRAGMA journal_mode = WAL")
    migrate(db, str(path), STEPS[:1])
    run_id = new_run_id()
    db.execute("INSERT INTO flow VALUES (1, 'old', 'h', 'flow.yaml')")
    db.execute(
        """INSERT INTO run (run_id, flow, source, status, start, "end", span_base, writer, spans)
        VALUES (?, 1, 'cli', 'COMPLETED', 1, 9, 5, 'gone', 1)""",
        (run_id,),
    )
    db.execute("INSERT INTO shape VALUES (1, 'run', '', '', 'run ', '{}')")
    db.execute(
        "INSERT INTO span (id, parent, shape, name, path, start, duration) "
        "VALUES (1 << 28 | 1, 0, 1, 'old', '', 1, 8)"
    )
    db.execute("INSERT INTO checkpoint VALUES (1 << 28 | 1, 'json', x'31')")
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()

    reader = SqliteTraceReader(path)
    assert [run.status for run in reader.runs()] == ["COMPLETED"]
    assert [kept.body for kept in reader.checkpoints(run_id)] == [b"1"]
    reader.close()
    store = SqliteStore(path)
    for appends in (failing(), chain(new_run_id(), 3)):
        journal = store.open_journal(appends[0][0].run_id)
        for records in appends:
            journal.append(records)
        journal.close()
    store.close()
    stats = inspect_store(path)
    assert (stats.schema, stats.runs, stats.failures, stats.groups, stats.letters) == (
        len(STEPS), 3, 2, 1, 1,
    )  # fmt: skip
    assert verify_store(path) == []


def test_deleting_a_run_deletes_its_failures_and_keeps_its_letter(
    tmp_path: Path, failing: Chain
) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    journal = store.open_journal((appends := failing())[0][0].run_id)
    for records in appends:
        journal.append(records)
    store.close()
    db = raw(store.path)
    db.execute("DELETE FROM run")

    assert db.execute("SELECT count(*) FROM failure").fetchone() == (0,)
    assert db.execute("SELECT count FROM failure_group").fetchone() == (2,)
    assert db.execute("SELECT count(*) FROM dead_letter").fetchone() == (1,)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


def test_a_failure_of_a_group_that_is_gone_is_found_by_the_check(
    tmp_path: Path, failing: Chain
) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    journal = store.open_journal((appends := failing())[0][0].run_id)
    for records in appends:
        journal.append(records)
    store.close()
    db = raw(store.path)
    db.execute("DELETE FROM failure_group")
    db.close()

    assert verify_store(store.path) == [
        f"row {row} of failure refers to a row of failure_group that is gone" for row in (1, 2)
    ]
