"""Going on with long runs: how soon the first unfinished node starts, and what checkpoints cost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from row import Row
from tailrace import Flow
from tailrace.flows.load import load_definition

if TYPE_CHECKING:
    from suites import Bench

MILLISECONDS = 1e3
CHAIN = '''\
"""Tasks in a row; the last one says when it starts, and fails until it is mended."""
import time
from pathlib import Path
from tailrace import Flow, task
from tailrace.model import Seq, TaskNode

HERE = Path(__file__).parent

@task
def start() -> int:
    return 0

@task
def pass_on(value: int) -> int:
    return value

@task
def last(value: int) -> int:
    (HERE / "reached").write_text(repr(time.time()))
    if not (HERE / "mended").exists():
        raise ValueError("not yet")
    return value

middle = (TaskNode(name=f"n{{number}}", task=pass_on.spec) for number in range({middle}))
flow = Flow("resumed", Seq(children=(start.node, *middle, last.node)))
'''


def resumes(bench: Bench) -> Iterator[Row]:
    """Resuming a chain whose last node failed, in this process and in one of its own."""
    finished = bench.size(10_000, 2_000)
    folder = bench.folder / "resume"
    folder.mkdir()
    (folder / "chain.py").write_text(CHAIN.format(middle=finished - 1), "utf-8")
    flow = _flow(folder / "chain.py")
    flow.run(db=folder / "failed.db", raise_on_failure=False)
    (folder / "mended").touch()
    inside = min(_inside(flow, folder) for _ in range(bench.repeat))
    with closing(sqlite3.connect(folder / "failed.db")) as db:
        raw = min(_rows(db, finished) for _ in range(bench.repeat))
    yield Row(
        name=f"resuming a chain of {finished:,}, until its first unfinished node",
        value=inside * MILLISECONDS,
        unit="ms",
        limit=raw * MILLISECONDS,
        limit_name="reading its rows",
        most=500,
    )
    fresh, resumed = _processes(folder, repeat=3)
    yield Row(
        name=f"the same as a process of its own (chain of {finished:,})",
        value=resumed * MILLISECONDS,
        unit="ms",
        limit=fresh * MILLISECONDS,
        limit_name="the same process, checking the flow only",
    )
    yield from _commits(folder)


def _flow(file: Path) -> Flow:
    flow = load_definition(str(file))
    assert isinstance(flow, Flow)  # noqa: S101 - the file holds one
    return flow


def _inside(flow: Flow, folder: Path) -> float:
    """Return the seconds from asking for the resume to the start of the first unfinished node."""
    store = _copied(folder)
    started = time.time()
    flow.resume("@last", db=store)
    return _reached(folder) - started


def _processes(folder: Path, *, repeat: int) -> tuple[float, float]:
    """Return the seconds of ``tailrace check``, and of a resume until the node starts."""
    checks, resumes_taken = [], []
    for _ in range(repeat):
        checks.append(_command(folder, "check", "chain.py") - time.time())
        store = _copied(folder)
        started = time.time()
        _command(folder, "resume", "@last", "--db", str(store), "--quiet", "--no-diary")
        resumes_taken.append(_reached(folder) - started)
    return -median(checks), median(resumes_taken)


def _command(folder: Path, *arguments: str) -> float:
    """Run a command and return when it was started."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.time()
    command = [sys.executable, "-m", "tailrace", *arguments]
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    return started


def _copied(folder: Path) -> Path:
    """Return a store in which nobody has gone on with the run yet."""
    store = folder / f"copy-{time.time_ns()}.db"
    shutil.copyfile(folder / "failed.db", store)
    return store


def _reached(folder: Path) -> float:
    return float((folder / "reached").read_text())


def _rows(db: sqlite3.Connection, count: int) -> float:
    """Return the seconds of reading every checkpoint with the path of its node."""
    started = time.perf_counter()
    found = db.execute(
        "SELECT s.name, c.codec, c.body FROM checkpoint AS c JOIN span AS s ON s.id = c.id"
    ).fetchall()
    assert len(found) >= count  # noqa: S101 - what is timed must have been done
    return time.perf_counter() - started


def _commits(folder: Path) -> Iterator[Row]:
    """Yield how many commits a node costs: what it left and the start of the next are one."""
    few, many = 50, 150
    counts = {}
    for nodes in (few, many):
        (folder / f"chain_{nodes}.py").write_text(CHAIN.format(middle=nodes - 2), "utf-8")
        store = folder / f"chain_{nodes}.db"
        _flow(folder / f"chain_{nodes}.py").run(db=store)
        counts[nodes] = sum(_commit_marks(Path(f"{store}-wal").read_bytes()))
    yield Row(
        name="commits per node of a chain, checkpoints included",
        value=(counts[many] - counts[few]) / (many - few),
        unit="commits",
        most=1.05,
    )


def _commit_marks(log: bytes) -> Iterator[bool]:
    """Yield for each frame of a write-ahead log whether it ends a transaction.

    Frames with other salts than the log are left over from before it was reset
    (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
    """
    page = int.from_bytes(log[8:12], "big")
    for start in range(32, len(log) - 24, page + 24):
        frame = log[start : start + 24]
        yield frame[8:16] == log[16:24] and frame[4:8] != b"\0\0\0\0"
