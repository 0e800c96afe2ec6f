"""Looking back at runs that went on with each other, through the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import processes

TASKS = """
from pathlib import Path


def items(count=4):
    return list(range(count))


def load(item):
    if item == 2 and not Path("mended").exists():
        raise ValueError("bad item 2")
    return 2 * item


def total(each):
    return sum(each)
"""
FLOW = """
version: 1
name: nightly
tasks:
  items: {callable: "steps:items"}
  load: {callable: "steps:load"}
  total: {callable: "steps:total"}
flow:
  graph: |
    items
    >> each: foreach(over={{ results.items }}, item=item){ load }
    >> total
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def commands(folder: Path) -> Run:
    """Return what runs a command in a folder with the flow."""
    (folder / "steps.py").write_text(TASKS, "utf-8")
    (folder / "flow.yaml").write_text(FLOW, "utf-8")
    return partial(processes.tailrace, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture(scope="module")
def tailrace(folder: Path) -> Run:
    return commands(folder)


@pytest.fixture(scope="module")
def chain(tailrace: Run, folder: Path) -> list[str]:
    """A run that failed twice and was mended, oldest first; a run of its own came later."""
    assert tailrace("run", "flow.yaml").returncode == 1
    assert tailrace("resume").returncode == 1
    (folder / "mended").touch()
    done = tailrace("resume")
    assert done.returncode == 0, done.stderr
    assert tailrace("run", "flow.yaml", "-p", "count=3").returncode == 0
    runs = json.loads(tailrace("trace", "list", "--json").stdout)
    return [run["run_id"] for run in reversed(runs)][:3]


def found(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("place", [0, 2])
def test_any_run_of_a_chain_of_resumes_leads_to_the_whole_chain(
    tailrace: Run, chain: list[str], place: int
) -> None:
    runs = found(tailrace("trace", "list", "--lineage", chain[place], "--json"))
    assert [run["run_id"] for run in runs] == chain
    assert [run["resumed_from"] for run in runs] == [None, chain[0], chain[1]]
    assert {run["lineage"] for run in runs} == {chain[0]}
    assert [run["failed_node"] for run in runs] == ["each[2].load", "each[2].load", None]
    assert [(run["nodes"]["reused"], run["nodes"]["ran"]) for run in runs] == [
        (0, 4),
        (3, 1),
        (3, 3),
    ]
    assert runs[2]["dead_letter"].startswith("DL-")


def test_a_chain_is_a_table_for_people_and_takes_no_other_filter(
    tailrace: Run, chain: list[str]
) -> None:
    lines = tailrace("trace", "list", "--lineage", chain[1]).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == chain
    refused = tailrace("trace", "list", "--lineage", "@last", "--status", "OK")
    assert refused.returncode == 2
    assert "no other filter" in refused.stderr
    assert tailrace("trace", "list", "--lineage", "ffff").returncode == 3


def test_a_resumed_run_alone_is_compared_with_the_one_it_went_on_with(
    tailrace: Run, chain: list[str]
) -> None:
    comparison = found(tailrace("trace", "diff", chain[2], "--json"))
    assert (comparison["a"]["run_id"], comparison["b"]["run_id"]) == (chain[1], chain[2])
    told = {(one["path"], one["what"]): (one["a"], one["b"]) for one in comparison["differences"]}
    assert told["each[2].load", "state"] == ("FAILED", "SUCCEEDED")
    assert told["total", "state"] == ("SKIPPED", "SUCCEEDED")
    assert comparison["loops"] == [
        {"path": "each", "equal": 2, "different": 1, "only_a": 0, "only_b": 1}
    ]
    assert {"path": "each.load", "by": "b", "from_run": chain[0], "count": 2} in comparison[
        "reused"
    ]


def test_a_run_that_went_on_with_none_is_compared_with_the_last_success(
    tailrace: Run, chain: list[str]
) -> None:
    comparison = found(tailrace("trace", "diff", "--format", "json"))
    assert comparison["a"]["run_id"] == chain[2]
    entry = next(one for one in comparison["differences"] if one["path"] == "items")
    assert (entry["what"], entry["name"], entry["a"], entry["b"]) == ("input", "count", None, 3)
    output = [one for one in comparison["differences"] if one["path"] == "total"][-1]
    assert (output["what"], output["a"], output["b"]) == ("output", 12, 6)


def test_exit_codes_say_whether_runs_differ_and_whether_they_exist(
    tailrace: Run, chain: list[str]
) -> None:
    first, last = chain[0], chain[-1]
    assert tailrace("trace", "diff", first, last).returncode == 0
    assert tailrace("trace", "diff", first, last, "--fail-if-different").returncode == 1
    assert tailrace("trace", "diff", last, last, "--fail-if-different").returncode == 0
    assert tailrace("trace", "diff", first, "ffff").returncode == 3


def test_a_run_with_nothing_to_compare_it_with_says_what_to_do(tmp_path: Path) -> None:
    tailrace = commands(tmp_path)
    assert tailrace("run", "flow.yaml").returncode == 1
    done = tailrace("trace", "diff")
    assert done.returncode == 3
    assert "TR210" in done.stderr
    assert "tailrace trace diff RUN_A RUN_B" in done.stderr


def test_runs_name_what_they_went_on_with_and_who_went_on_with_them(
    tailrace: Run, chain: list[str]
) -> None:
    head = [tailrace("trace", "show", run_id).stdout.splitlines()[:3] for run_id in chain]
    assert head[0][1] == f"gone on with by {chain[1]}"
    assert head[1][1:] == [f"resumed from {chain[0]}", f"gone on with by {chain[2]}"]
    assert head[2][1] == f"resumed from {chain[1]}"
    shown = found(tailrace("trace", "show", chain[1], "--json"))
    assert (shown["run"]["resumed_from"], shown["run"]["resumed_by"]) == (chain[0], chain[2])
