"""Asking a store from the command line, in processes of their own."""

from __future__ import annotations

import json
import select
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import processes
from waiting import wait_until

FLOW = """
from tailrace import Flow, task


@task
def load():
    return 1


@task
def check(load):
    raise ValueError("no")


flow = Flow("nightly", load >> check)
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tailrace(tmp_path: Path) -> Run:
    (tmp_path / "nightly.py").write_text(FLOW, "utf-8")
    return partial(processes.tailrace, tmp_path)


def test_a_failed_run_is_found_by_what_happened_in_it(tailrace: Run) -> None:
    assert tailrace("run", "nightly.py").returncode == 1
    done = tailrace("trace", "search", '{ name = "run nightly" } >> { status = error }')
    assert done.returncode == 0
    assert "✘ node check" in done.stdout
    assert "\x1b" not in done.stdout
    coloured = tailrace("trace", "search", "{ status = error }", more={"FORCE_COLOR": "1"})
    assert "\x1b[31m" in coloured.stdout
    for plain in (("--no-color",), ()):
        more = {"FORCE_COLOR": "1"} if plain else {"NO_COLOR": "1", "FORCE_COLOR": "1"}
        assert "\x1b" not in tailrace("trace", "search", "{ }", *plain, more=more).stdout
    ascii_ = tailrace(
        "trace", "metrics", "{ } | rate()", "-o", "plot", more={"PYTHONIOENCODING": "ascii"}
    )
    assert ascii_.returncode == 0
    assert ascii_.stdout.isascii()


def test_a_query_may_come_from_standard_input(tailrace: Run) -> None:
    tailrace("run", "nightly.py")
    done = tailrace("trace", "search", "-", "-o", "jsonl", typed="{ status = error }\n")
    assert json.loads(done.stdout)["root_service"] == "nightly"


@pytest.mark.parametrize(
    "command",
    [
        ("search",),
        ("metrics", "{ } | rate()"),
        ("tail",),
        ("summary",),
        ("check", "{}", "--explain"),
    ],
)
def test_without_a_store_there_is_nothing_to_ask(tailrace: Run, command: tuple[str, ...]) -> None:
    done = tailrace("trace", *command)
    assert done.returncode == 5
    assert "there is no store" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tail_shows_spans_of_other_processes_until_it_is_interrupted(
    tailrace: Run, tmp_path: Path
) -> None:
    tailrace("run", "nightly.py")
    seen = tmp_path / "seen.jsonl"
    said = tmp_path / "said.txt"
    rest = tmp_path / "rest.txt"
    with seen.open("w") as out, said.open("w") as err, rest.open("w") as all_out:
        query = '{ name = "run nightly" } >> { status = error }'
        command = ("trace", "tail", "--traceql", query, "--since", "1h", "-o", "jsonl")
        tail = processes.start(tmp_path, *command, stdout=out, stderr=err)
        everything = processes.start(tmp_path, "trace", "tail", stdout=all_out)
        assert everything.stderr is not None
        assert "waiting for spans" in everything.stderr.readline()

        def shown(spans: int) -> bool:
            return seen.read_text().count("\n") == spans

        try:
            wait_until(lambda: shown(2), "the tail shows what was there", process=tail)
            with closing(sqlite3.connect(tmp_path / ".tailrace" / "tailrace.db")) as db, db:
                db.execute("DELETE FROM run")
            tailrace("run", "nightly.py")
            wait_until(lambda: shown(4), "the tail shows the next run", process=tail)
            ended = "the other tail shows the end of the run"
            wait_until(lambda: "run nightly" in rest.read_text(), ended, process=everything)
        finally:
            for process in (tail, everything):
                process.send_signal(signal.SIGINT)
            tail.wait(30)
            everything.communicate(timeout=60)
    assert tail.returncode == everything.returncode == 130
    names = [json.loads(line)["name"] for line in seen.read_text().splitlines()]
    assert sorted(names) == ["attempt check", "attempt check", "node check", "node check"]
    assert "Traceback" not in said.read_text()


@pytest.mark.skipif(not hasattr(select, "poll"), reason="this system does not tell")
@pytest.mark.parametrize("command", [("trace", "tail"), ("failures", "watch")])
def test_following_ends_when_nobody_reads_any_more(
    tailrace: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    tailrace("run", "nightly.py")
    tail = processes.start(tmp_path, *command, "--since", "1h", "-o", "jsonl")
    try:
        assert tail.stdout is not None
        assert tail.stdout.readline().startswith("{")
        tail.stdout.close()
        assert tail.wait(30) == 0
        assert tail.stderr is not None
        assert "Traceback" not in tail.stderr.read()
    finally:
        tail.kill()
        tail.wait()
        if tail.stderr is not None:
            tail.stderr.close()
