"""Processes that are killed, tasks that misbehave, disks that fill up: nothing lies afterwards."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from effort import times
from processes import start, tailrace
from tailrace.model import RunStatus
from tailrace.store import SqliteTraceReader
from waiting import wait_until

FLOW = """
import sys, time
from tailrace import Flow, foreach, task

@task
def first():
    return 0

@task
def step(item, ctx):
    return item + 1

@task
def left(total):
    return len(total)

@task
def right(total):
    return sum(total)

@task
def join(both):
    return both

class Reporter:
    def on_start(self, span): pass
    def on_end(self, span):
        path = span.attributes.get("tailrace.node.path")
        if span.name.startswith("node ") and span.status.value != "error":
            print(path or span.name[5:], flush=True)
    def close(self): pass

body = first >> foreach("{{ params.items }}", name="each", concurrency=CONCURRENCY)(step)
flow = Flow("kill", body >> (left & right) >> join, defaults={"items": list(range(ITEMS))})
if __name__ == "__main__":
    print("go", flush=True)
    flow.run(db=sys.argv[1], tracers=[Reporter()])
"""


def script(folder: Path, *, items: int, concurrency: int) -> Path:
    path = folder / "killed.py"
    path.write_text(FLOW.replace("ITEMS", str(items)).replace("CONCURRENCY", str(concurrency)))
    return path


def read_reported(stream: Iterator[str]) -> list[str]:
    return [line.strip() for line in stream if line.endswith("\n")]


@pytest.mark.parametrize("part", range(times(2)))
def test_what_was_reported_finished_survives_sigkill_at_random_instants(
    part: int, tmp_path: Path
) -> None:
    rng = random.Random(part)
    program = script(tmp_path, items=3_000, concurrency=1 + 3 * (part % 2))
    for trial in range(8):
        db = tmp_path / f"{trial}.db"
        with subprocess.Popen(
            [sys.executable, program, db], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
            lines = rng.randrange(0, 600)
            reported = [process.stdout.readline().strip() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            reported += read_reported(process.stdout)
        check_killed(db, [name for name in reported if name])


def check_killed(db: Path, reported: list[str]) -> None:
    if not db.exists():
        assert not reported
        return
    reader = SqliteTraceReader(db)
    runs = reader.runs()
    assert len(runs) <= 1
    if not runs:
        assert not reported
        reader.close()
        return
    run = runs[0]
    assert run.status is RunStatus.INTERRUPTED
    checkpoints = {checkpoint.path for checkpoint in reader.checkpoints(run.run_id)}
    assert set(reported) <= checkpoints
    trace = reader.trace(run.run_id)
    finished = {
        span.attributes.get("tailrace.node.path", span.name[5:])
        for span in trace.spans
        if span.name.startswith("node ")
        and span.end_ns is not None
        and span.status.value == "unset"
    }
    assert set(reported) <= finished
    reader.close()
    with sqlite3.connect(db) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()


def run_python(
    code: str, *arguments: object, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_next_run_works_and_marks_the_dead_one(tmp_path: Path) -> None:
    db = tmp_path / "t.db"
    code = "import os, sys\nfrom tailrace import Flow, task\n@task\ndef die():\n    os._exit(9)\n"
    dead = run_python(code + "Flow('dead', die).run(db=sys.argv[1])", db)
    assert dead.returncode == 9
    alive = run_python(
        "import sys\nfrom tailrace import Flow, task\n@task\ndef fine():\n    return 1\n"
        "print(Flow('alive', fine).run(db=sys.argv[1]).output)",
        db,
    )
    assert alive.stdout == "1\n", alive.stderr
    reader = SqliteTraceReader(db)
    assert [(run.flow, run.status) for run in reader.runs()] == [
        ("alive", RunStatus.COMPLETED),
        ("dead", RunStatus.INTERRUPTED),
    ]
    reader.close()


def test_a_live_run_is_seen_by_another_process_while_its_task_blocks(tmp_path: Path) -> None:
    db = tmp_path / "t.db"
    code = (
        "import sys\nfrom tailrace import Flow, task\n@task\ndef wait():\n"
        "    print('working')\n    sys.stdin.readline()\n    return 1\n"
        "Flow('live', wait).run(db=sys.argv[1])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        reader = SqliteTraceReader(db)
        deadline = time.monotonic() + 60
        while True:
            (run,) = reader.runs()
            trace = reader.trace(run.run_id)
            printed = [event for span in trace.spans for event in span.events]
            if printed or time.monotonic() > deadline:
                break
        assert run.status is RunStatus.RUNNING
        assert [event.attributes["message"] for event in printed] == ["working"]
        reader.close()
        process.communicate("\n", timeout=60)
    reader = SqliteTraceReader(db)
    assert reader.runs()[0].status is RunStatus.COMPLETED
    reader.close()


def test_two_processes_run_flows_into_one_file_at_once(tmp_path: Path) -> None:
    db = tmp_path / "t.db"
    code = (
        "import sys\nfrom tailrace import Flow, foreach, task\n@task\ndef step(item):\n"
        "    return item\n"
        "for _ in range(5):\n"
        "    flow = Flow('f' + sys.argv[2], foreach('{{ params.n }}')(step))\n"
        "    assert len(flow.run(db=sys.argv[1], n=list(range(200))).output) == 200\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, db, str(number)], stderr=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    reader = SqliteTraceReader(db)
    runs = reader.runs(limit=100)
    assert len(runs) == 15
    assert {run.status for run in runs} == {RunStatus.COMPLETED}
    assert {run.spans for run in runs} == {1 + 1 + 200 * 3}
    reader.close()


MISBEHAVIOUR = {
    "system_exit": ("raise SystemExit(3)", "SystemExit"),
    "group": ("raise ExceptionGroup('many', [ValueError('a'), KeyError('b')])", "ExceptionGroup"),
    "not_picklable": (
        "class Odd(Exception):\n        __reduce__ = None\n    raise Odd('odd')",
        "Odd",
    ),
    "broken_str": (
        "class Odd(Exception):\n        __str__ = None\n    raise Odd()",
        "Odd",
    ),
    "cancelled": ("import asyncio\n    raise asyncio.CancelledError()", "CancelledError"),
    "generator_exit": ("raise GeneratorExit()", "GeneratorExit"),
    "recursion": ("def again(): again()\n    again()", "RecursionError"),
}


@pytest.mark.parametrize("isolation", ["auto", "thread", "process"])
@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_whatever_a_task_raises_is_a_failure_with_its_type(
    name: str, isolation: str, tmp_path: Path
) -> None:
    body, expected = MISBEHAVIOUR[name]
    (tmp_path / "odd_tasks.py").write_text(f"def bad():\n    {body}\n")
    (tmp_path / "flow.yaml").write_text(
        "version: 1\nname: odd\ntasks:\n"
        f"  bad: {{callable: 'odd_tasks:bad', isolation: {isolation}}}\n"
        "flow: {graph: bad}\n"
    )
    ended = tailrace(tmp_path, "run", "flow.yaml", "--no-diary")
    assert ended.returncode == 1, ended.stderr
    assert "failed_node: bad" in ended.stdout
    assert re.search(rf"reason: .*{expected}", ended.stdout), ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def write_flow(folder: Path, code: str, graph: str, **tasks: str) -> None:
    (folder / "my_tasks.py").write_text(code)
    lines = "".join(f"  {name}: {body}\n" for name, body in tasks.items())
    (folder / "flow.yaml").write_text(
        f"version: 1\nname: sample\ntasks:\n{lines}flow: {{graph: '{graph}'}}\n"
    )


def test_a_child_that_dies_is_a_failure_and_the_run_goes_on(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import os\ndef die():\n    os._exit(7)\ndef after(value):\n    return [value]\n",
        "die >> after",
        die="{callable: 'my_tasks:die', isolation: process, "
        "policy: {on_error: {action: continue, value: rescued}}}",
        after="{callable: 'my_tasks:after'}",
    )
    ended = tailrace(tmp_path, "run", "flow.yaml", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "rescued" in ended.stdout
    shown = tailrace(tmp_path, "trace", "show", "@last").stdout
    assert "exit code 7" in shown


def test_a_hung_child_is_killed_at_its_timeout(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import os, pathlib, time\ndef hang():\n"
        "    pathlib.Path('pid').write_text(str(os.getpid()))\n    time.sleep(600)\n",
        "hang",
        hang="{callable: 'my_tasks:hang', isolation: process, policy: {timeout: 1s}}",
    )
    ended = tailrace(tmp_path, "run", "flow.yaml")
    assert ended.returncode == 1
    assert "TimeoutError" in ended.stdout
    child = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_result_that_cannot_be_encoded_does_not_stop_the_run(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import threading\ndef make():\n    return threading.Lock()\n"
        "def use(lock):\n    return lock.locked()\n",
        "make >> use",
        make="{callable: 'my_tasks:make'}",
        use="{callable: 'my_tasks:use'}",
    )
    ended = tailrace(tmp_path, "run", "flow.yaml", "--json")
    assert ended.returncode == 0, ended.stderr
    shown = tailrace(tmp_path, "trace", "show", "@last", "--format", "json").stdout
    assert "lock" in shown


def test_ten_megabytes_of_output_are_bounded_in_the_trace(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "def chatty():\n    for _ in range(100_000):\n        print('x' * 100)\n    return 1\n",
        "chatty",
        chatty="{callable: 'my_tasks:chatty'}",
    )
    ended = tailrace(tmp_path, "run", "flow.yaml", "--quiet")
    assert ended.returncode == 0, ended.stderr[-500:]
    assert sum(file.stat().st_size for file in (tmp_path / ".tailrace").glob("*.db*")) < 3_000_000


def test_threads_a_task_starts_do_not_keep_the_run_from_ending(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import threading, time\ndef spawn():\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "    threading.Thread(target=print, args=('from a thread',)).start()\n    return 1\n",
        "spawn",
        spawn="{callable: 'my_tasks:spawn'}",
    )
    assert tailrace(tmp_path, "run", "flow.yaml").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_cooperatively(number: signal.Signals, tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import pathlib, time\ndef patient(ctx):\n    pathlib.Path('started').touch()\n"
        "    while not ctx.is_cancelled:\n        time.sleep(0.01)\n"
        "    pathlib.Path('cleaned').touch()\ndef never(x):\n    pathlib.Path('never').touch()\n",
        "patient >> never",
        patient="{callable: 'my_tasks:patient'}",
        never="{callable: 'my_tasks:never'}",
    )
    process = start(tmp_path, "run", "flow.yaml")
    wait_until((tmp_path / "started").exists, "the task runs", process=process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert (tmp_path / "cleaned").exists()
    assert not (tmp_path / "never").exists()
    assert "Traceback" not in out + err
    listed = tailrace(tmp_path, "trace", "list", "--format", "json").stdout
    assert '"CANCELLED"' in listed


def test_a_second_signal_stops_a_task_that_ignores_the_first(tmp_path: Path) -> None:
    write_flow(
        tmp_path,
        "import pathlib, time\ndef stubborn():\n    pathlib.Path('started').touch()\n"
        "    time.sleep(600)\n",
        "stubborn",
        stubborn="{callable: 'my_tasks:stubborn'}",
    )
    process = start(tmp_path, "run", "flow.yaml")
    wait_until((tmp_path / "started").exists, "the task runs", process=process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert '"CANCELLED"' in tailrace(tmp_path, "trace", "list", "--format", "json").stdout


def test_a_full_disk_is_a_clear_error_and_the_store_works_again_afterwards(
    tmp_path: Path, make_disk: Callable[[int], Path]
) -> None:
    db = tmp_path / "t.db"
    code = (
        "import sys\nfrom tailrace import Flow, StoreError, foreach, task\n"
        "@task\ndef big(item):\n    return 'x' * 100_000\n"
        "flow = Flow('full', foreach('{{ params.n }}')(big))\n"
        "try:\n    flow.run(db=sys.argv[1], n=list(range(int(sys.argv[2]))))\n"
        "except StoreError as error:\n    print(error.code)\nelse:\n    print('fine')\n"
    )
    if os.geteuid() != 0:
        limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))\n"
        ignore = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        full = run_python(limited + ignore + code, db, 200)
    else:
        db = make_disk(4) / "t.db"
        full = run_python(code, db, 200)
    assert full.stdout == "TR504\n", full.stderr
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,size=64m", db.parent], check=True)
    again = run_python(code, db, 3)
    assert again.stdout == "fine\n", again.stderr
    reader = SqliteTraceReader(db)
    statuses = [run.status for run in reader.runs()]
    assert statuses == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]
    reader.close()
    raw = sqlite3.connect(db)
    assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
