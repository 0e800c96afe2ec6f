"""The audit trail: every change is in it, and nobody edits it unseen."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.model.failure import FailureFilter
from tailrace.model.letter import DeadLetter, Redrive, RedriveBatch
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteRedriveLog, SqliteStore

Appends = Callable[..., list[list[Any]]]
ANY = FailureFilter()


@pytest.fixture
def path(tmp_path: Path, failing: Appends) -> Iterator[Path]:
    """A store with one dead letter on which everything was done."""
    store = SqliteStore(tmp_path / "runs.db")
    journal = store.open_journal((appends := failing())[0][0].run_id)
    for records in appends:
        journal.append(records)
    letters = SqliteDeadLetters(store.path)
    letters.change(ANY, "park", actor="ann", reason="later; password=hunter2")
    letters.change(ANY, "reopen", actor="bob", reason="now")
    order = Redrive(
        dl_id="", generation=0, batch_id="B-1", actor="ann", at_ns=time.time_ns(),
        patch={"params": {"day": 2, "api_key": "hunter3"}}, reason="token=hunter4x5y6z7",
    )  # fmt: skip
    letters.claim(ANY, order, limit=1)
    letters.close()
    yield store.path
    store.close()


def the_letter(path: Path) -> DeadLetter:
    letters = SqliteDeadLetters(path)
    (letter,) = letters.letters(FailureFilter(state="redriving"))
    letters.close()
    return letter


def verified(path: Path) -> int | None:
    log = SqliteRedriveLog(path)
    try:
        return log.verify()
    finally:
        log.close()


def test_every_change_of_a_letter_is_in_the_trail_with_who_why_and_what(path: Path) -> None:
    log = SqliteRedriveLog(path)
    actions = log.actions(the_letter(path).dl_id)
    log.close()

    assert [(one.action, one.actor) for one in actions] == [
        ("park", "ann"), ("reopen", "bob"), ("redrive", "ann"),
    ]  # fmt: skip
    assert actions[0].detail == {"before": {"state": "open"}, "after": {"state": "parked"}}
    assert actions[2].detail["patch"] == {"params": {"day": 2, "api_key": "[redacted]"}}
    assert actions[0].reason == "later; password=[redacted]"
    for file in (path, path.with_name("runs.db-wal")):
        assert b"hunter" not in file.read_bytes()


def test_changes_of_groups_and_batches_are_in_it_too(path: Path) -> None:
    failures, log = SqliteFailureLog(path), SqliteRedriveLog(path)
    group = failures.groups(ANY)[0].fp_site
    failures.change_group(group, "resolve", actor="ann", reason="mended")
    batch = RedriveBatch(batch_id="B-1", filter={}, actor="ann", created_ns=1)
    for state in ("running", "running", "paused", "running", "done"):
        log.put_batch(RedriveBatch(batch_id="B-1", filter={}, actor="ann", state=state))

    assert [one.action for one in log.actions(group)] == ["resolve"]
    assert [one.action for one in log.actions("B-1")] == ["begin", "pause", "continue", "end"]
    assert log.batches()[0].counts == {
        "claimed": 1, "resolved": 0, "failed": 0, "lost": 0, "parked": 0,
    }  # fmt: skip
    assert log.batches()[0].filter == batch.filter
    assert [one.seq for one in log.actions(limit=2)] == [7, 8]
    failures.close()
    log.close()


def test_the_trail_of_a_store_verifies(path: Path) -> None:
    assert verified(path) is None


@pytest.mark.parametrize(
    ("crime", "first"),
    [
        ("UPDATE recovery_action SET actor = 'eve' WHERE seq = 2", 2),
        ("UPDATE recovery_action SET reason = 'x' WHERE seq = 1", 1),
        ("""UPDATE recovery_action SET detail = '{}' WHERE seq = 3""", 3),
        ("UPDATE recovery_action SET at = at + 1 WHERE seq = 2", 2),
        ("UPDATE recovery_action SET hash = prev_hash WHERE seq = 2", 2),
        ("DELETE FROM recovery_action WHERE seq = 1", 1),
        ("DELETE FROM recovery_action WHERE seq = 2", 2),
        ("DELETE FROM recovery_action WHERE seq = 3", 3),
        ("DELETE FROM recovery_action", 1),
    ],
)
def test_an_edited_or_removed_line_is_found(path: Path, crime: str, first: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(crime)
    db.close()
    assert verified(path) == first


def test_a_removed_last_line_is_still_missed_after_others_were_written(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DELETE FROM recovery_action WHERE seq = 3")
    db.close()
    failures = SqliteFailureLog(path)
    failures.change_group(failures.groups(ANY)[0].fp_site, "resolve", actor="ann")
    failures.close()
    assert verified(path) == 3
