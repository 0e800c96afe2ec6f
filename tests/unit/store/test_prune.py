"""What is old goes, oldest first; what runs, or is waited for, stays with all of its lineage."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.model import RunId, SpanStatus, SpanType, new_run_id
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import SpanId
from tailrace.model.size import parse_size
from tailrace.model.span import Span
from tailrace.store import (
    Retention,
    SqliteDeadLetters,
    SqliteRedriveLog,
    SqliteStore,
    SqliteTraceReader,
    plan_prune,
    prune_store,
    prune_when_due,
    vacuum_store,
    verify_store,
)
from tailrace.store.blobs import blob_folder, store_blob
from tailrace.store.foreign import ForeignWriter
from tailrace.store.retention import RUNS_TO_GO, TRACES_TO_GO
from tailrace.store.segments.seal import seal

Appends = Callable[..., list[list[Any]]]
DAY = 86_400 * 10**9
NOW = 100 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    one = SqliteStore(tmp_path / "runs.db")
    yield one
    one.close()


@pytest.fixture
def write(store: SqliteStore) -> Callable[..., RunId]:
    def act(appends: list[list[Any]]) -> RunId:
        run_id: RunId = appends[0][0].run_id
        journal = store.open_journal(run_id)
        for records in appends:
            journal.append(records)
        journal.close()
        return run_id

    return act


def trace(number: int, at: int, **changes: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": RunId(f"{number:032x}"), "span_id": SpanId(f"{number:016x}"),
        "parent_id": None, "name": "op", "type": SpanType.FOREIGN, "start_ns": at, "end_ns": at,
    }  # fmt: skip
    return Span(**(known | changes))


def left(path: Path) -> list[str]:
    with closing(SqliteTraceReader(path)) as reader:
        return [run.run_id for run in reader.runs(limit=500, foreign=True)]


def pruned(path: Path, **rules: Any) -> Any:
    before = plan_prune(path, Retention(**rules), now_ns=NOW)
    done = prune_store(path, Retention(**rules), actor="ann", now_ns=NOW)
    assert verify_store(path) == []
    if not rules.get("max_size"):
        assert (before.runs, before.traces, before.spans, before.held) == (
            done.runs, done.traces, done.spans, done.held,
        )  # fmt: skip
    return done


def test_age_and_count_keep_whatever_either_wants_to_keep(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    runs = [write(chain(new_run_id(), 2, at=day * DAY)) for day in (10, 50, 95, 99)]
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(day, day * DAY) for day in (10, 50, 95, 99)])
    traces = [f"{day:032x}" for day in (10, 50, 95, 99)]

    done = pruned(store.path, keep_days=30, keep_runs=3)
    assert (done.runs, done.traces, done.spans) == (1, 1, 6)
    assert set(left(store.path)) == {*runs[1:], *traces[1:]}
    pruned(store.path, keep_days=30)
    assert set(left(store.path)) == {*runs[2:], *traces[2:]}
    pruned(store.path, keep_runs=1)
    assert set(left(store.path)) == {runs[3], traces[3]}
    with closing(SqliteRedriveLog(store.path)) as log:
        deeds = log.actions("store")
        assert [(deed.action, deed.actor, deed.detail["runs"]) for deed in deeds] == [
            ("prune", "ann", 1)
        ] * 3


def test_what_failed_is_kept_longer(
    store: SqliteStore, write: Callable[..., RunId], failing: Appends, chain: Appends
) -> None:
    write(chain(new_run_id(), 1, at=50 * DAY))
    failed = write(failing(at=51 * DAY))
    with closing(SqliteDeadLetters(store.path)) as letters:
        letters.change(FailureFilter(), "discard", actor="ann", reason="x")
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(1, 50 * DAY), trace(2, 50 * DAY, status=SpanStatus.ERROR)])
    pruned(store.path, keep_days=10, keep_errors_days=60)
    assert set(left(store.path)) == {failed, f"{2:032x}"}
    done = pruned(store.path, keep_days=10, keep_errors_days=20)
    assert (left(store.path), done.failures) == ([], 2)


def test_runs_that_go_on_or_that_a_letter_points_to_stay_with_their_lineage(
    store: SqliteStore, write: Callable[..., RunId], failing: Appends, chain: Appends
) -> None:
    first = write(failing())
    with closing(SqliteDeadLetters(store.path)) as letters:
        (letter,) = letters.letters(FailureFilter())
        letters.change(FailureFilter(), "discard", actor="ann", reason="x")
    gone = write(chain(new_run_id(), 1))
    waited_for = write(failing())
    live = store.open_journal(run_id := new_run_id())
    live.append(failing(run_id, lineage=first, resumed_from=first)[0])

    done = pruned(store.path, keep_days=1)
    assert set(left(store.path)) == {first, waited_for, run_id}
    assert gone not in left(store.path)
    assert (done.held.live, done.held.letters, done.held.lineages) == (1, 1, 1)
    assert letter.run_id == first
    live.close()


def test_the_oldest_go_until_the_rest_is_small_enough(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    kept = [write(chain(new_run_id(), 40, at=number)) for number in range(1, 60)]
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(n, n, attributes={"x": "y" * 9_000}) for n in range(1, 60)])
    plan = plan_prune(store.path, Retention(max_size=400_000), now_ns=NOW)
    done = pruned(store.path, max_size=400_000)

    assert 200_000 < done.size_after <= 400_000 < done.size
    assert done.runs > 0 < done.traces
    assert plan.runs > 0 < plan.traces
    rest = left(store.path)
    assert kept[-1] in rest
    assert f"{59:032x}" in rest
    assert not {kept[0], f"{1:032x}"} & set(rest)
    assert store.path.stat().st_size < 500_000


def test_more_than_may_go_is_not_forced(store: SqliteStore, failing: Appends) -> None:
    journal = store.open_journal(run_id := new_run_id())
    journal.append(failing(run_id)[0])
    done = pruned(store.path, max_size=1)
    assert (done.runs, done.held.live, left(store.path)) == (0, 1, [run_id])
    journal.close()


def test_segments_go_with_the_last_of_their_traces_and_are_rewritten_when_half_of_them_are_gone(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    for day in (1, 2):
        write(chain(new_run_id(), 1, at=day * DAY))
    kept = write(chain(new_run_id(), 1, at=99 * DAY))
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(1, DAY), trace(2, 99 * DAY)])
    assert seal(store.path, everything=True).traces == 5
    assert verify_store(store.path) == []
    pruned(store.path, keep_days=98.5)
    with closing(sqlite3.connect(store.path)) as db:
        segments = "SELECT traces, dead FROM segment"
        assert db.execute(segments).fetchall() == [(5, 2)]
        pruned(store.path, keep_days=10)
        assert db.execute(segments).fetchall() == [(2, 0)]
        assert set(left(store.path)) == {kept, f"{2:032x}"}
        done = prune_store(store.path, Retention(keep_days=1), actor="ann", now_ns=2 * NOW)
        assert (done.runs, done.traces) == (1, 1)
        tables = ("segment", "segment_column", "segment_body", "segment_dead", "foreign_batch")
        counts = " UNION ALL ".join(f"SELECT count(*) FROM {one}" for one in tables)  # noqa: S608 - our own tables
        assert {*db.execute(counts)} == {(0,)}


def test_a_prune_rewrites_what_one_that_was_killed_left(store: SqliteStore) -> None:
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(n, 99 * DAY) for n in range(1, 6)])
    seal(store.path, everything=True)
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("DELETE FROM foreign_trace WHERE no > 2")
    assert pruned(store.path, keep_days=10).traces == 0
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("SELECT traces, dead FROM segment").fetchall() == [(2, 0)]


def test_a_bound_on_the_size_holds_for_what_is_sealed_too(store: SqliteStore) -> None:
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([
            trace(n, n, span_id=SpanId(f"{n << 8 | m:016x}"),
                  attributes={"x": os.urandom(70).hex()})
            for n in range(1, 200) for m in range(1, 20)
        ])  # fmt: skip
    seal(store.path, everything=True)
    size = plan_prune(store.path, Retention(keep_runs=1)).size
    done = pruned(store.path, max_size=size // 2)
    assert size // 3 < done.size_after <= size // 2
    assert left(store.path)[0] == f"{199:032x}"


def test_spans_that_joined_a_run_go_with_it(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    run_id = write(chain(new_run_id(), 1, at=DAY))
    with closing(ForeignWriter(store.path)) as writer:
        writer.write([trace(1, 99 * DAY, trace_id=run_id)])
    pruned(store.path, keep_days=10)
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("SELECT count(*) FROM foreign_trace").fetchone() == (0,)


def test_large_outputs_that_nothing_names_go_too(store: SqliteStore) -> None:
    assert store.worker_id
    folder = blob_folder(store.path)
    store_blob(folder, b"x" * 100, lasting=False)
    for file in folder.glob("??/*"):
        os.utime(file, (1, 1))
    vacuumed = vacuum_store(store.path)
    assert (vacuumed.blobs.count, vacuumed.blobs.size) == (1, 100)


def test_a_full_vacuum_leaves_a_sound_file(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    for number in range(5):
        write(chain(new_run_id(), 200, at=number))
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("DELETE FROM run WHERE no < 5")
    done = vacuum_store(store.path, full=True)
    assert done.size_after < done.size
    assert verify_store(store.path) == []


def test_a_prune_that_nobody_asked_for_comes_once_a_day_and_never_raises(
    store: SqliteStore, write: Callable[..., RunId], chain: Appends
) -> None:
    write(chain(new_run_id(), 1, at=DAY))
    rules = Retention(keep_days=1)
    thread = prune_when_due(store.path, rules)
    assert thread is not None
    thread.join()
    assert left(store.path) == []
    assert prune_when_due(store.path, rules) is None
    later = time.time() + 90_000
    again = prune_when_due(store.path, rules, now=lambda: later)
    assert again is not None
    again.join()
    assert prune_when_due(store.path, Retention()) is None
    with pytest.raises(StoreError):
        prune_store(store.path.with_name("none.db"), rules, actor="ann")


WRITING = """
import sys
from tailrace.model import RunId, SpanType
from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.store.foreign import ForeignWriter
writer = ForeignWriter(sys.argv[1])
print("ready", flush=True)
for number in range(60):
    writer.write([Span(trace_id=RunId(f"{number * 100 + step + 1:032x}"), span_id=SpanId("1" * 16),
                       parent_id=None, name="op", type=SpanType.FOREIGN, end_ns=None,
                       start_ns=(1 if step % 2 else 99) * 86_400 * 10**9) for step in range(50)])
