from __future__ import annotations

import io

from tailrace.cli.remote_lines import RemoteLines
from tailrace.cli.terminal import Terminal
from tailrace.client import Run, TaskRecord


def shown(*runs: Run) -> list[str]:
    stream = io.StringIO()
    lines = RemoteLines(Terminal(stream=stream, width=80))
    for run in runs:
        lines.show(run)
    return stream.getvalue().splitlines()


def run(status: str = "RUNNING", **tasks: str) -> Run:
    records = {
        name: TaskRecord(state=state, duration_ms=12.0 if state != "RUNNING" else None)
        for name, state in tasks.items()
    }
    return Run(run_id="r", status=status, tasks=dict(tasks), task_records=records, worker_id="w1")


def test_each_node_gets_one_line_when_it_ends() -> None:
    found = shown(
        run(a="PENDING", b="PENDING"),
        run(a="RUNNING", b="PENDING"),
        run(a="SUCCEEDED", b="RUNNING"),
        run("FAILED", a="SUCCEEDED", b="FAILED"),
    )
    assert [line.split()[:2] for line in found] == [["✔", "a"], ["✘", "b"]]
    assert "12 ms" in found[0]


def test_another_worker_and_a_cancellation_are_said_once() -> None:
    other = Run(run_id="r", status="RUNNING", worker_id="w2")
    wished = Run(run_id="r", status="CANCELLING", worker_id="w2")
    assert shown(run(), other, other, wished, wished) == ["w1 is lost; w2 goes on", "cancelling"]


def test_a_further_attempt_is_said_with_the_reason() -> None:
    first = TaskRecord(state="RUNNING", attempt=1)
    second = TaskRecord(state="RUNNING", attempt=2, error="no route\nmore")
    runs = [
        Run(run_id="r", status="RUNNING", tasks={"a": "RUNNING"}, task_records={"a": record})
        for record in (first, second, second)
    ]
    (line,) = shown(*runs)
    assert line.endswith("attempt 2: no route")


def test_signs_that_move_the_cursor_never_reach_the_terminal() -> None:
    record = TaskRecord(state="FAILED", error="\x1b[31mred\u202e")
    bad = Run(
        run_id="r", status="FAILED", tasks={"a\x1b": "FAILED"}, task_records={"a\x1b": record}
    )
    assert not any("\x1b" in line or "\u202e" in line for line in shown(bad))
