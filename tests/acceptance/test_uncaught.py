"""What nobody catches while a flow runs is kept as a failure, and still said by Python."""

from __future__ import annotations

import json
from pathlib import Path

from processes import tailrace

TASKS = """
import asyncio, gc, threading

def first():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    class Broken:
        def __del__(self):
            raise RuntimeError("in a finalizer")
    Broken()
    gc.collect()

async def second(first):
    async def lost():
        raise KeyError("nobody awaits me")
    task = asyncio.ensure_future(lost())
    await asyncio.wait({task})
    del task
    gc.collect()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: [][1])
    loop.call_soon(done.set)
    await done.wait()
"""


def test_a_thread_a_callback_a_task_and_a_finalizer_leave_a_failure_each(tmp_path: Path) -> None:
    (tmp_path / "my_tasks.py").write_text(TASKS)
    (tmp_path / "flow.yaml").write_text(
        "flow: {graph: first >> second}\n"
        "tasks: {first: {callable: 'my_tasks:first'}, second: {callable: 'my_tasks:second'}}\n"
    )
    said = tailrace(tmp_path, "run", "flow.yaml").stderr
    listed = json.loads(tailrace(tmp_path, "failures", "list", "--json").stdout)

    assert sorted((one["origin"]["source"], one["type"]) for one in listed) == [
        ("loop", "IndexError"),
        ("loop", "KeyError"),
        ("thread", "ZeroDivisionError"),
        ("unraisable", "RuntimeError"),
    ]
    for name in ("IndexError", "KeyError", "ZeroDivisionError", "RuntimeError"):
        assert name in said
