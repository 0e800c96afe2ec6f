"""The event stream between processes: kills, backoffs, writers at once, full disks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.events.event_json import to_json
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.model.failure import FailureFilter
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store import SqliteDeadLetters, verify_store
from tailrace.store.event_log import SqliteEventLog
from tailrace.store.sqlite import shared_store

JOBS = """
import os, sys, threading, time
from pathlib import Path

def note(word):
    with open(sys.argv[2], "a") as file:
        file.write(f"{word} {time.time():.3f}\\n")
    print(word, flush=True)

def slow():
    note("running")
    if os.environ.get("SLOW"):
        threading.Event().wait()
    return {"done": True}

def flaky():
    note("called")
    if os.environ.get("BROKEN"):
        raise ConnectionError("away")
    return {"done": True}
"""
START = """
import sys
sys.path.insert(0, sys.argv[3])
import jobs
from tailrace.events.stream import ResilientEventStream
from tailrace.policy.retry_policy import RetryPolicy
from tailrace.store import SqliteDeadLetters
from tailrace.store.event_log import SqliteEventLog

delay, name = float(sys.argv[4]), sys.argv[5]
log = SqliteEventLog(sys.argv[1])
policy = RetryPolicy(max_attempts=3, base=delay, jitter="none")
stream = ResilientEventStream(log, letters=SqliteDeadLetters(sys.argv[1]), policy=policy)
"""
RUN = START + 'stream.emit_with_retry("action", "svc", getattr(jobs, name))\n'
RUN_KILLED_WAITING = (
    START
    + """
import os, signal, time
from tailrace.events.clock import SystemClock
from tailrace.model.event import EventFilter

class LastClock(SystemClock):
    def sleep(self, seconds):
        while not log.counts(EventFilter(status="retrying")).total:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)

letters = SqliteDeadLetters(sys.argv[1])
stream = ResilientEventStream(log, letters=letters, policy=policy, clock=LastClock())
stream.emit_with_retry("action", "svc", getattr(jobs, name))
"""
)
RUN_LAMBDA = START + 'stream.emit_with_retry("action", "svc", lambda: jobs.slow())\n'
RECOVER = START + "print(stream.recover(wait=True), flush=True)\n"
WRITE = """
import sys
from tailrace.events.stream import ResilientEventStream
from tailrace.store.event_log import SqliteEventLog

stream = ResilientEventStream(SqliteEventLog(sys.argv[1]))
count, size = int(sys.argv[3]), int(sys.argv[4])
for number in range(count):
    length = (number * 7919) % size if size else 0
    stream.emit("write", sys.argv[2], {"n": number, "text": "x" * length})
    print(number, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "jobs.py").write_text(JOBS)
    yield tmp_path
    for path in tmp_path.rglob("*.db"):
        shared_store(path).close()


def start(script: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def job(script: str, place: Path, delay: float, name: str, **environment: str) -> Any:
    return start(script, place / "t.db", place / "calls.txt", place, delay, name, **environment)


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"{word!r} never came")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def calls(place: Path) -> list[tuple[str, float]]:
    lines = (place / "calls.txt").read_text().splitlines()
    return [(word, float(at)) for word, at in (line.split() for line in lines)]


def bodies(path: Path) -> list[dict[str, Any]]:
    log = SqliteEventLog(path)
    found = [to_json(event) for event in log.events(EventFilter(), limit=99, oldest_first=True)]
    log.close()
    return found


def test_an_action_whose_process_is_killed_is_seen_and_run_again(place: Path) -> None:
    process = job(RUN, place, 0.01, "slow", SLOW="1")
    until(process, "running")
    kill(process)
    assert [event["status"] for event in bodies(place / "t.db")] == ["pending"]
    output, _ = job(RECOVER, place, 0.01, "slow").communicate(timeout=60)
    assert "resumed=1" in output
    found = bodies(place / "t.db")
    assert [event["status"] for event in found] == ["pending", "retrying", "success"]
    assert found[1]["error_info"]["class"] == "worker_lost"
    assert [word for word, _ in calls(place)] == ["running", "running"]


def test_an_action_that_only_its_killed_process_had_becomes_a_dead_letter(place: Path) -> None:
    process = job(RUN_LAMBDA, place, 0.01, "slow", SLOW="1")
    until(process, "running")
    kill(process)
    output, _ = job(RECOVER, place, 0.01, "slow").communicate(timeout=60)
    assert "given_up=1" in output
    letters = SqliteDeadLetters(place / "t.db")
    (letter,) = letters.letters(FailureFilter())
    letters.close()
    assert (letter.reason, letter.kind) == ("worker_lost", "event")


def test_a_process_killed_while_it_waits_is_continued_at_the_stored_time(place: Path) -> None:
    delay = 1.0
    process = job(RUN_KILLED_WAITING, place, delay, "flaky", BROKEN="1")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (retrying,) = [event for event in bodies(place / "t.db") if event["status"] == "retrying"]
    assert retrying["retry_info"]["attempt"] == 2
    anew = 300.0  # who waited as its own policy says would not be back in time
    output, _ = job(RECOVER, place, anew, "flaky").communicate(timeout=60)
    assert "resumed=1" in output
    (_, first), (_, second) = calls(place)
    assert second - first >= delay - 0.01
    newest = bodies(place / "t.db")[-1]
    assert (newest["status"], newest["retry_info"]["attempt"]) == ("success", 2)


