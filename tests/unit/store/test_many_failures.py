"""Very many failures: exact counts, little room, little time."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import msgspec

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


def test_eight_threads_with_ten_thousand_failures_each_make_eighty_thousand(
    tmp_path: Path,
) -> None:
    log = SqliteFailureLog(tmp_path / "runs.db", limits=StoreLimits(flood=0))

    def record() -> None:
        for _ in range(20):
            log.record(some(500))

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    db = sqlite3.connect(log.path)
    query = "SELECT count(*), count(DISTINCT failure_id) FROM failure"
    assert db.execute(query).fetchone() == (80_000, 80_000)
    db.close()
    assert [group.count for group in log.groups(ANY)] == [80_000]
    assert log.counts(ANY)["total"] == {"failures": 80_000, "records": 80_000, "suppressed": 0}
    shared_store(log.path).close()
    log.close()
    assert log.path.stat().st_size < 80_000 * 400


def test_a_hundred_thousand_equal_failures_are_counted_in_little_room(
    tmp_path: Path,
) -> None:
    log = SqliteFailureLog(tmp_path / "runs.db")
    batches = [some(100) for _ in range(1_000)]
    for batch in batches:
        log.record(batch)

    (group,) = log.groups(ANY)
    counts = log.counts(ANY)["total"]
    assert (group.count, counts["failures"]) == (100_000, 100_000)
    assert group.suppressed == counts["suppressed"] >= 99_000
    db = sqlite3.connect(log.path)
    assert db.execute("SELECT count(*) FROM stack").fetchone() == (1,)
    db.close()
    shared_store(log.path).close()
    log.close()
    assert log.path.stat().st_size < 100_000 * 400
