"""``tailrace run`` as people and programs use it: real processes, real files."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import processes
from waiting import wait_until

TASKS = """
import os, sys, time
from pathlib import Path


def fetch(n):
    print("fetching", n)
    return list(range(n))


def total(fetch):
    return {"total": sum(fetch), "name": "合計"}


def broken(fetch):
    raise ValueError("bad row 17")


def flaky(fetch):
    marker = Path("tries")
    tries = int(marker.read_text()) if marker.exists() else 0
    marker.write_text(str(tries + 1))
    if tries < 2:
        raise ConnectionError("not yet")
    return tries


def nothing(fetch):
    return None


def hang(fetch, ctx):
    Path("started").touch()
    while not ctx.is_cancelled:
        time.sleep(0.01)
    ctx.check_cancelled()
"""

FLOW = """
version: 1
name: {name}
tasks:
  fetch: {{callable: "steps:fetch"}}
  last: {{callable: "steps:{task}"{more}}}
flow:
  defaults: {{n: 4}}
  graph: fetch >> last
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text(TASKS, "utf-8")
    flows = {
        "good": ("total", ""),
        "bad": ("broken", ""),
        "handled": ("broken", ", policy: {on_error: {action: continue, value: 0}}"),
        "retried": ("flaky", ", policy: {retry: {max_attempts: 2, delay: 10ms}}"),
        "none": ("nothing", ""),
        "hanging": ("hang", ""),
    }
    for name, (task, more) in flows.items():
        text = FLOW.format(name=name, task=task, more=more)
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def tailrace(folder: Path) -> Run:
    return partial(processes.tailrace, folder)


def test_standard_output_carries_the_result_and_nothing_else(tailrace: Run) -> None:
    done = tailrace("run", "good.yaml")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"total": 6, "name": "合計"}
    assert "fetching 4" in done.stderr
    assert [line.split()[1] for line in done.stderr.splitlines() if line.startswith("✔")] == [
        "fetch",
        "last",
    ]


def test_a_result_of_none_prints_nothing(tailrace: Run) -> None:
    done = tailrace("run", "none.yaml")
    assert (done.returncode, done.stdout) == (0, "")


def test_params_come_from_the_command_line_and_from_a_context(tailrace: Run, folder: Path) -> None:
    (folder / "context.json").write_text('{"n": 3}')
    for arguments, total in (
        (["--param", "n=5"], 10),
        (["--set", "params.n=2"], 1),
        (["--set", "n=2"], 1),
        (["--context", '{"params": {"n": 6}}'], 15),
        (["--context", "@context.json"], 3),
        (["--context", "@context.json", "-p", "n=1"], 0),
    ):
        done = tailrace("run", "good.yaml", *arguments)
        assert json.loads(done.stdout)["total"] == total, (arguments, done.stderr)
    assert (
        json.loads(tailrace("run", "good.yaml", "-c", "-", typed='{"n": 2}').stdout)["total"] == 1
    )


def test_a_failed_run_says_why_on_standard_output_and_exits_1(tailrace: Run) -> None:
    done = tailrace("run", "bad.yaml")
    assert done.returncode == 1
    assert done.stdout.startswith("Flow failed.\n")
    assert "failed_node: last" in done.stdout
    assert "ValueError: bad row 17" in done.stdout
    assert "steps.py:" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_json_is_one_object_for_success_and_for_failure(tailrace: Run) -> None:
    good = json.loads(tailrace("run", "good.yaml", "--json").stdout)
    assert (good["status"], good["output"]["total"], good["report"]) == ("COMPLETED", 6, None)
    done = tailrace("run", "bad.yaml", "--json")
    bad = json.loads(done.stdout)
    assert done.returncode == 1
    assert bad["status"] == "FAILED"
    assert bad["report"]["failed_node_id"] == "last"


def test_a_handled_failure_completes_and_strict_makes_it_exit_1(tailrace: Run) -> None:
    assert tailrace("run", "handled.yaml").returncode == 0
    assert tailrace("run", "handled.yaml", "--strict").returncode == 1


def test_retries_are_seen_while_they_happen(tailrace: Run) -> None:
    done = tailrace("run", "retried.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ConnectionError") == 2
    assert "3 attempts" in done.stderr


def test_a_policy_of_the_command_line_overrides_the_flow(tailrace: Run) -> None:
    retry = '{"retry": {"max_attempts": 1}}'
    assert "attempt 2 of 2" in tailrace("run", "bad.yaml", "--policy", retry).stdout
    done = tailrace("run", "bad.yaml", "--policy", '{"retry": {"max_atempts": 1}}')
    assert done.returncode == 2
    assert "max_attempts" in done.stderr