"""


def test_a_prune_beside_a_writer_deletes_nothing_that_is_young(store: SqliteStore) -> None:
    assert store.worker_id
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(store.path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    gone = 0
    while writer.poll() is None:
        rules = Retention(keep_days=10)
        gone += prune_store(store.path, rules, actor="ann", now_ns=NOW).traces
    writer.communicate()
    gone += pruned(store.path, keep_days=10).traces
    assert (writer.returncode, gone, len(left(store.path))) == (0, 1_500, 500)
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("SELECT count(*) FROM foreign_trace").fetchone() == (1_500,)


@pytest.mark.parametrize("query", [RUNS_TO_GO, TRACES_TO_GO])
def test_the_oldest_are_found_in_the_order_of_an_index(store: SqliteStore, query: str) -> None:
    assert store.worker_id
    with closing(sqlite3.connect(store.path)) as db:
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + query, (1, 1, 1))]
    assert any("USING INDEX" in step and "_start" in step for step in plan[:1])
    assert not any(step.startswith("USE TEMP B-TREE FOR ORDER BY") for step in plan)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 << 30),
        ("500 mb", 500 << 20),
        ("1.5k", 1_536),
        ("7", 7),
        (12, 12),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "2 apples", "9999TB", True, -1, None, 1.5])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="such as 500MB"):
        parse_size(text)
