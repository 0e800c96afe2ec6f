"""Many processes and threads at once: nothing is lost, nothing is done twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from effort import times
from tailrace.model.failure import FailureFilter
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteDeadLetters, SqliteFailureLog, SqliteRedriveLog, verify_store

LETTERS = times(4_000)
CLAIMING = """
import sys, time
from tailrace.model.failure import FailureFilter
from tailrace.model.letter import Redrive
from tailrace.store import SqliteDeadLetters
letters = SqliteDeadLetters(sys.argv[1])
order = Redrive(dl_id="", generation=0, batch_id=sys.argv[2], actor="x", at_ns=time.time_ns())
print("ready", flush=True)
sys.stdin.readline()
while taken := letters.claim(FailureFilter(category="transient"), order, limit=int(sys.argv[3])):
    print(*(letter.dl_id for letter in taken), sep="\\n", flush=True)
print("done", flush=True)
sys.stdin.readline()  # the letters of a process that ended without a run are given back
"""

RECORDING = """
import sys
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.store import SqliteFailureLog
log = SqliteFailureLog(sys.argv[1])
for number in range(int(sys.argv[2])):
    one = FailureSnapshot(failure_id="F-" + new_sortable(), captured_ns=number * 10**9, type="E",
                          message="m", category="transient", fp_site="v1:" + sys.argv[3] * 32)
    log.record([one])
    print(one.failure_id)
"""


def processes(program: str, *arguments: list[str]) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, *one],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for one in arguments
    ]  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def test_six_claimers_with_one_filter_take_each_of_many_thousand_letters_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    log = SqliteFailureLog(path)
    log.record([], [
        DeadLetter(dl_id=f"DL-{new_sortable()}", task_key=f"k{number}", category="transient",
                   kind="event", created_ns=number)
        for number in range(LETTERS)
    ])  # fmt: skip
    claimers = processes(CLAIMING, *([str(path), f"B-{number}", "500"] for number in range(6)))
    for claimer in claimers:
        assert line_of(claimer) == "ready"
    for claimer in claimers:
        say(claimer, "go")
    taken: Counter[str] = Counter()
    for claimer in claimers:
        taken.update(iter(partial(line_of, claimer), "done"))
    for claimer in claimers:
        claimer.communicate("end")

    assert len(taken) == LETTERS
    assert set(taken.values()) == {1}
    letters, redrives = SqliteDeadLetters(path), SqliteRedriveLog(path)
    assert len(redrives.redrives()) == LETTERS
    assert redrives.verify() is None
    given_back = letters.letters(FailureFilter(state="open"), limit=2 * LETTERS)
    assert len(given_back) == LETTERS  # the claimers are gone, and no run of theirs had begun
    for one in (log, letters, redrives):
        one.close()
    assert verify_store(path) == []


def test_four_processes_record_at_once_and_every_acknowledged_failure_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    SqliteFailureLog(path).record([])
    recorders = processes(RECORDING, *([str(path), "300", digit] for digit in "abca"))
    said = [recorder.communicate()[0].split() for recorder in recorders]

    ids = [failure_id for one in said for failure_id in one]
    log = SqliteFailureLog(path)
    kept = {one.failure_id for one in log.failures(FailureFilter(), limit=2_000)}
    assert len(ids) == len(set(ids)) == 1_200
    assert set(ids) == kept
    counts = {one.fp_site[3]: one.count for one in log.groups(FailureFilter())}
    assert counts == {"a": 600, "b": 300, "c": 300}
    log.close()
    assert verify_store(path) == []
