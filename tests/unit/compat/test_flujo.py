"""The older names for traces do what they did, on today's store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace import (
    Flow,
    SQLiteBackend,
    SQLiteTraceReader,
    StateManager,
    TraceManager,
    foreach,
    task,
)
from tailrace.compat.flujo import Span


@task
def items() -> list[int]:
    return [1, 2, 3]


@task
def work(item: int) -> int:
    return item


@task
def bad(item: int) -> int:
    raise ValueError(f"no {item}")


def walk(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from walk(child)


def test_the_tree_of_a_run_is_built_while_it_happens() -> None:
    manager = TraceManager()
    loop = foreach("{{ results.items }}", item="item")(work)
    assert Flow("loop", items >> loop).run(store=False, tracers=[manager]).ok
    root = manager.trace_tree
    assert root is not None
    assert [child.name for child in root.children] == ["node items", "foreach foreach"]
    assert [child.name for child in root.children[1].children] == [
        f"foreach[{n}]" for n in range(3)
    ]
    assert {span.status for span in walk(root)} == {"completed"}
    assert all(span.end_time is not None for span in walk(root))
    assert root.children[1].children[1].attributes["iteration_number"] == 2


def test_a_failure_is_marked_in_the_tree() -> None:
    manager = TraceManager()
    Flow("one", bad).run(item=1, store=False, tracers=[manager], raise_on_failure=False)
    assert manager.trace_tree is not None
    assert manager.trace_tree.status == "failed"


def test_the_hook_of_the_older_tool_builds_a_tree_and_leaves_it_in_the_result() -> None:
    async def act() -> None:
        manager, result = TraceManager(), SimpleNamespace(trace_tree=None)
        ended = SimpleNamespace(success=True, attempts=2, latency_s=0.5, metadata_={"key": "left"})
        for event in (
            {"event_name": "pre_run"},
            {"event_name": "pre_step", "step": SimpleNamespace(name="loop")},
            {"event_name": "pre_step", "step": SimpleNamespace(name="inner")},
            {"event_name": "on_step_failure", "step_result": SimpleNamespace(success=False)},
            {"event_name": "post_step", "step_result": ended},
            {"event_name": "post_step"},
            {"event_name": "unheard of"},
            {"event_name": "post_run", "pipeline_result": result},
        ):
            await manager.hook(SimpleNamespace(**event))
        root: Any = result.trace_tree
        assert [(span.name, span.status) for span in walk(root)] == [
            ("pipeline_root", "completed"),
            ("loop", "completed"),
            ("inner", "failed"),
        ]
        assert root.children[0].attributes["attempts"] == 2
        assert root.children[0].attributes["key"] == "left"

    asyncio.run(act())


@pytest.mark.parametrize("run_id", ["my run", "0197d6a4-c7f8-7e1a-b0c9-d2e3f4a5b6c7", "a" * 32])
def test_a_tree_that_is_saved_is_read_back_and_found_by_searches(
    tmp_path: Path, run_id: str
) -> None:
    async def act() -> None:
        manager, backend = TraceManager(), SQLiteBackend(tmp_path / "runs.db")
        Flow("one", bad).run(item=1, store=False, tracers=[manager], raise_on_failure=False)
        state = StateManager(backend)
        result = SimpleNamespace(trace_tree=manager.trace_tree)
        await state.record_run_end(run_id, result)
        await state.record_run_end(run_id, result)
        await state.record_run_end("without", SimpleNamespace())
        rows = await backend.get_trace(run_id)
        assert [row["name"] for row in rows] == ["run one", "node bad", "attempt bad"]
        assert {row["run_id"] for row in rows} == {run_id}
        assert rows[1]["parent_span_id"] == rows[0]["span_id"]
        assert {row["status"] for row in rows} == {"failed"}
        assert json.loads(rows[1]["attributes_json"])["error.type"] == "ValueError"
        assert await backend.get_trace("without") == []
        with SQLiteTraceReader(tmp_path / "runs.db") as reader:
            assert reader.search("{ status = error }").traces[0].matched == 3

    asyncio.run(act())


def test_rows_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    async def act() -> None:
        backend = SQLiteBackend(tmp_path / "runs.db")
        rows = [
            {
                "span_id": f"step-{number}",
                "run_id": "older",
                "parent_span_id": "step-0" if number else None,
                "name": f"step {number}",
                "start_time": f"2025-07-14T10:00:0{number}+00:00",
                "end_time": f"2025-07-14T10:00:0{number + 1}+00:00",
                "attributes_json": json.dumps({"executed_branch_key": "a", "n": number}),
            }
            for number in range(3)
        ]
        await backend.save_trace(rows)
        found = await backend.get_trace("older")
        assert [{name: row[name] for name in rows[0]} for row in found] == rows

    asyncio.run(act())


def test_the_rows_of_a_run_of_ours_are_there_too(tmp_path: Path) -> None:
    async def act() -> None:
        result = Flow("loop", items).run(db=tmp_path / "runs.db")
        rows = await SQLiteBackend(tmp_path / "runs.db").get_trace(result.run_id)
        assert [row["name"] for row in rows] == ["run loop", "node items", "attempt items"]

    asyncio.run(act())


@pytest.mark.parametrize("lost", ["name", "start_time"])
def test_a_row_that_lacks_what_it_needs_is_refused(tmp_path: Path, lost: str) -> None:
    async def act() -> None:
        row = {"span_id": "1", "run_id": "r", "name": "n", "start_time": 1.0}
        with pytest.raises(ValueError, match=f"no {lost}"):
            await SQLiteBackend(tmp_path / "runs.db").save_trace([row | {lost: None}])

    asyncio.run(act())
