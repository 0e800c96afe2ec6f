"""Comparisons and lineages as people see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from tailrace import Flow, Policy, Retry, foreach, task
from tailrace.cli.diff_rows import render_comparison
from tailrace.cli.session import Session
from tailrace.cli.terminal import Terminal
from tailrace.cli.trace import show_trace
from tailrace.cli.trace_rows import View
from tailrace.cli.width import cells
from tailrace.runtime import RunOptions, RunResult, execute
from tailrace.runtime.resuming import ResumeFrom
from tailrace.store import SqliteStore, SqliteTraceReader
from tailrace.testing import MemoryStore
from tailrace.tracing.account import account
from tailrace.tracing.compare import Aspect, Comparison, compare

Screen = Callable[..., Terminal]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@task
def numbers(count: int = 12) -> list[int]:
    return list(range(count))


@task
def double(number: int, plus: int = 0) -> int:
    return 2 * number + plus


@task
def text(ending: str = "a") -> str:
    return "the same beginning of both texts, and then " + ending


BODY = numbers >> foreach("{{ results.numbers }}", item="number", name="each")(double)
FLOW = Flow("loop", BODY)


def run(flow: Flow, store: MemoryStore, **options: Any) -> RunResult:
    return execute(flow, RunOptions(store=store, **options))


def differ(store: MemoryStore, *runs: RunResult) -> Comparison:
    accounts = [
        account(store.run(one.run_id), store.states(one.run_id), store.fingerprints(one.run_id))
        for one in runs
    ]
    return compare(*accounts, ignore=[Aspect.DURATION])


def draw(found: Comparison, screen: Terminal, output: str = "table", **more: Any) -> list[str]:
    return list(render_comparison(found, output, screen, everything=False, **more))


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(store: MemoryStore, screen: Screen, width: int) -> None:
    found = differ(store, run(FLOW, store), run(FLOW, store, params={"plus": 1, "count": 40}))
    lines = draw(found, screen(width))
    assert max(map(cells, lines)) <= width
    shown = "\n".join(lines)
    assert found.before.run_id in shown
    assert found.after.run_id in shown


def test_of_a_loop_five_iterations_are_shown_and_all_are_counted(
    store: MemoryStore, screen: Screen
) -> None:
    found = differ(store, run(FLOW, store), run(FLOW, store, params={"plus": 1}))
    lines = draw(found, screen())
    shown = {line.split()[0] for line in lines if line.startswith("each[")}
    assert shown == {f"each[{index}].double" for index in range(5)}
    assert "each: 0 equal iterations, 12 differ" in lines
    everything = render_comparison(found, "table", screen(), everything=True)
    assert sum(line.startswith("each[11].double") for line in everything) == 2


def test_long_texts_are_shown_from_where_they_differ(store: MemoryStore, screen: Screen) -> None:
    flow = Flow("texts", text)
    found = differ(store, run(flow, store), run(flow, store, params={"ending": "b"}))
    [line] = [line for line in draw(found, screen(80)) if line.startswith("text") and "out" in line]
    assert [shown.rstrip() for shown in line.split("…")[1:]] == [" then a", " then b"]
    entries = [json.loads(line) for line in draw(found, screen(80), "jsonl")]
    assert entries[-1]["b"] == "the same beginning of both texts, and then b"


def test_one_change_of_the_flows_policy_is_one_line(store: MemoryStore, screen: Screen) -> None:
    patient = Flow("loop", BODY, policy=Policy(retry=Retry(max_attempts=2)))
    lines = draw(differ(store, run(FLOW, store), run(patient, store)), screen())
    [line] = [line for line in lines if "retry.max_attempts" in line]
    assert line.split() == ["numbers,", "each.double", "policy", "retry.max_attempts", "0", "2"]


def test_equal_runs_say_so_in_one_line(store: MemoryStore, screen: Screen) -> None:
    found = differ(store, run(FLOW, store), run(FLOW, store))
    assert draw(found, screen())[2:] == [
        "",
        "each: 12 equal iterations",
        "nothing differs in 13 nodes",
    ]
    assert list(render_comparison(found, "jsonl", screen(), everything=False)) == []


def test_markdown_escapes_what_it_shows(store: MemoryStore, screen: Screen) -> None:
    found = differ(store, run(FLOW, store), run(FLOW, store, params={"plus": 1}))
    lines = draw(found, screen(), "markdown")
    assert "| each\\[0\\].double | output | 0 | 1 |" in lines


def test_a_resumed_run_and_the_one_before_it_name_each_other(
    store: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    is_broken = [True]

    @task
    def fragile() -> None:
        if is_broken.pop():
            raise ValueError("broken")

    flow = Flow("kin", numbers >> fragile)
    failed = run(flow, store)
    is_broken.append(False)
    wanted = ResumeFrom(run_id=failed.run_id)
    resumed = run(flow, store, resume=wanted, lineage=failed.run_id)
    shown = []
    for one in (failed, resumed):
        trace = store.trace(one.run_id)
        with click.Context(click.Command("show"), obj=Session()):
            show_trace(trace, View(), "tree", later=store.gone_on_by(one.run_id))
        shown.append(capsys.readouterr().out.splitlines())
    assert shown[0][1] == f"gone on with by {resumed.run_id}"
    assert shown[1][1] == f"resumed from {failed.run_id}"
    assert any(f"reused from run {failed.run_id}" in line for line in shown[1])
    assert [one.run_id for one in store.lineage(resumed.run_id)] == [failed.run_id, resumed.run_id]
    assert store.lineage(failed.run_id) == store.lineage(resumed.run_id)


def test_a_file_and_a_store_in_memory_tell_the_same(store: MemoryStore, tmp_path: Path) -> None:
    kept = run(FLOW, store)
    file = SqliteStore(tmp_path / "runs.db")
    written = execute(FLOW, RunOptions(store=file))
    file.close()
    with closing(SqliteTraceReader(tmp_path / "runs.db")) as reader:
        accounts = [
            account(one.run(run_id), one.states(run_id), one.fingerprints(run_id))
            for one, run_id in ((store, kept.run_id), (reader, written.run_id))
        ]
        assert [one.run_id for one in reader.lineage(written.run_id)] == [written.run_id]
    found = compare(*accounts, ignore=[Aspect.DURATION])
    assert found.is_equal
    assert found.equal == 13
