"""Processes that are killed while they write failures: what was acknowledged is there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.model.failure import FailureFilter
from tailrace.store import (
    SqliteDeadLetters,
    SqliteFailureLog,
    SqliteRedriveLog,
    SqliteStore,
    verify_store,
)

WRITING = """
import random, sys
from tailrace.model.failure import FailureSnapshot
from tailrace.model.ids import new_sortable
from tailrace.model.letter import DeadLetter
from tailrace.store import SqliteFailureLog, StoreLimits
log = SqliteFailureLog(sys.argv[1], limits=StoreLimits(flood=0))
chance = random.Random(int(sys.argv[2]))
print("ready", flush=True)
for number in range(1_000_000):
    size = chance.choice((0, 200, 5_000, 60_000, 400_000))
    one = FailureSnapshot(failure_id="F-" + new_sortable(), captured_ns=number, type="E",
                          message="m" * size, category="transient", fp_site="v1:" + "a" * 32)
    letters = []
    if number % 3 == 0:
        letters.append(DeadLetter(dl_id=one.failure_id.replace("F-", "DL-"), task_key="k",
                                  failure_id=one.failure_id, kind="event", payload="p" * size))
    log.record([one], letters)
    print(one.failure_id, size, len(letters), flush=True)
"""


def kill_one(path: Path, seed: int) -> list[tuple[str, int, bool]]:
    """Return what a process had been told is durable when it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(random.Random(seed).randrange(2, 60))]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.communicate()
    whole = [line.split() for line in said[1:] if line.endswith("\n")]
    return [(failure_id, int(size), letter == "1") for failure_id, size, letter in whole]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_while_failures_of_any_size_are_written_loses_none_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "runs.db"
    told = kill_one(path, seed)
    SqliteStore(path).close()

    log, letters = SqliteFailureLog(path), SqliteDeadLetters(path)
    kept = {one.failure_id: len(one.message) for one in log.failures(FailureFilter(), limit=9_999)}
    assert {failure_id: size for failure_id, size, _ in told}.items() <= kept.items()
    for failure_id, size, has_letter in told:
        if has_letter:
            letter = letters.letter(failure_id.replace("F-", "DL-"))
            assert letter.payload == "p" * size
    assert log.groups(FailureFilter())[0].count == len(kept)
    audit = SqliteRedriveLog(path)
    assert audit.verify() is None
    for one in (log, letters, audit):
        one.close()
    assert verify_store(path) == []
