"""Work whose process is killed is never lost: it is seen, and goes on where it stood."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import processes
from processes import start
from tailrace.model.failure import FailureFilter
from tailrace.store import SqliteFailureLog
from waiting import wait_until

TASKS = """
import pathlib, time

def first():
    with open("done.txt", "a") as file:
        file.write("first\\n")
    return 1

def second(ctx, first):
    with open("done.txt", "a") as file:
        file.write(f"second {ctx.attempt} {time.time()}\\n")
    if not pathlib.Path("mended").exists():
        if pathlib.Path("hang").exists():
            time.sleep(600)
        raise ConnectionError("no route to the other side")
    return first + 1
"""
FLOW = """
flow:
  graph: first >> second
tasks:
  first: {callable: 'my_tasks:first'}
  second:
    callable: 'my_tasks:second'
    policy: {retry: {max_attempts: 5, delay: DELAY}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "my_tasks.py").write_text(TASKS)
    return tmp_path


def write_flow(project: Path, delay: str) -> None:
    (project / "flow.yaml").write_text(FLOW.replace("DELAY", delay))


def tailrace(project: Path, *arguments: str) -> Any:
    """Run a command and return its JSON."""
    done = processes.tailrace(project, *arguments, "--format", "json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def done(project: Path) -> list[list[str]]:
    file = project / "done.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def kill_when(project: Path, condition: Callable[[], object], what: str, *arguments: str) -> None:
    """Start a command and kill it once that is true."""
    with start(project, *arguments) as process:
        wait_until(condition, what, process=process)
        process.send_signal(signal.SIGKILL)


def has_failed(project: Path) -> bool:
    """Whether a failed attempt is in the store."""
    db = project / ".tailrace" / "tailrace.db"
    with closing(SqliteFailureLog(db)) as log:
        return db.exists() and bool(log.failures(FailureFilter()))


def test_a_process_killed_during_the_action_leaves_a_lost_failure_and_a_letter_that_can_be_redriven(
    project: Path,
) -> None:
    write_flow(project, "0s")
    (project / "hang").touch()
    kill_when(project, lambda: len(done(project)) == 2, "second hangs", "run", "flow.yaml")

    [letter] = tailrace(project, "failures", "dlq", "list")
    assert (letter["reason"], letter["state"], letter["node_id"]) == (
        "worker_lost",
        "open",
        "second",
    )
    [failure] = tailrace(project, "failures", "list")
    assert failure["class"] == "worker_lost"
    assert failure["origin"]["source"] == "lost"

    (project / "mended").touch()
    tailrace(project, "failures", "dlq", "redrive", letter["dl_id"])
    [letter] = tailrace(project, "failures", "dlq", "list", "--state", "resolved")
    assert letter["crash_attempts"] == 1
    assert [line[0] for line in done(project)] == ["first", "second", "second"]


def test_a_process_killed_in_a_backoff_tries_again_at_the_stored_instant(project: Path) -> None:
    write_flow(project, "4s")
    started = time.time()
    kill_when(project, partial(has_failed, project), "second has failed", "run", "flow.yaml")
    (project / "mended").touch()
    [letter] = tailrace(project, "failures", "dlq", "list")
    tailrace(project, "failures", "dlq", "redrive", letter["dl_id"])

    first, second, third = done(project)
    assert [first[0], second[:2], third[:2]] == ["first", ["second", "1"], ["second", "2"]]
    assert float(third[2]) - float(second[2]) == pytest.approx(4, abs=1)
    assert float(second[2]) >= started


def test_work_that_kills_its_process_again_and_again_is_parked_as_poison(project: Path) -> None:
    tasks = TASKS.replace("time.sleep(600)", "os.kill(os.getpid(), 9)")
    (project / "my_tasks.py").write_text("import os\n" + tasks)
    write_flow(project, "0s")
    (project / "hang").touch()
    with start(project, "run", "flow.yaml") as process:
        process.communicate(timeout=60)
    for _ in range(2):
        [letter] = tailrace(project, "failures", "dlq", "list", "--state", "open")
        with start(project, "failures", "dlq", "redrive", letter["dl_id"]) as process:
            process.communicate(timeout=60)

    [letter] = tailrace(project, "failures", "dlq", "list")
    assert (letter["state"], letter["reason"], letter["crash_attempts"]) == ("parked", "poison", 3)
    assert [line[0] for line in done(project)].count("first") == 1
