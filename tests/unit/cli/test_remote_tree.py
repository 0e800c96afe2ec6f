"""The tree of a run elsewhere, from what a server says of it."""

from __future__ import annotations

import io
import re

from tailrace.cli.remote_lines import RemoteLines
from tailrace.cli.remote_tree import RemoteTree, view_of
from tailrace.cli.terminal import Terminal
from tailrace.client import Run, TaskRecord

ESCAPES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


def run(status: str = "RUNNING", worker: str = "w1", **tasks: str) -> Run:
    over = {"COMPLETED", "FAILED", "CANCELLED"}
    records = {
        name: TaskRecord(
            state=state,
            started_at=1.0,
            ended_at=None if state == "RUNNING" else 1.25,
            duration_ms=250.0,
            error="no route\nmore" if state == "FAILED" else None,
        )
        for name, state in tasks.items()
        if state != "PENDING"
    }
    return Run(
        run_id="ab" * 16,
        flow_name="nightly",
        status=status,
        worker_id=worker,
        tasks={name.replace("__", "."): state for name, state in tasks.items()},
        task_records={name.replace("__", "."): record for name, record in records.items()},
        start_time=1.0,
        end_time=2.0 if status in over else None,
    )


def drawn(*runs: Run) -> list[str]:
    """Return all lines that were drawn; those of the last frame are the last."""
    stream = io.StringIO()
    tree = RemoteTree(Terminal(stream=stream, width=60, height=24, is_tty=True, unicode=True))
    for one in runs:
        tree.show(one)
    tree.close()
    return ESCAPES.sub("", stream.getvalue()).splitlines()


def test_the_last_frame_shows_how_each_node_ended_and_why() -> None:
    found = drawn(
        run(load="PENDING", save="PENDING", tidy="PENDING"),
        run(load="RUNNING", save="PENDING", tidy="PENDING"),
        run("FAILED", load="SUCCEEDED", save="FAILED", tidy="SKIPPED"),
    )
    frame = found[-5:]
    assert [line.split()[:3] for line in frame] == [
        ["✘", "nightly", "1.00"],
        ["├─", "✔", "load"],
        ["├─", "✘", "save"],
        ["│", "no", "route"],
        ["└─", "⏭", "tidy"],
    ]
    assert "250 ms" in frame[1]


def test_what_is_inside_a_container_stands_under_it() -> None:
    frame = drawn(run("COMPLETED", each="SUCCEEDED", each__load="SUCCEEDED"))[-3:]
    assert [line.split("✔")[0] for line in frame] == ["", "└─ ", "   └─ "]


def test_a_run_that_waits_draws_nothing_and_a_lost_worker_is_said_above() -> None:
    waiting = Run(run_id="ab" * 16, flow_name="nightly", tasks={"load": "PENDING"})
    assert drawn(waiting) == []
    found = drawn(run(load="RUNNING"), run(worker="w2", load="RUNNING"))
    assert "w1 is lost; w2 goes on" in found


def test_lines_are_written_where_there_is_no_terminal() -> None:
    assert isinstance(view_of(Terminal(stream=io.StringIO())), RemoteLines)
    shown = view_of(Terminal(stream=io.StringIO(), is_tty=True))
    assert isinstance(shown, RemoteTree)
    shown.close()
