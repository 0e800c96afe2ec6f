"""What failures of runs leave in the file, in the very commits that write their records."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.model import (
    FailureRecord,
    NodeFinished,
    NodeStarted,
    NodeState,
    RunFinished,
    RunStarted,
    RunStatus,
    new_run_id,
)
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, Redrive
from tailrace.store import (
    SqliteDeadLetters,
    SqliteFailureLog,
    SqliteRedriveLog,
    SqliteStore,
    SqliteTraceReader,
    StoreLimits,
    verify_store,
)

Appends = Callable[..., list[list[Any]]]
Failure = Callable[..., FailureRecord]
ANY = FailureFilter()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "runs.db")
    yield store
    store.close()


def write(store: SqliteStore, appends: list[list[Any]]) -> None:
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        journal.append(records)
    journal.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program sees in the file."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def letter_of(path: Path) -> DeadLetter:
    letters = SqliteDeadLetters(path)
    states = ("open", "parked", "redriving", "resolved")
    (found,) = (one for state in states for one in letters.letters(FailureFilter(state=state)))
    letters.close()
    return found


def claim(path: Path, batch: str = "B-1") -> DeadLetter:
    letters = SqliteDeadLetters(path)
    redrive = Redrive(dl_id="", generation=0, batch_id=batch, actor="ann", at_ns=time.time_ns())
    (claimed,) = letters.claim(ANY, redrive, limit=1)
    letters.close()
    return claimed


# The commits of the journal.


def test_a_run_that_succeeds_costs_no_statement_and_no_module_more(
    tmp_path: Path, chain: Appends
) -> None:
    program = """
import sqlite3, sys
from tailrace.store import SqliteStore
from tailrace.model import *
store = SqliteStore(sys.argv[1])
said = []
store.writer.db.set_trace_callback(said.append)
run_id = new_run_id()
journal = store.open_journal(run_id)
journal.append([RunStarted(run_id, "f", "h", "", 5, {}, "test", 1), ShapeDeclared(1, "m:f", {}),
                NodeStarted(2, 3, 1, 1, "a", "", 6, {})])
journal.append([NodeFinished(2, 3, NodeState.SUCCEEDED, 7, "a"),
                RunFinished(8, RunStatus.COMPLETED)])
