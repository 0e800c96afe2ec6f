"""Dead processes, full disks, forks: what is promised holds, and the file stays sound."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.model import Logged, RunId, SpanStatus, new_run_id
from tailrace.store import SqliteStore, SqliteTraceReader, verify_store
from tailrace.store.journal import SqliteJournal
from tailrace.store.liveness import Lease, is_alive, live_folder, remove_stale
from tailrace.store.schema import STEPS

Chain = Callable[..., list[list[Any]]]

CHILD = """
import sys
from tailrace.model import *
from tailrace.store import SqliteStore
path, durability, nodes = sys.argv[1], Durability(sys.argv[2]), int(sys.argv[3])
store = SqliteStore(path, durability=durability)
say = lambda *words: (sys.stdout.write(" ".join(map(str, words)) + "\\n"), sys.stdout.flush())
for number in range(1000):
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    journal.append([RunStarted(run_id, "child", "h", "", 1000, {}, "test", 5),
                    ShapeDeclared(1, "m:f", {})])
    say("run", run_id)
    for index in range(nodes):
        span = 2 + 2 * index
        journal.append([NodeStarted(span, span + 1, 1, 1, f"n{index}", "", 1000 + index, {"x": 1})])
        if index % 10 == 0:
            journal.note(Logged(span + 1, 1000 + index, "log", {"message": "hello"}))
        journal.append([NodeFinished(span, span + 1, NodeState.SUCCEEDED, 1001 + index,
                        f"n{index}", b"%d" % index, "json", index, "stored")])
        say("node", index)
    journal.append([RunFinished(5000, RunStatus.COMPLETED)])
    say("end", run_id)
    journal.close()
