"""``tailrace up`` in a folder, as tests start it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import processes
from jetstream_server import free_port
from waiting import wait_until

FLOWS = """
import time
from pathlib import Path
from tailrace import Flow, task


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def double(add: int) -> int:
    return add * 2


sums = Flow("sums", add >> double, defaults={"a": 1, "b": 2})


@task
def refuse() -> None:
    raise ValueError("no such order")


broken = Flow("broken", refuse)


@task
def hold(gate: str) -> str:
    Path(gate + ".begun").touch()
    while not Path(gate).exists():
        time.sleep(0.005)
    return "through"


held = Flow("held", hold)
"""
WORKFLOW = """\
version: 1
name: sent
tasks:
  add: {callable: "shapes:add"}
  double: {callable: "shapes:double"}
flow:
  defaults: {a: 20, b: 1}
  graph: add >> double
"""


class Cluster:
    """A ``tailrace up`` process and what it said when it was ready."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        (folder / "shapes.py").write_text(FLOWS)
        (folder / "sent.yaml").write_text(WORKFLOW)
        self.port = free_port()
        self.log = folder / "up.log"
        with self.log.open("wb") as log:
            self.process = processes.start(
                folder,
                "up",
                *("--port", str(self.port), "--json"),
                *("--flows", "shapes", "--allow-modules", "shapes"),
                *arguments,
                stderr=log,
                env=self.environ(),
            )
        self.said: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environ(self) -> dict[str, str]:
        more = {"PYTHONPATH": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        return processes.environ(more)

    def wait(self) -> None:
        """Wait until all parts are ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.said = json.loads(line)

    def pid_of(self, part: str) -> int:
        return next(int(one["pid"]) for one in self.said["parts"] if one["name"] == part)

    def run(
        self, *arguments: str, typed: str = "", seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; it finds the server by itself."""
        more = {"PYTHONPATH": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        return processes.tailrace(self.folder, *arguments, typed=typed, more=more, seconds=seconds)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def cluster(folder: Path, *arguments: str) -> Iterator[Cluster]:
    """Run ``tailrace up`` for as long as the block lasts."""
    running = Cluster(folder, *arguments)
    try:
        running.wait()
        yield running
    finally:
        running.end()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_for_end(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    wait_until(lambda: not any(is_alive(pid) for pid in pids), f"{pids} have ended")


def tree_of(pid: int) -> list[int]:
    """Return the processes below one, at the moment."""
    below: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                below += [int(entry.name), *tree_of(int(entry.name))]
    return below