journal.close()
store.writer.db.set_trace_callback(None)
tables = (" failure ", "failure_", "stack", "dead_letter", "recovery_action", "redrive", "PRAGMA")
print([text for text in said if any(table in text for table in tables)])
print([name for name in sys.modules if name.startswith(("tailrace.store.f", "tailrace.store.l"))
       and name.rpartition(".")[2] in ("failures", "fallout", "letters", "failure_row")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "runs.db")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "[]\n[]\n"


def test_the_row_of_a_run_holds_what_a_redrive_needs(store: SqliteStore, failing: Appends) -> None:
    write(store, failing(lineage="0" * 32, resumed_from="1" * 32, letter="DL-X", generation=2))

    query = "SELECT lineage, resumed_from, letter, generation, length(digest), policies FROM run"
    assert rows(store.path, query) == [("0" * 32, "1" * 32, "DL-X", 2, 71, '{"fail_fast":true}')]
    query = "SELECT v.name FROM run JOIN version AS v ON v.id = run.version"
    assert rows(store.path, query) == [("sha256:1",)]
    reader = SqliteTraceReader(store.path)
    (inputs,) = reader.checkpoints(reader.resolve("@last"))
    assert (inputs.path, inputs.codec, inputs.body) == ("", "json", b'{"params":{}}')
    reader.close()


def test_a_failure_is_in_the_file_with_the_end_of_its_run_or_not_at_all(
    store: SqliteStore, failing: Appends
) -> None:
    *before, end = failing()
    journal = store.open_journal(before[0][0].run_id)
    for records in before:
        journal.append(records)
    with store.writer.lock:
        store.writer.db.execute(
            """CREATE TRIGGER refused BEFORE INSERT ON dead_letter
            BEGIN SELECT raise(ABORT, 'no letters today'); END"""
        )
    with pytest.raises(StoreError, match="no letters today"):
        journal.append(end)
    assert rows(store.path, "SELECT status FROM run") == [("RUNNING",)]
    assert rows(store.path, "SELECT count(*) FROM failure") == [(0,)]
    assert rows(store.path, "SELECT count(*) FROM failure_group") == [(0,)]

    with store.writer.lock:
        store.writer.db.execute("DROP TRIGGER refused")
    journal.append(end)
    assert rows(store.path, "SELECT status FROM run") == [("FAILED",)]
    assert rows(store.path, "SELECT count(*) FROM failure") == [(2,)]
    assert rows(store.path, "SELECT count, suppressed FROM failure_group") == [(2, 0)]
    assert rows(store.path, "SELECT state FROM dead_letter") == [("open",)]


def test_the_end_of_a_failed_run_survives_the_loss_of_power_and_other_commits_pay_nothing(
    store: SqliteStore, failing: Appends, chain: Appends
) -> None:
    said: list[str] = []
    store.writer.db.set_trace_callback(said.append)
    write(store, chain(new_run_id(), 3))
    assert not [text for text in said if "synchronous" in text]
    write(store, failing())
    store.writer.db.set_trace_callback(None)

    levels = [text for text in said if "synchronous" in text]
    assert levels == ["PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"]
    full = said.index("PRAGMA synchronous = FULL")
    assert any("INSERT OR IGNORE INTO dead_letter" in text for text in said[full:])
    assert store.writer.db.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_failure_goes_on_from_the_file_when_its_fold_was_lost(
    store: SqliteStore, failing: Appends, failure: Failure
) -> None:
    first, *_ = failing()
    journal = store.open_journal(first[0].run_id)
    lost = failure(1, given_up="permanent")
    journal.append(first)
    journal.append([NodeFinished(2, 3, NodeState.FAILED, 1_003, "load", failure=lost)])
    journal.flush()
    log = SqliteFailureLog(store.path)
    assert [(one.disposition, one.stage.hops()) for one in log.failures(ANY)] == [("open", 1)]

    journal._forget_fallout()
    journal._projection = None
    journal.append([RunFinished(1_005, RunStatus.FAILED, lost, "load")])
    journal.close()
    (found,) = log.failures(ANY)
    assert (found.disposition, found.stage.hops(), found.failure_id) == (
        "terminal", 3, lost.failure_id,
    )  # fmt: skip
    assert [group.count for group in log.groups(ANY)] == [1]
    log.close()


# The flood.


def loop_of_failures(number: int, failure: Failure) -> list[list[Any]]:
    """A run in which so many nodes fail and are handled, and the last one ends the run."""
    run_id = new_run_id()
    appends: list[list[Any]] = [[RunStarted(run_id, "etl", "h", "", 1_000, {}, "test", 9)]]
    for index in range(number):
        span, name = 2 + 2 * index, f"n{index}"
        record = failure(1, node=name)
        appends.append([NodeStarted(span, span + 1, 1, 0, name, "", 1_001 + index, {})])
        appends.append([
            NodeFinished(span, span + 1, NodeState.FAILED, 1_001 + index, name, failure=record,
                         handled="continue" if index < number - 1 else "")
        ])  # fmt: skip
    appends.append([RunFinished(9_000, RunStatus.FAILED, record, name)])
    return appends


def test_beyond_the_flood_limit_failures_are_counted_without_a_record(
    tmp_path: Path, failure: Failure
) -> None:
    store = SqliteStore(tmp_path / "runs.db", limits=StoreLimits(flood=10))
    appends = loop_of_failures(1_000, failure)
    write(store, appends)
    log = SqliteFailureLog(store.path)

    (group,) = log.groups(ANY)
    counts = log.counts(ANY)
    assert (group.count, group.suppressed) == (1_000, 989)
    assert counts["total"] == {"failures": 1_000, "records": 11, "suppressed": 989}
    assert counts["disposition"] == {"handled": 999, "terminal": 1}
    assert log.groups(FailureFilter(since_ns=1))[0].count == 1_000
    assert letter_of(store.path).failure_id == appends[-1][0].failure.failure_id
    assert log.failure(letter_of(store.path).failure_id).node_id == "n999"
    log.close()
    store.close()


def test_a_failure_without_a_record_that_moves_on_is_counted_once(
    tmp_path: Path, failing: Appends, failure: Failure
) -> None:
    store = SqliteStore(tmp_path / "runs.db", limits=StoreLimits(flood=1))
    journal = store.open_journal(new_run_id())
    started = failing(journal._run_id)[0][0]
    journal.append([started])
    lost = [failure(1, node=f"n{index}", given_up="permanent") for index in range(3)]
    for index, record in enumerate(lost):
        span = 2 + 2 * index
        journal.append([NodeStarted(span, span + 1, 1, 0, f"n{index}", "", 1_001, {})])
        journal.append([
            NodeFinished(span, span + 1, NodeState.FAILED, 1_002, f"n{index}", failure=record)
        ])  # fmt: skip
        journal.flush()
    log = SqliteFailureLog(store.path)
    assert log.counts(ANY)["disposition"] == {"open": 3}
    assert log.counts(ANY)["total"]["records"] == 1

    journal.append([RunFinished(1_005, RunStatus.FAILED, lost[2], "n2")])
    counts = log.counts(ANY)
    assert counts["disposition"] == {"terminal": 3}
    assert counts["total"] == {"failures": 3, "records": 2, "suppressed": 1}
    assert [(one.count, one.suppressed) for one in log.groups(ANY)] == [(3, 1)]
    assert log.failure(lost[2].failure_id).disposition == "terminal"
    log.close()
    store.close()


# Processes that die.

DYING = """
import os, sys
from tailrace.model import *
from tailrace.store import SqliteStore
path, letter, generation = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqliteStore(path)
run_id = new_run_id()
journal = store.open_journal(run_id)
journal.append([RunStarted(run_id, "etl", "h", "flow.yaml", 1000, {}, "test", 77,
                           letter=letter, generation=generation, code_version="sha256:1"),
                ShapeDeclared(1, "m:load", {"policy": {"retry": {"max_attempts": 2}}}),
                NodeStarted(2, 3, 1, 1, "load", "", 1001, {}, 3)])
if sys.argv[4] == "backoff":
    failed = FailureRecord("ConnectionError", "gone", "transient", failure_id="F-1",
                           captured_ns=5, fingerprint="v1:" + "a" * 32)
    journal.append([AttemptFailed(3, 1002, failed, 1, 30.0)])
os.kill(os.getpid(), 9)
"""


def die(path: Path, *, letter: str = "", generation: int = 0, when: str = "running") -> None:
    command = [sys.executable, "-c", DYING, str(path), letter, str(generation), when]
    assert subprocess.run(command, check=False).returncode == -9


def test_a_killed_attempt_is_shown_as_worker_lost_and_leaves_a_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    die(path)
    SqliteStore(path).close()

    log = SqliteFailureLog(path)
    (lost,) = log.failures(ANY)
    assert (lost.class_, lost.node_id, lost.task_ref) == ("worker_lost", "load", "m:load")
    assert (lost.attempt, lost.max_attempts, lost.origin.source) == (1, 3, "lost")
    assert (lost.disposition, lost.level) == ("terminal", "run")
    letter = letter_of(path)
    assert (letter.state, letter.reason, letter.crash_attempts) == ("open", "worker_lost", 1)
    assert (letter.failure_id, letter.node_id) == (lost.failure_id, "load")
    assert letter.policy == {"retry": {"max_attempts": 2}}
    assert rows(path, "SELECT status FROM run") == [("INTERRUPTED",)]
    assert verify_store(path) == []
    log.close()


def test_a_process_killed_between_two_attempts_names_the_one_that_failed_last(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    die(path, when="backoff")
    SqliteStore(path).close()

    log = SqliteFailureLog(path)
    found = {one.class_: one for one in log.failures(ANY)}
    assert found["worker_lost"].attempt == 1
    assert found["unknown"].disposition == "retried"
    assert letter_of(path).node_id == "load"
    log.close()


def test_whoever_looks_at_failures_sees_those_of_a_process_that_was_just_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    die(path)
    log = SqliteFailureLog(path)
    assert [one.class_ for one in log.failures(ANY)] == ["worker_lost"]
    log.close()


def test_recovery_is_done_once_whoever_comes(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    die(path)
    for _ in range(3):
        SqliteStore(path).close()
    assert rows(path, "SELECT count(*) FROM failure") == [(1,)]
    assert rows(path, "SELECT count FROM failure_group") == [(1,)]
    assert rows(path, "SELECT count(*) FROM dead_letter") == [(1,)]


def test_a_redrive_that_is_killed_opens_its_letter_again_and_the_third_parks_it_as_poison(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    die(path)
    for crashes in (2, 3):
        letter = claim(path, f"B-{crashes}")
        assert letter.state == "redriving"
        die(path, letter=letter.dl_id, generation=letter.generation)
        SqliteStore(path).close()
        after = letter_of(path)
        assert after.crash_attempts == crashes
        assert after.state == ("open" if crashes < 3 else "parked")
    assert after.reason == "poison"
    log = SqliteRedriveLog(path)
    assert [one.outcome for one in log.redrives(dl_id=after.dl_id)] == ["lost", "lost"]
    assert all(one.run_id for one in log.redrives(dl_id=after.dl_id))
    assert [one.action for one in log.actions(after.dl_id)] == [
        "redrive", "reopen", "redrive", "park",
    ]  # fmt: skip
    assert log.verify() is None
    log.close()


CLAIMING = """
import os, sys
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import Redrive
from tailrace.store import SqliteDeadLetters
letters = SqliteDeadLetters(sys.argv[1])
taken = letters.claim(FailureFilter(), Redrive(dl_id="", generation=0, batch_id="B-0", actor="x"),
                      limit=1)
assert len(taken) == 1
os.kill(os.getpid(), 9)
"""


def test_a_letter_claimed_by_a_process_that_died_before_its_run_is_open_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    die(path)
    command = [sys.executable, "-c", CLAIMING, str(path)]
    assert subprocess.run(command, check=False).returncode == -9
    assert rows(path, "SELECT state FROM dead_letter") == [("redriving",)]

    letter = claim(path)
    assert (letter.state, letter.generation, letter.crash_attempts) == ("redriving", 2, 1)
    log = SqliteRedriveLog(path)
    assert [one.outcome for one in log.redrives(dl_id=letter.dl_id)] == ["lost", ""]
    log.close()


def test_a_letter_of_a_living_claimer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    die(path)
    claimed = claim(path)
    SqliteStore(path).close()
    assert letter_of(path) == claimed


def test_a_journal_closed_without_an_end_leaves_a_dead_letter(
    store: SqliteStore, failing: Appends
) -> None:
    first, *_ = failing()
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    journal.close()

    assert rows(store.path, "SELECT status FROM run") == [("INTERRUPTED",)]
    letter = letter_of(store.path)
    assert (letter.reason, letter.node_id) == ("worker_lost", "load")


def test_a_run_whose_records_were_refused_fails_with_what_the_store_said(
    store: SqliteStore, failing: Appends
) -> None:
    first, second, *_ = failing()
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    with store.writer.lock:
        store.writer.db.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError):
        journal.append(second)
    with store.writer.lock:
        store.writer.db.execute("PRAGMA query_only = 0")
    journal.close()

    assert rows(store.path, "SELECT status FROM run") == [("FAILED",)]
    log = SqliteFailureLog(store.path)
    (found,) = log.failures(ANY)
    assert (found.type, found.disposition) == ("tailrace.errors.tree.StoreError", "terminal")
    assert letter_of(store.path).failure_id == found.failure_id
    log.close()
