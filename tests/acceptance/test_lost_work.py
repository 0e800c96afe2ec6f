"""Work whose process is killed is never lost: it is seen, and goes on where it stood."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

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


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tailrace", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tailrace(project: Path, *arguments: str) -> Any:
    """Run a command and return its JSON."""
    with start(project, *arguments, "--format", "json") as process:
        out, err = process.communicate(timeout=60)
    assert out, err
    return json.loads(out)


def done(project: Path) -> list[list[str]]:
    file = project / "done.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def kill_when(project: Path, lines: int, *arguments: str) -> None:
    """Start a command and kill it once the tasks have written so many lines."""
    with start(project, *arguments) as process:
        deadline = time.monotonic() + 60
        while len(done(project)) < lines:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.1)  # the failed attempt is committed right after the task's line
        process.send_signal(signal.SIGKILL)


def test_a_process_killed_during_the_action_leaves_a_lost_failure_and_a_letter_that_can_be_redriven(
    project: Path,
) -> None:
    write_flow(project, "0s")
    (project / "hang").touch()
    kill_when(project, 2, "run", "flow.yaml")

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
    kill_when(project, 2, "run", "flow.yaml")
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