def test_quiet_leaves_standard_error_empty(tailrace: Run) -> None:
    done = tailrace("run", "good.yaml", "--quiet")
    assert done.stderr == ""
    assert json.loads(done.stdout)["total"] == 6


def test_output_and_report_go_to_files_when_asked(tailrace: Run, folder: Path) -> None:
    done = tailrace("run", "good.yaml", "--output", "out/result.json")
    assert done.stdout == ""
    assert json.loads((folder / "out/result.json").read_text("utf-8"))["total"] == 6
    tailrace("run", "bad.yaml", "--report-path", "out/report.md")
    tailrace("run", "bad.yaml", "--report-path", "out/report.json")
    assert (folder / "out/report.md").read_text("utf-8").startswith("#")
    assert json.loads((folder / "out/report.json").read_text("utf-8"))["trace_id"]


def test_a_dry_run_shows_the_flow_and_runs_nothing(tailrace: Run, folder: Path) -> None:
    done = tailrace("run", "good.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "fetch" in done.stdout
    assert "fetching" not in done.stdout + done.stderr
    assert not (folder / ".tailrace").exists()


def test_without_a_tracer_nothing_is_stored(tailrace: Run, folder: Path) -> None:
    assert tailrace("run", "good.yaml", "--tracer", "none").returncode == 0
    assert not (folder / ".tailrace").exists()


def test_the_diary_is_kept_and_can_be_turned_off(tailrace: Run, folder: Path) -> None:
    tailrace("run", "good.yaml", "--no-diary")
    assert not (folder / "logs").exists()
    tailrace("run", "bad.yaml")
    entry = json.loads((folder / "logs/runtime_execution.log").read_text("utf-8"))
    assert entry["status"] == "FAILED"
    again = tailrace("run", "bad.yaml")
    assert "the last run of bad failed at last" in again.stderr


def test_a_run_that_takes_too_long_exits_124(tailrace: Run) -> None:
    done = tailrace("run", "hanging.yaml", "--timeout", "300ms")
    assert done.returncode == 124, done.stderr
    assert "300ms" in done.stdout or "0.3" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_exits_130(
    folder: Path, tailrace: Run, number: signal.Signals
) -> None:
    process = processes.start(folder, "run", "hanging.yaml")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("fetching")
    wait_until((folder / "started").exists, "the task runs", process=process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    listed = json.loads(tailrace("trace", "list", "--json").stdout)
    assert [run["status"] for run in listed] == ["CANCELLED"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run"], 2),
        (["run", "missing.yaml"], 3),
        (["run", "good.yaml", "--param", "n"], 2),
        (["run", "good.yaml", "--context", "[1]"], 2),
        (["run", "good.yaml", "--timeout", "soon"], 2),
        (["run", "good.yaml", "--db", "steps.py"], 5),
        (["trace", "show", "ffff"], 3),
        (["explain", "TR999"], 3),
    ],
)
def test_every_refusal_has_its_exit_code_and_no_traceback(
    tailrace: Run, arguments: list[str], code: int
) -> None:
    tailrace("run", "good.yaml")
    done = tailrace(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error[TR")
    assert "Traceback" not in done.stderr


def test_broken_settings_exit_4(tailrace: Run, folder: Path) -> None:
    (folder / "tailrace.toml").write_text("durabilty = 'power'\n")
    done = tailrace("run", "good.yaml")
    assert done.returncode == 4
    assert "durability" in done.stderr


def test_github_gets_an_annotation_and_a_summary(tailrace: Run, folder: Path) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    done = tailrace("run", "bad.yaml", more=environ)
    assert "::error title=TR301::flow failed at node last" in done.stderr
    assert "bad row 17" in (folder / "summary.md").read_text("utf-8")


def test_a_failing_run_keeps_its_exit_code_when_its_reader_goes_away(folder: Path) -> None:
    script = f"{sys.executable} -m tailrace run bad.yaml | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=processes.environ(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_watch_redraws_the_tree_on_a_terminal_and_leaves_the_last_frame(folder: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "run", "good.yaml", "--watch"],
        cwd=folder,
        env=processes.environ() | {"TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    out, _ = process.communicate(timeout=60)
    screen = read_all(master).decode()
    assert json.loads(out)["total"] == 6
    last = screen.rpartition("\x1b[?7l")[2]
    assert "✔" in last
    assert "last" in last
    assert "fetching 4" in screen


def read_all(descriptor: int) -> bytes:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # the other side of a terminal is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)


def test_watch_without_a_terminal_is_one_line_per_node(tailrace: Run) -> None:
    done = tailrace("run", "good.yaml", "--watch")
    assert "\x1b" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("✔")]) == 2
