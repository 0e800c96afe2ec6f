"""Very many failures: exact counts, little room, little time."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import msgspec
import pytest

from effort import times
from tailrace.model.failure import FailureFilter, FailureSnapshot, Frame, Origin
from tailrace.model.ids import new_sortable
from tailrace.store import SqliteFailureLog, StoreLimits, shared_store

ANY = FailureFilter()
ONE = FailureSnapshot(
    failure_id="", captured_ns=1, type="shop.errors.Broken", message="no answer from 10.0.0.1",
    category="transient", class_="network", rule="type:ConnectionError", retryable=True,
    fp_site="v1:" + "a" * 32, fp_template="v1:" + "b" * 32, stack_id="b2:" + "c" * 32,
    frames=tuple(Frame("shop", "buy", "shop.py", line, in_app=True) for line in range(15)),
    location="shop.py:14", source_line="raise Broken()", function="buy", disposition="terminal",
    origin=Origin(("root",), "thread", "MainThread", 7, "host"), path=("root",), level="root",
    code_version="sha256:0123456789abcdef",
)  # fmt: skip


def some(number: int) -> list[FailureSnapshot]:
    return [
        msgspec.structs.replace(ONE, failure_id=f"F-{new_sortable()}", captured_ns=time.time_ns())
        for _ in range(number)
    ]


@pytest.mark.no_cover
def test_what_eight_threads_record_at_once_is_counted_to_the_last_failure(tmp_path: Path) -> None:
    batches = times(4)
    total = 8 * batches * 500
    log = SqliteFailureLog(tmp_path / "runs.db", limits=StoreLimits(flood=0))

    def record() -> None:
        for _ in range(batches):
            log.record(some(500))

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    db = sqlite3.connect(log.path)
    query = "SELECT count(*), count(DISTINCT failure_id) FROM failure"
    assert db.execute(query).fetchone() == (total, total)
    db.close()
    assert [group.count for group in log.groups(ANY)] == [total]
    assert log.counts(ANY)["total"] == {"failures": total, "records": total, "suppressed": 0}
    shared_store(log.path).close()
    log.close()
    assert log.path.stat().st_size < total * 400


@pytest.mark.no_cover
def test_very_many_equal_failures_are_counted_in_little_room(tmp_path: Path) -> None:
    total = 100 * times(300)
    log = SqliteFailureLog(tmp_path / "runs.db")
    batches = [some(100) for _ in range(total // 100)]
    for batch in batches:
        log.record(batch)

    (group,) = log.groups(ANY)
    counts = log.counts(ANY)["total"]
    assert (group.count, counts["failures"]) == (total, total)
    assert group.suppressed == counts["suppressed"] >= total - 1_000
    db = sqlite3.connect(log.path)
    assert db.execute("SELECT count(*) FROM stack").fetchone() == (1,)
    db.close()
    shared_store(log.path).close()
    log.close()
    assert log.path.stat().st_size < total * 400


def test_a_failure_that_comes_twice_in_one_batch_keeps_its_newest_state(tmp_path: Path) -> None:
    first, second = some(2)
    moved = msgspec.structs.replace(first, disposition="handled", category="permanent")
    log = SqliteFailureLog(tmp_path / "twice.db", limits=StoreLimits(flood=0))
    log.record([first, second, moved])
    log.record([msgspec.structs.replace(second, disposition="retried"), *some(1)])
    found = {one.failure_id: one for one in log.failures(ANY)}
    assert len(found) == 3
    assert found[first.failure_id].disposition == "handled"
    assert found[first.failure_id].category == "permanent"
    assert found[second.failure_id].disposition == "retried"
    assert [group.count for group in log.groups(ANY)] == [3]
    log.close()