def test_what_was_acknowledged_survives_kills_while_it_is_written(place: Path) -> None:
    path = place / "t.db"
    acknowledged = 0
    for number in range(4):
        process = start(WRITE, path, f"w{number}", 10_000, 200_000)
        until(process, str(5 + 4 * number))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        acknowledged += 6 + 4 * number + rest.count("\n")
    log = SqliteEventLog(path)
    total = log.counts(EventFilter()).total
    for number in range(4):
        found = log.events(EventFilter(source=f"w{number}"), limit=9999, oldest_first=True)
        assert [event.body["data"]["n"] for event in found] == list(range(len(found)))
    log.close()
    assert acknowledged <= total <= acknowledged + 4
    assert verify_store(path) == []


def test_four_processes_write_at_once_without_loss_and_keep_their_order(place: Path) -> None:
    path, each = place / "t.db", 300
    writers = [start(WRITE, path, f"w{number}", each, 4_000) for number in range(4)]
    for writer in writers:
        output, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0, output
    log = SqliteEventLog(path)
    assert log.counts(EventFilter()).by_status == {"success": 4 * each}
    found = log.events(EventFilter(), limit=9999, oldest_first=True)
    log.close()
    assert len({event.event_id for event in found}) == 4 * each
    for number in range(4):
        own = [event.body["data"]["n"] for event in found if event.source == f"w{number}"]
        assert own == list(range(each))


def test_a_purge_in_a_loop_loses_no_young_event_of_another_process(place: Path) -> None:
    """A fifth of the young events was lost."""
    path = place / "t.db"
    log = SqliteEventLog(path)
    ResilientEventStream(log).emit("first", "x")
    writers = [start(WRITE, path, f"w{number}", 400, 0) for number in range(2)]
    young = time.time_ns() - 3_600_000_000_000
    while any(writer.poll() is None for writer in writers):
        log.purge(until_ns=young)
    for writer in writers:
        writer.communicate()
    assert log.counts(EventFilter()).total == 801
    log.close()


@pytest.fixture
def small_disk(make_disk: Callable[[int], Path]) -> Iterator[Path]:
    disk = make_disk(6)
    yield disk
    shared_store(disk / "t.db").close()


def test_a_full_disk_is_a_clear_error_tears_nothing_and_passes(small_disk: Path) -> None:
    path = small_disk / "t.db"
    with contextlib.closing(SqliteEventLog(path)) as log:
        _fill_and_free(small_disk, log)
    assert verify_store(path) == []


def _fill_and_free(small_disk: Path, log: SqliteEventLog) -> None:
    stream = ResilientEventStream(log, policy=RetryPolicy(max_attempts=0))
    stream.emit("first", "x")
    filler = small_disk / "filler"
    written: list[str] = []

    def act() -> dict[str, bool]:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        os.truncate(filler, filler.stat().st_size - (200 << 10))
        with contextlib.suppress(StoreError):
            while True:
                written.append(stream.emit("fill", "x", {"text": "y" * 1000}))
        return {"done": True}

    emitted = stream.emit_with_retry("action", "svc", act)
    assert (emitted.is_success, emitted.is_durable) == (True, False)
    with pytest.raises(StoreError, match="disk is full") as seen:
        stream.emit("more", "x", {"text": "y" * 5000})
    assert seen.value.code == "TR504"
    filler.unlink()
    stream.emit("after", "x")
    assert stream.unwritten == 0
    counts = log.counts(EventFilter()).by_type
    assert len(written) > 10
    assert counts == {"first": 1, "fill": len(written), "action": 2, "after": 1}
    assert log.event(emitted).status == "success"


def test_a_forked_child_writes_beside_its_parent(place: Path) -> None:
    script = """
import os, sys
from tailrace.events.stream import ResilientEventStream
from tailrace.model.event import EventFilter
from tailrace.store.event_log import SqliteEventLog

log = SqliteEventLog(sys.argv[1])
stream = ResilientEventStream(log)
stream.emit("parent", "x")
log.counts(EventFilter())
if os.fork() == 0:
    stream.emit_with_retry("child", "x", dict)
    assert log.counts(EventFilter()).total >= 3
    os._exit(0)
assert os.wait()[1] == 0
stream.emit("parent", "x")
print(log.counts(EventFilter()).by_type)
"""
    output, _ = start(script, place / "t.db").communicate(timeout=60)
    assert json.loads(output.replace("'", '"')) == {"child": 2, "parent": 2}


def test_a_program_ends_while_abandoned_actions_and_reruns_go_on(place: Path) -> None:
    script = """
import sys, threading
from tailrace.events.stream import ResilientEventStream
from tailrace.store.event_log import SqliteEventLog

stream = ResilientEventStream(SqliteEventLog(sys.argv[1]))
forever = threading.Event()
emitted = stream.emit_with_retry("a", "x", forever.wait, timeout_seconds=0.05, max_retries=0)
print(emitted.status, threading.active_count() > 1)
"""
    started = time.monotonic()
    output, _ = start(script, place / "t.db").communicate(timeout=60)
    assert output.split() == ["dead_letter", "True"]
    assert time.monotonic() - started < 20
    assert threading.active_count() >= 1
