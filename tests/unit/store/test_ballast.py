"""A full disk: how a run ended is recorded all the same."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace.errors import StoreError
from tailrace.model import RunFinished, RunStatus, new_run_id
from tailrace.model.failure import FailureFilter
from tailrace.store import (
    SqliteDeadLetters,
    SqliteFailureLog,
    SqliteStore,
    SqliteTraceReader,
    verify_store,
)
from tailrace.store.ballast import SIZE, Ballast

Appends = Callable[..., list[list[Any]]]
ANY = FailureFilter()


@pytest.fixture
def small_disk(make_disk: Callable[[int], Path]) -> Path:
    return make_disk(10)


def fill(disk: Path) -> Path:
    waste = disk / "waste"
    with waste.open("wb", buffering=0) as file:
        written = 1
        while written:
            try:
                written = file.write(b"x" * 4_096)
            except OSError:
                written = 0
    return waste


def write_until_full(write: Callable[[], None]) -> StoreError:
    for _ in range(10_000):
        try:
            write()
        except StoreError as error:
            return error
    raise AssertionError("the disk took everything")


def test_a_store_keeps_room_for_the_end_and_takes_it_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    SqliteStore(path).close()
    ballast = tmp_path / "runs.db-ballast"
    assert ballast.stat().st_blocks * 512 >= SIZE
    before = ballast.stat().st_ino
    SqliteStore(path).close()
    assert ballast.stat().st_ino == before


def test_a_ballast_is_freed_once_and_laid_again(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "runs.db")
    ballast.lay()
    assert [ballast.free(), ballast.is_spent, ballast.free()] == [True, True, False]
    ballast.lay()
    assert [ballast.is_spent, ballast.free()] == [False, True]


def test_no_ballast_is_what_fills_a_disk(small_disk: Path) -> None:
    (small_disk / "waste").write_bytes(b"x" * (6 << 20))
    SqliteStore(small_disk / "runs.db").close()
    assert not (small_disk / "runs.db-ballast").exists()


def test_on_a_full_disk_the_failed_end_and_its_letter_are_recorded(
    small_disk: Path, failing: Appends
) -> None:
    store = SqliteStore(small_disk / "runs.db")
    *before, end = failing()
    journal = store.open_journal(before[0][0].run_id)
    for records in before:
        journal.append(records)
    waste = fill(small_disk)
    start = failing()[0]

    def begin() -> None:
        run_id = new_run_id()
        started = msgspec.structs.replace(start[0], run_id=run_id)
        store.open_journal(run_id).append([started, *start[1:]])

    assert write_until_full(begin).code == "TR504"  # only an end may take what was kept
    assert (small_disk / "runs.db-ballast").exists()

    journal.append(end)
    assert not (small_disk / "runs.db-ballast").exists()
    letters = SqliteDeadLetters(store.path)
    failures = SqliteFailureLog(store.path)
    failed = end[0].failure.failure_id
    assert [letter.failure_id for letter in letters.letters(ANY)] == [failed]
    assert failures.failure(failed).disposition == "terminal"
    db = sqlite3.connect(store.path)
    status = db.execute("SELECT status FROM run WHERE run_id = ?", (before[0][0].run_id,))
    assert status.fetchone() == ("FAILED",)
    db.close()

    waste.unlink()
    store.writer.tidy()
    assert (small_disk / "runs.db-ballast").exists()
    letters.close()
    failures.close()
    store.close()
    assert verify_store(small_disk / "runs.db") == []


def test_a_run_that_the_full_disk_stopped_is_failed_and_says_why(
    small_disk: Path, failing: Appends
) -> None:
    store = SqliteStore(small_disk / "runs.db")
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    first, second, *_ = failing(run_id)
    journal.append(first)
    fill(small_disk)
    assert write_until_full(lambda: journal.append(second)).code == "TR504"
    journal.close()

    failures, letters = SqliteFailureLog(store.path), SqliteDeadLetters(store.path)
    (letter,) = letters.letters(ANY)
    last = failures.failure(letter.failure_id)
    assert "the disk is full" in last.message
    assert (last.class_, last.disposition) == ("infrastructure", "terminal")
    failures.close()
    letters.close()
    store.close()


BIG = """
import sys
from tailrace import Flow, foreach, task
@task
def big(item):
    return "x" * 100_000
flow = Flow("full", foreach("{{ params.n }}")(big))
try:
    flow.run(db=sys.argv[1], n=list(range(300)))
except BaseException as error:
    print(error.code)
"""


def test_what_fills_the_disk_may_be_larger_than_the_room_that_was_kept(small_disk: Path) -> None:
    path = small_disk / "runs.db"
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stdout == "TR504\n"
    reader = SqliteTraceReader(path)
    assert [(run.status, "the disk is full" in run.reason) for run in reader.runs()] == [
        ("FAILED", True)
    ]
    reader.close()

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    letters, failures = SqliteDeadLetters(path), SqliteFailureLog(path)
    (letter,) = letters.letters(ANY)
    assert "the disk is full" in letter.message
    assert failures.failure(letter.failure_id).disposition == "terminal"
    letters.close()
    failures.close()
    assert verify_store(path) == []


def test_the_end_waits_for_no_room_when_there_is_some(tmp_path: Path, failing: Appends) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    journal = store.open_journal((appends := failing())[0][0].run_id)
    for records in appends:
        journal.append(records)
    journal.append([RunFinished(time.time_ns(), RunStatus.FAILED)])
    assert (tmp_path / "runs.db-ballast").exists()
    store.close()
