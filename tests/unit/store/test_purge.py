"""What is old goes; what somebody waits for, and what is young, stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.store import (
    SqliteDeadLetters,
    SqliteFailureLog,
    SqliteRedriveLog,
    SqliteStore,
    StoreLimits,
    verify_store,
)

Appends = Callable[..., list[list[Any]]]
ANY = FailureFilter()

WRITING = """
import sys, time
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.store import SqliteFailureLog, StoreLimits
log = SqliteFailureLog(sys.argv[1], limits=StoreLimits(flood=0))
limit = int(sys.argv[2])
print("ready", flush=True)
for number in range(150):
    batch = [FailureSnapshot(failure_id="F-" + new_sortable(), captured_ns=limit + step % 2 * 2 - 1,
                             type="E", message="m", category="transient")
             for step in range(40)]
    log.record(batch)
print("done")
"""


def failure(at: int, **changes: Any) -> FailureSnapshot:
    known: dict[str, Any] = {"type": "E", "message": "m", "category": "transient"}
    return FailureSnapshot(failure_id=f"F-{new_sortable()}", captured_ns=at, **(known | changes))


def write(store: SqliteStore, appends: list[list[Any]]) -> None:
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        journal.append(records)
    journal.close()


def test_what_is_older_goes_and_its_group_goes_on_counting_it(tmp_path: Path) -> None:
    log = SqliteFailureLog(tmp_path / "runs.db", limits=StoreLimits(flood=2))
    minute = 60_000_000_000
    log.record([failure(at * minute) for at in (1, 1, 1, 5, 5, 5)])
    purged = log.purge(until_ns=5 * minute, actor="ann", reason="space")

    assert (purged.failures, purged.suppressed, purged.letters) == (2, 1, 0)
    assert log.counts(ANY)["total"] == {"failures": 3, "records": 2, "suppressed": 1}
    assert log.groups(ANY)[0].count == 6
    assert log.purge(until_ns=5 * minute, actor="ann").failures == 0
    audit = SqliteRedriveLog(tmp_path / "runs.db")
    (action,) = audit.actions("store")
    assert (action.action, action.actor, action.reason) == ("purge", "ann", "space")
    audit.close()
    log.close()


def test_letters_that_wait_and_the_failures_of_their_runs_are_never_purged(
    tmp_path: Path, failing: Appends
) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    for _ in range(4):
        write(store, failing())
    letters, log = SqliteDeadLetters(store.path), SqliteFailureLog(store.path)
    over, kept, parked, _ = letters.letters(ANY)
    letters.change(FailureFilter(ids=(over.dl_id,)), "discard", actor="ann", reason="x")
    letters.change(FailureFilter(ids=(parked.dl_id,)), "park", actor="ann", reason="x")

    assert log.purge(until_ns=1_000, actor="ann").letters == 0
    purged = log.purge(until_ns=2 * time.time_ns(), actor="ann")
    assert (purged.failures, purged.letters) == (2, 1)
    assert {letter.dl_id for letter in letters.letters(ANY)} >= {kept.dl_id, parked.dl_id}
    assert log.counts(ANY)["total"]["failures"] == 6
    assert log.failure(kept.failure_id).run_id == kept.run_id
    letters.close()
    log.close()
    store.close()
    assert verify_store(store.path) == []


def test_a_letter_whose_time_is_over_is_discarded_as_expired(
    tmp_path: Path, failing: Appends
) -> None:
    from tailrace.model.letter import Redrive

    store = SqliteStore(tmp_path / "runs.db", limits=StoreLimits(letter_days=1))
    write(store, failing())
    letters = SqliteDeadLetters(store.path)
    (letter,) = letters.letters(ANY)
    assert letter.expires_ns == letter.created_ns + 86_400 * 10**9

    order = Redrive(dl_id="", generation=0, batch_id="B", actor="ann", at_ns=time.time_ns())
    assert letters.claim(ANY, order, limit=1) == []
    gone = letters.letter(letter.dl_id)
    assert (gone.state, gone.reason) == ("discarded", "expired")
    letters.close()
    store.close()


def test_a_purge_beside_two_writers_loses_nothing_that_is_young(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    limit = 1_000_000
    log = SqliteFailureLog(path, limits=StoreLimits(flood=0))
    log.record([])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, str(path), str(limit)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    purged = 0
    while any(writer.poll() is None for writer in writers):
        purged += log.purge(until_ns=limit, actor="ann").failures
    purged += log.purge(until_ns=limit, actor="ann").failures
    assert [writer.communicate()[0] for writer in writers] == ["done\n"] * 2

    assert purged == 6_000
    assert log.counts(ANY)["total"]["failures"] == 6_000
    assert log.groups(ANY)[0].count == 12_000
    log.close()
    assert verify_store(path) == []