"""


@contextlib.contextmanager
def child(
    path: Path, durability: str = "process", *, nodes: int = 600
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CHILD, str(path), durability, str(nodes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_by(process: subprocess.Popen[str], lines: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(lines)]


def acknowledged(process: subprocess.Popen[str], said: list[str]) -> dict[RunId, tuple[int, bool]]:
    """Kill the child and return what it had been told is durable: nodes per run, and the end."""
    assert process.stdout is not None
    process.send_signal(signal.SIGKILL)
    said = said + process.stdout.readlines()
    runs: dict[RunId, tuple[int, bool]] = {}
    current = RunId("")
    for line in said:
        word, _, value = line.rstrip("\n").partition(" ")
        if word == "run":
            current = RunId(value)
            runs[current] = (0, False)
        elif word == "node" and line.endswith("\n"):
            runs[current] = (int(value) + 1, False)
        elif word == "end":
            runs[current] = (runs[current][0], True)
    process.wait()
    return runs


def check_against(path: Path, runs: dict[RunId, tuple[int, bool]]) -> None:
    reader = SqliteTraceReader(path)
    for run_id, (nodes, ended) in runs.items():
        trace = reader.trace(run_id)
        finished = [span for span in trace.spans if "tailrace.checkpoint" in span.attributes]
        kept = {one.path: one.body for one in reader.checkpoints(run_id)}
        assert len(finished) >= nodes
        assert len(kept) == len(finished)
        assert all(kept[f"n{index}"] == b"%d" % index for index in range(nodes))
        assert all(span.end_ns is not None for span in trace.spans)
        if ended:
            assert trace.run.status == "COMPLETED"
        broken = [span for span in trace.spans if span.status is SpanStatus.ERROR]
        if trace.run.status == "INTERRUPTED":
            assert {span.message for span in broken} == {"interrupted"}
            assert trace.spans[0] in broken
        else:
            assert broken == []
    reader.close()


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(8))
def test_a_kill_at_any_instant_loses_nothing_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "runs.db"
    with child(path) as process:
        lines = random.Random(seed).randrange(1, 1_500)
        runs = acknowledged(process, said_by(process, lines))

    check_against(path, runs)  # as a reader sees it, before anybody recovers
    before = [(run.run_id, run.status) for run in _runs(path)]
    SqliteStore(path).close()
    check_against(path, runs)  # as recovery left it
    assert [(run.run_id, run.status) for run in _runs(path)] == before
    assert verify_store(path) == []
    assert list(live_folder(path).iterdir()) == []
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    assert db.execute("""SELECT count(*) FROM run WHERE "end" IS NULL""").fetchone() == (0,)
    db.close()


def _runs(path: Path) -> list[Any]:
    reader = SqliteTraceReader(path)
    try:
        return reader.runs(limit=500)
    finally:
        reader.close()


def test_a_relaxed_kill_loses_moments_but_never_integrity(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with child(path, "relaxed") as process:
        acknowledged(process, said_by(process, 700))

    SqliteStore(path).close()
    assert verify_store(path) == []
    assert {run.status for run in _runs(path)} <= {"COMPLETED", "INTERRUPTED"}


def test_recovery_shows_what_readers_showed_before(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with child(path) as process:
        runs = acknowledged(process, said_by(process, 333))

    reader = SqliteTraceReader(path)
    before = {run_id: reader.trace(run_id) for run_id in runs}
    SqliteStore(path).close()
    assert {run_id: reader.trace(run_id) for run_id in runs} == before
    reader.close()


def test_two_processes_and_this_one_write_the_same_file_at_once(
    tmp_path: Path, chain: Chain
) -> None:
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    with child(path) as one, child(path) as two:
        said = [said_by(process, 1) for process in (one, two)]
        for _ in range(20):
            appends = chain(new_run_id(), 20)
            journal = store.open_journal(appends[0][0].run_id)
            for records in appends:
                journal.append(records)
            journal.close()
        runs = acknowledged(one, said[0] + said_by(one, 500))
        runs |= acknowledged(two, said[1] + said_by(two, 500))
    store.close()

    SqliteStore(path).close()
    check_against(path, runs)
    statuses = [run.status for run in _runs(path)]
    assert statuses.count("COMPLETED") >= 20
    assert "RUNNING" not in statuses
    assert verify_store(path) == []


def test_a_live_run_of_another_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with child(path, nodes=1_000_000) as process:
        said_by(process, 10)
        SqliteStore(path).close()
        assert [run.status for run in _runs(path)] == ["RUNNING"]
        assert all(line.startswith("node") for line in said_by(process, 50))


def test_an_append_waits_for_the_lock_of_another_program(tmp_path: Path, chain: Chain) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    first, second, *_ = chain(new_run_id(), 2)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()

    before = time.monotonic()
    journal.append(second)
    assert time.monotonic() - before > 0.1
    other.close()
    store.close()


def append_until_refused(
    journal: SqliteJournal, appends: list[list[Any]]
) -> tuple[int, StoreError]:
    """Return how many appends were taken, and why the next one was not."""
    for done, records in enumerate(appends):
        try:
            journal.append(records)
        except StoreError as error:
            return done, error
    raise AssertionError("the disk took everything")


def test_a_full_disk_is_explained_tears_nothing_and_passes(tmp_path: Path, chain: Chain) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    before = chain(new_run_id(), 3)
    journal = store.open_journal(before[0][0].run_id)
    for records in before:
        journal.append(records)
    assert store._writer is not None
    db = store._writer.db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    victim = chain(new_run_id(), 4_000)
    journal = store.open_journal(victim[0][0].run_id)
    done, error = append_until_refused(journal, victim)
    assert error.code == "TR504"
    assert "disk is full" in error.message
    assert str(tmp_path) in error.hint
    if done:
        reader = SqliteTraceReader(store.path)
        shown = [one.path for one in reader.checkpoints(victim[0][0].run_id)]
        assert shown == [f"n{index}" for index in range(done - 1)]
        reader.close()

    db.execute("PRAGMA max_page_count = 1073741823")
    for records in victim[done:]:
        journal.append(records)
    reader = SqliteTraceReader(store.path)
    trace = reader.trace(victim[0][0].run_id)
    assert (trace.run.status, len(trace.spans)) == ("COMPLETED", 8_001)
    reader.close()
    store.close()
    assert verify_store(store.path) == []


@pytest.fixture
def small_disk(make_disk: Callable[[int], Path]) -> Path:
    """A file system of 2 MB."""
    return make_disk(2)


def test_a_disk_that_is_really_full_is_explained_and_tears_nothing(
    small_disk: Path, chain: Chain
) -> None:
    ballast = small_disk / "ballast"
    store = SqliteStore(small_disk / "runs.db")
    run_id = new_run_id()
    journal = store.open_journal(run_id)
    appends = chain(run_id, 4_000)
    journal.append(appends[0])
    with contextlib.suppress(OSError):
        ballast.write_bytes(b"x" * (2 << 20))
    done, error = append_until_refused(journal, appends[1:])
    assert error.code == "TR504"

    ballast.unlink()
    reader = SqliteTraceReader(store.path)
    assert len(list(reader.checkpoints(run_id))) == done
    for records in appends[1 + done : 51 + done]:
        journal.append(records)
    assert len(list(reader.checkpoints(run_id))) == done + 50
    reader.close()
    store.close()
    assert verify_store(small_disk / "runs.db") == []


def test_a_read_only_disk_can_be_read_and_says_why_it_cannot_be_written(
    small_disk: Path, chain: Chain
) -> None:
    path = small_disk / "runs.db"
    store = SqliteStore(path)
    appends = chain(new_run_id(), 3)
    journal = store.open_journal(appends[0][0].run_id)
    for records in appends:
        journal.append(records)
    for name in ("runs.db", "runs.db-wal"):
        shutil.copy(small_disk / name, small_disk / name.replace("runs", "copy"))
    store.close()
    older = Path(shutil.copy(path, small_disk / "older.db"))
    with closing(sqlite3.connect(older)) as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) - 1}")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    reader = SqliteTraceReader(path)
    assert len(reader.trace(reader.resolve("@last")).spans) == 7
    reader.close()
    for target in (path, small_disk / "new" / "runs.db"):
        with pytest.raises(StoreError) as caught:
            SqliteStore(target)
        assert caught.value.code == "TR501"
        assert f"{small_disk}" in caught.value.hint
        assert "writable" in caught.value.hint
    for name, why in (("copy.db", "last changes are in copy.db-wal"), ("older.db", "an older")):
        with pytest.raises(StoreError, match=why) as caught:
            SqliteTraceReader(small_disk / name)
        assert caught.value.code == "TR501"
        assert "elsewhere" in caught.value.hint


def test_notes_taken_on_a_full_disk_are_written_when_space_returns(
    tmp_path: Path, chain: Chain
) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    first, *_ = chain(new_run_id(), 1)
    journal = store.open_journal(first[0].run_id)
    journal.append(first)
    assert store._writer is not None
    db = store._writer.db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    journal.note(Logged(3, 1_005, "log", {"message": "x" * 100_000}))
    journal.flush()
    assert len(journal._notes) == 1

    db.execute("PRAGMA max_page_count = 1073741823")
    journal.flush()
    reader = SqliteTraceReader(store.path)
    (event,) = reader.trace(first[0].run_id).spans[2].events
    assert len(event.attributes["message"]) == 100_000
    reader.close()
    store.close()


FORKING = """
import os, sys
from tailrace.errors import StoreError
from tailrace.model import *
from tailrace.store import SqliteStore

