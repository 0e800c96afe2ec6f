"""What a task starts by itself belongs to its attempt: threads, pools, programs.

The starting of threads is wrapped in the whole process, so each program runs in one of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from processes import environ
from tailrace import Span, SqliteTraceReader

HEAD = """
import asyncio, json, logging, os, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
from tailrace import Context, Flow, task

SAY = [
    sys.executable,
    "-c",
    "import os; print(os.environ.get('TRACEPARENT'), os.environ.get('TRACESTATE'))",
]

def inside(ctx, name):
    print("said in", name)
    logging.getLogger("mine").warning("logged in %s", name)
    with ctx.span(name):
        pass
"""


def run(folder: Path, body: str) -> tuple[Any, str, list[Span]]:
    """Run a program whose last line is run id and what it says as JSON; also give its output."""
    (folder / "program.py").write_text(HEAD + body)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environ({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run_id, said = json.loads(done.stdout.splitlines()[-1])
    with closing(SqliteTraceReader(folder / ".tailrace" / "tailrace.db")) as reader:
        return said, done.stdout, reader.trace(run_id).spans


THREADS = """
@task(ISOLATION)
def work(ctx: Context):
    with ctx.span("outer"):
        thread = threading.Thread(target=inside, args=(ctx, "thread"))
        thread.start()
        thread.join()
        timer = threading.Timer(0, inside, (ctx, "timer"))
        timer.start()
        timer.join()
        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(inside, ctx, f"pool {number}") for number in range(3)]:
                future.result()

@task(ISOLATION)
async def later(ctx: Context):
    with ctx.span("later"):
        await asyncio.get_running_loop().run_in_executor(None, inside, ctx, "executor")

if __name__ == "__main__":
    result = Flow("f", work >> later).run()
    print(json.dumps([result.run_id, None]))
"""


@pytest.mark.parametrize("isolation", ["", 'isolation="process"'])
def test_threads_and_pools_of_a_task_go_on_in_its_span(tmp_path: Path, isolation: str) -> None:
    _, _, spans = run(tmp_path, THREADS.replace("ISOLATION", isolation))
    named = {span.name: span for span in spans}
    for outer, inner in (
        ("outer", ["thread", "timer", "pool 0", "pool 1", "pool 2"]),
        ("later", ["executor"]),
    ):
        assert {named[name].parent_id for name in inner} == {named[outer].span_id}
        told = [str(event.attributes["message"]) for event in named[outer].events]
        assert sorted(told) == sorted(
            f"{word} in {name}" for word in ("said", "logged") for name in inner
        )


SHARED = """
POOL = ThreadPoolExecutor(1)

def where():
    from opentelemetry import trace
    return format(trace.get_current_span().get_span_context().span_id, "016x")

@task
def one(ctx: Context):
    with ctx.span("first"):
        return POOL.submit(where).result(), where()

@task
def two(ctx: Context):
    from opentelemetry import trace
    with trace.get_tracer("lib").start_as_current_span("second"):
        return POOL.submit(where).result(), where()

if __name__ == "__main__":
    result = Flow("f", one >> two).run()
    outside = POOL.submit(where).result()
    print(json.dumps([result.run_id, [result.outputs["one"], result.outputs["two"], outside]]))
"""


def test_a_pool_that_tasks_share_serves_each_as_its_own(tmp_path: Path) -> None:
    (one, two, outside), _, spans = run(tmp_path, SHARED)
    named = {span.name: span.span_id for span in spans}
    assert one == [named["first"]] * 2
    assert two == [named["second"]] * 2
    assert outside == "0" * 16


PROGRAMS = """
from tailrace.runtime.execute import execute
from tailrace.runtime.options import RunOptions
from tailrace.tracing.propagation import parse_traceparent

@task(ISOLATION)
def work(ctx: Context):
    with ctx.span("outer"):
        here = ctx.traceparent
        known = subprocess.run(SAY, capture_output=True, text=True).stdout
        own = subprocess.run(SAY, capture_output=True, text=True, env={"A": "1"}).stdout
        return here, known, own

@task(ISOLATION)
async def later(ctx: Context):
    child = await asyncio.create_subprocess_exec(*SAY, stdout=subprocess.PIPE)
    return (await child.communicate())[0].decode()

if __name__ == "__main__":
    caller = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1,b=2")
    result = execute(Flow("f", work >> later), RunOptions(caller=caller))
    outside = subprocess.run(SAY, capture_output=True, text=True).stdout
    print(json.dumps([result.run_id, [result.outputs["work"], result.outputs["later"], outside]]))
"""


@pytest.mark.parametrize("isolation", ["", 'isolation="process"'])
def test_programs_find_the_span_that_started_them(tmp_path: Path, isolation: str) -> None:
    ((here, known, own), later, outside), _, spans = run(
        tmp_path, PROGRAMS.replace("ISOLATION", isolation)
    )
    ids = {span.name: f"00-{span.trace_id}-{span.span_id}-01" for span in spans}
    assert here == ids["outer"]
    assert known.split() == [here, "a=1,b=2"]
    assert later.split() == [ids["attempt later"], "a=1,b=2"]
    assert own.split() == outside.split() == ["None", "None"]
    assert {span.trace_state for span in spans} == {"a=1,b=2"}


FORKED = """
def child(ctx, queue):
    print("said in the child", flush=True)
    with ctx.span("in the child"):
        queue.put(ctx.traceparent)

@task
def work(ctx: Context):
    import multiprocessing
    forking = multiprocessing.get_context("fork")
    queue = forking.SimpleQueue()
    process = forking.Process(target=child, args=(ctx, queue))
    process.start()
    process.join()
    with ctx.span("afterwards"):
        return process.exitcode, ctx.traceparent.split("-")[1] == queue.get().split("-")[1]

if __name__ == "__main__":
    result = Flow("f", work).run()
    print(json.dumps([result.run_id, result.outputs["work"]]))
"""


def test_a_forked_child_speaks_for_itself_and_leaves_the_trace_to_its_parent(
    tmp_path: Path,
) -> None:
    said, output, spans = run(tmp_path, FORKED)
    assert said == [0, True]
    assert "said in the child\n" in output
    assert [span.name for span in spans] == ["run f", "node work", "attempt work", "afterwards"]
