"""Commands that tests run in forks do what they do in processes that load them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_cluster import is_alive
from nursery import nursery
from processes import environ, tailrace
from waiting import wait_until

FLOW = """
import os, sys, time
from pathlib import Path
from tailrace import Flow, task

@task
def look(wait: bool = False):
    Path("pid").write_text(str(os.getpid()))
    while wait:
        time.sleep(0.01)
    print(sys.stdin.read())
    return [os.getcwd(), os.environ["WORD"], sys.argv, sys.path[0], __name__]

flow = Flow("looks", look)
"""


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("run", "flow.py", "--no-diary", "--tracer", "none"), ("run", "none.py")],
    ids=" ".join,
)
def test_a_fork_says_what_a_process_that_was_started_says(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    variables = environ({"WORD": "x"})
    assert nursery().serves(variables, "typed")
    forked = tailrace(tmp_path, *arguments, typed="typed", more={"WORD": "x"})
    started = subprocess.run(
        [sys.executable, "-m", "tailrace", *arguments],
        cwd=tmp_path,
        env=variables,
        input="typed",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert forked.returncode == started.returncode
    assert forked.stdout == started.stdout
    assert forked.stderr.count("\n") == started.stderr.count("\n")


def test_a_fork_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    written = tmp_path / "pid"
    written.touch()
    for seconds in (1, 5, 25):  # the first may end before the task has begun
        with pytest.raises(subprocess.TimeoutExpired):
            tailrace(tmp_path, "run", "flow.py", "-p", "wait=true", seconds=seconds)
        if said := written.read_text():
            break
    pid = int(said)
    wait_until(lambda: not is_alive(pid), "it is gone")


@pytest.mark.parametrize("name", ["PYTHONUTF8", "LC_ALL", "TZ"])
def test_what_only_the_start_of_an_interpreter_reads_is_not_asked_of_a_fork(name: str) -> None:
    assert not nursery().serves({**os.environ, name: "other"}, "")