def records(run_id):
    return [[RunStarted(run_id, "f", "h", "", 5, {}, "test", 1)],
            [NodeStarted(2, 3, 1, 0, "a", "", 6, {})],
            [NodeFinished(2, 3, NodeState.SUCCEEDED, 7, "a"), RunFinished(8, RunStatus.COMPLETED)]]

store = SqliteStore(sys.argv[1])
run_id = new_run_id()
mine = records(run_id)
journal = store.open_journal(run_id)
journal.append(mine[0])
pid = os.fork()
if pid == 0:
    journal.note(Logged(1, 5, "ghost", {}))
    try:
        journal.append(mine[1])
        raise SystemExit("the child wrote into its parent's run")
    except StoreError:
        pass
    run_id = new_run_id()
    own = store.open_journal(run_id)
    for one in records(run_id):
        own.append(one)
    own.close()
    store.close()
    raise SystemExit(0)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
for one in mine[1:]:
    journal.append(one)
store.close()
raise SystemExit(status)
"""


def test_a_forked_child_writes_runs_of_its_own_and_leaves_the_parents_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    command = [sys.executable, "-W", "ignore", "-c", FORKING, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert [run.status for run in _runs(path)] == ["COMPLETED", "COMPLETED"]
    reader = SqliteTraceReader(path)
    for run in reader.runs():
        assert all(span.events == [] for span in reader.trace(run.run_id).spans)
    reader.close()
    assert verify_store(path) == []


def test_a_child_that_outlives_its_parent_does_not_keep_its_run_alive(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    program = """
import os, sys
from tailrace.model import *
from tailrace.store import SqliteStore
store = SqliteStore(sys.argv[1])
run_id = new_run_id()
store.open_journal(run_id).append([RunStarted(run_id, "f", "h", "", 5, {}, "test", 1)])
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert [run.status for run in _runs(path)] == ["RUNNING"]
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 30  # the child lets go once it has run at all
        while [run.status for run in _runs(path)] == ["RUNNING"]:
            assert time.monotonic() < deadline
        assert [run.status for run in _runs(path)] == ["INTERRUPTED"]


def test_a_lease_lives_until_it_is_released(tmp_path: Path) -> None:
    lease = Lease(tmp_path)

    assert is_alive(tmp_path, lease.token)
    remove_stale(tmp_path)
    assert is_alive(tmp_path, lease.token)
    lease.release()
    assert not is_alive(tmp_path, lease.token)
    assert list(tmp_path.iterdir()) == []


def test_leases_taken_while_others_clean_up_stay_whole(tmp_path: Path) -> None:
    stop = threading.Event()

    def clean() -> None:
        while not stop.is_set():
            remove_stale(tmp_path)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    leases = [Lease(tmp_path) for _ in range(300)]
    stop.set()
    cleaner.join()

    assert all(is_alive(tmp_path, lease.token) for lease in leases)
    for lease in leases:
        lease.release()
