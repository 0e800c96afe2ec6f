"""Old runs go by themselves where the settings say so, and those that are waited for stay."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from pathlib import Path

import processes
from tailrace.store import SqliteTraceReader, verify_store

FLOW = """
version: 1
name: nightly
tasks:
  step: {callable: "steps:step"}
flow:
  graph: step
"""
TASKS = """
def step(fail=False):
    if fail:
        raise ValueError("bad")
    return "x" * 20_000
"""


def test_runs_prune_the_database_once_a_day_and_keep_what_a_letter_points_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW, "utf-8")
    (tmp_path / "steps.py").write_text(TASKS, "utf-8")
    tailrace = partial(processes.tailrace, tmp_path)

    path = tmp_path / ".tailrace" / "tailrace.db"

    def runs() -> list[str]:
        with closing(SqliteTraceReader(path)) as reader:
            return [run.run_id for run in reader.runs()]

    assert tailrace("run", "flow.yaml", "--param", "fail=true").returncode == 1
    (failed,) = runs()
    assert tailrace("run", "flow.yaml").returncode == 0
    (tmp_path / "tailrace.toml").write_text("[retention]\nkeep_runs = 1\n", "utf-8")
    assert tailrace("run", "flow.yaml").returncode == 0
    assert len(runs()) == 2
    assert runs()[-1] == failed
    assert tailrace("run", "flow.yaml").returncode == 0
    assert len(runs()) == 3  # not again on the same day
    os.utime(f"{path}-pruned", (1, 1))
    done = tailrace("run", "flow.yaml")
    assert (done.returncode, "Traceback" in done.stderr, len(runs())) == (0, False, 2)

    told = tailrace("db", "prune", "--keep-days", "0.0000001")
    assert "kept: 1 run: a dead letter that waits points to it" in told.stdout
    assert runs() == [failed]
    assert verify_store(path) == []
